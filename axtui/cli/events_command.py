"""The events of a conversation, in order."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError, amount, name
from axtui.cli.control import add_id
from axtui.cli.output import print_json, print_text
from axtui.cli.story import said
from axtui.model.codec import event_to_json
from axtui.model.describe import describe
from axtui.model.events import PAYLOAD_TYPES, Record, text_of
from axtui.model.words import clock
from axtui.v1 import event_pb2 as pb

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of events."""
    add_id(parser)
    add = parser.add_argument
    add("--after", type=amount, default=0, metavar="N", help="only those after event N")
    add("--limit", type=amount, metavar="N", help="at most N")
    add("--kind", type=name, metavar="K", help="such as step.completed, or step for all of steps")
    add("--actor", type=name, metavar="A", help="only those of an actor")
    add("--follow", action="store_true", help="wait for more, until Ctrl+C")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print a line for each."""
    _check_kind(args.kind)
    found = (await client.resolve(args.conversation)).summary.id
    left = args.limit
    if left == 0:
        return 0
    async for record in _records(client, found, args):
        event = record.event()
        if _fits(event, args):
            _print(event, args)
            left = None if left is None else left - 1
            if left == 0:
                break
    return 0


async def _records(client: Client, found: str, args: argparse.Namespace) -> AsyncIterator[Record]:
    after = args.after
    if args.follow:
        async for items in client.watch(found, after):
            for item in items:
                if isinstance(item, Record):
                    yield item
        return
    while page := await client.read(found, after=after):
        for record in page:
            yield record
        after = page[-1].seq


def _check_kind(kind: str | None) -> None:
    known = sorted({*PAYLOAD_TYPES, *(kind.partition(".")[0] for kind in PAYLOAD_TYPES)})
    if kind is None or kind in known:
        return
    near = get_close_matches(kind, known, 1)
    advice = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"there is no kind of event {kind!r}{advice}", f"there are {', '.join(known)}")


def _fits(event: pb.Event, args: argparse.Namespace) -> bool:
    if args.actor is not None and event.actor != args.actor:
        return False
    return args.kind in (None, event.kind, event.kind.partition(".")[0])


def _print(event: pb.Event, args: argparse.Namespace) -> None:
    if args.output == "json":
        print_json(event_to_json(event))
        return
    private = " (private)" if event.message.internal_only else ""
    start = f"{event.seq:>6}  {clock(event.time_us)}  {event.kind:<18}  "
    first, *rest = _words(event).splitlines() or [""]
    print_text("\n".join([f"{start}{first}{private}", *(" " * len(start) + line for line in rest)]))


def _words(event: pb.Event) -> str:
    message = event.message
    if event.kind == "message" and (message.role == "user" or message.internal_only):
        who = event.actor or event.principal or message.role
        parts = (
            part.thought if part.HasField("thought") else part.text for part in message.content
        )
        return f"{who}: " + "".join(text_of(part) for part in parts)
    return "\n".join(said(event)) or describe(event)
