"""The events of a conversation, in order."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.common import UsageError, print_json, print_text
from axtui.cli.render import describe, said
from axtui.model.codec import event_to_json, format_time
from axtui.model.events import Record
from axtui.v1 import event_pb2 as pb

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of events."""
    parser.add_argument("conversation", metavar="ID")
    parser.add_argument("--after", type=int, default=0, metavar="N", help="only those after N")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N")
    parser.add_argument("--kind", metavar="K", help="such as step.completed, or step")
    parser.add_argument("--actor", metavar="A")
    parser.add_argument("--follow", action="store_true", help="wait for more")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print a line for each."""
    if args.after < 0 or (args.limit is not None and args.limit < 0):
        raise UsageError("--after and --limit can't be negative")
    shown = 0
    if args.limit == 0:
        return 0
    if args.follow:
        async for page in client.watch(args.conversation, args.after):
            for item in page:
                if isinstance(item, Record) and _show(item.event(), args):
                    shown += 1
                    if shown == args.limit:
                        return 0
        return 0
    after = args.after
    while page_ := await client.read(args.conversation, after=after):
        for record in page_:
            if _show(record.event(), args):
                shown += 1
                if shown == args.limit:
                    return 0
        after = page_[-1].seq
    return 0


def _show(event: pb.Event, args: argparse.Namespace) -> bool:
    if args.actor is not None and event.actor != args.actor:
        return False
    if args.kind is not None and args.kind not in (event.kind, event.kind.partition(".")[0]):
        return False
    if args.output == "json":
        print_json(event_to_json(event))
    else:
        private = " (private)" if event.message.internal_only else ""
        words = "\n".join(said(event)) or describe(event)
        if event.kind == "message" and event.message.role == "user":
            words = f"{event.principal or 'user'}: " + "".join(
                part.text.text or part.text.blob.preview for part in event.message.content
            )
        first, *rest = words.splitlines() or [""]
        time = format_time(event.time_us)
        print_text(f"{event.seq:>6} {time} {event.kind:<18} {first}{private}")
        for line in rest:
            print_text(" " * 53 + line)
    return True
