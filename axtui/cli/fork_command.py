"""A new conversation out of the first events of another, which stays as it is.

A run that was open there is paused in the fork; `axtui exec --resume` goes on with it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.common import UsageError, checkpoint, json_argument, print_json, print_text
from axtui.model.fold import is_open

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of fork."""
    add = parser.add_argument
    add("checkpoint", metavar="ID[:SEQ]", nargs="?", help="the last event that the fork shares")
    add("new", metavar="NEW_ID", nargs="?", default="")
    add("--edit", metavar="JSON|@FILE", help="fields of event SEQ that are others in the fork")
    add("--src-conversation", metavar="ID", help="another way to write ID")
    add("--src-seq", type=int, default=0, metavar="N", help="another way to write SEQ; 0: the last")
    add("--dest-conversation", metavar="ID", default="", help="another way to write NEW_ID")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Make the fork and print its id."""
    source, seq = _source(args)
    edit = None if args.edit is None else json_argument(args.edit, "--edit")
    if edit is not None and not isinstance(edit, dict):
        raise UsageError("--edit takes a JSON object with the fields that are to be others")
    if edit is not None and seq is None:
        raise UsageError("--edit needs the event to edit, as ID:SEQ")
    name = await client.fork(source, seq, args.new or args.dest_conversation, edit)
    state = await client.state(name)
    if args.output == "json":
        print_json({"conversation_id": name, "parent_id": source, "last_seq": state.seq})
        return 0
    print_text(f"Conversation: {name}")
    if is_open(state):
        print_text(
            f"its run is paused; it goes on with\n  axtui exec --conversation {name} --resume"
        )
    return 0


def _source(args: argparse.Namespace) -> tuple[str, int | None]:
    if args.checkpoint and args.src_conversation:
        raise UsageError("give ID:SEQ or --src-conversation, not both")
    if args.checkpoint:
        return checkpoint(args.checkpoint)
    if not args.src_conversation:
        raise UsageError("which conversation is to be forked?", "axtui fork ID[:SEQ]")
    if args.src_seq < 0:
        raise UsageError("--src-seq can't be negative")
    return args.src_conversation, args.src_seq or None
