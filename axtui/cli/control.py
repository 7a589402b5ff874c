"""What the commands that steer a run have in common."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.arguments import name, words
from axtui.cli.output import print_json, print_text
from axtui.model.fold import is_open, status
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.client import Client


def add_id(parser: argparse.ArgumentParser) -> None:
    """Add the conversation that a command is about."""
    parser.add_argument(
        "conversation",
        metavar="ID",
        type=name,
        help="the conversation; the beginning of a generated id will do",
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of pause, resume, cancel and delete."""
    add_id(parser)
    parser.add_argument("--reason", metavar="TEXT", type=words, default="", help="kept in the log")


async def told(client: Client, args: argparse.Namespace, state: st.State, what: str) -> None:
    """Say what was done, and what goes on with the run if nothing does by itself."""
    now = status(state)
    known = state.conversation_id
    if args.output == "json":
        print_json({"conversation_id": known, "done": what, "state": now, "last_seq": state.seq})
        return
    if not is_open(state):
        print_text(what)
        return
    still = [f"{len(state.questions)} more to answer: axtui show {known}"] * bool(state.questions)
    driven = known in (await client.holder()).driving
    goes_on = "its controller goes on; to follow it" if driven else "the run goes on with"
    command = attach_command(known) if driven else resume_command(known)
    print_text("\n  ".join([f"{what}; {goes_on}", *still, command]))


def resume_command(conversation_id: str) -> str:
    """What to type to go on with a run."""
    return f"axtui exec --conversation {quoted(conversation_id)} --resume"


def attach_command(conversation_id: str) -> str:
    """What to type to follow a run that somebody drives."""
    return f"axtui attach {quoted(conversation_id)}"


def quoted(text: str) -> str:
    """Text as a shell takes it for one word."""
    import shlex

    return shlex.quote(text)
