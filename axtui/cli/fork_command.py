"""A new conversation out of the first events of another, which stays as it is.

A run that was open there is paused in the fork; `axtui exec --resume` goes on with it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError, amount, checkpoint, json_argument, name
from axtui.cli.control import resume_command
from axtui.cli.output import print_json, print_text
from axtui.client import Refused
from axtui.model.fold import is_open

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of fork."""
    add = parser.add_argument
    add(
        "checkpoint",
        metavar="ID[:SEQ]",
        nargs="?",
        type=name,
        help="the conversation, and the last event that the fork shares with it",
    )
    add("new", metavar="NEW_ID", nargs="?", type=name, help="else one is made up")
    add("--edit", metavar="JSON|@FILE", help="fields of event SEQ that are others in the fork")
    add("--src-conversation", metavar="ID", type=name, help="another way to write ID")
    add("--src-seq", type=amount, metavar="N", help="another way to write SEQ; 0: the last")
    add("--dest-conversation", metavar="ID", type=name, help="another way to write NEW_ID")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Make the fork and print its id."""
    _check(args)
    edit = None if args.edit is None else await json_argument(args.edit, "--edit")
    if args.edit is not None and not isinstance(edit, dict):
        raise UsageError(
            "--edit takes a JSON object with the fields that are to be others",
            "`axtui events ID --output json` shows what an event has, as its data",
        )
    source, seq = await _source(client, args)
    if edit is not None and seq is None:
        raise UsageError("--edit needs the event to edit, as ID:SEQ")
    found = await client.fork(source, seq, args.new or args.dest_conversation or "", edit)
    state = await client.state(found)
    if args.output == "json":
        print_json({"conversation_id": found, "parent_id": source, "last_seq": state.seq or None})
        return 0
    print_text(f"Conversation: {found}")
    if is_open(state):
        print_text(f"its run is paused; it goes on with\n  {resume_command(args, found)}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError unless the source is named, and nothing twice."""
    if args.checkpoint and args.src_conversation:
        raise UsageError("ID and --src-conversation say the same", "give one of them")
    if args.new and args.dest_conversation:
        raise UsageError("NEW_ID and --dest-conversation say the same", "give one of them")
    if not args.checkpoint and not args.src_conversation:
        raise UsageError("which conversation is to be forked?", "axtui fork ID[:SEQ]")
    if args.checkpoint and args.src_seq is not None:
        raise UsageError("--src-seq goes with --src-conversation", "or write ID:SEQ")


async def _source(client: Client, args: argparse.Namespace) -> tuple[str, int | None]:
    if args.checkpoint:
        listed, seq = await checkpoint(client, args.checkpoint)
        return listed.summary.id, seq
    listed = await client.resolve(args.src_conversation)
    if (args.src_seq or 0) > listed.seq:
        raise Refused(
            "usage",
            f"conversation {listed.summary.id} has no event {args.src_seq}",
            f"its events are 1 to {listed.seq}",
        )
    return listed.summary.id, args.src_seq or None
