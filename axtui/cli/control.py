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

# Options that say where the log here is, and how a server is reached.
_HERE = ("config", "data_dir")
_REMOTE = ("server", "token_file", "ca", "cert", "key")


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
    show = next_command(args, f"show {quoted(known)}")
    still = [f"{len(state.questions)} more to answer: {show}"] * bool(state.questions)
    driven = known in (await client.holder()).driving
    goes_on = "its controller goes on; to follow it" if driven else "the run goes on with"
    command = attach_command(args, known) if driven else resume_command(args, known)
    print_text("\n  ".join([f"{what}; {goes_on}", *still, command]))


def resume_command(args: argparse.Namespace, conversation_id: str) -> str:
    """What to type to go on with a run."""
    return next_command(args, f"exec --conversation {quoted(conversation_id)} --resume")


def attach_command(args: argparse.Namespace, conversation_id: str) -> str:
    """What to type to follow a run that somebody drives."""
    return next_command(args, f"attach {quoted(conversation_id)}")


def next_command(args: argparse.Namespace, command: str) -> str:
    """A command for the same log or server as this one, which was told of it by `args`."""
    options = _REMOTE if args.server else _HERE + _REMOTE
    given = [
        f"--{option.replace('_', '-')} {quoted(value)}"
        for option in options
        if (value := getattr(args, option, None))
    ]
    given += ["--insecure"] * getattr(args, "insecure", False)
    return " ".join(["axtui", command, *given])


def quoted(text: str) -> str:
    """Text as a shell takes it for one word."""
    import shlex

    return shlex.quote(text)
