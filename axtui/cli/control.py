"""What the commands that steer a run have in common."""

from __future__ import annotations

import argparse

from axtui.cli.common import print_json, print_text
from axtui.model.fold import is_open, status
from axtui.v1 import state_pb2 as st


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of pause, resume, cancel and delete."""
    parser.add_argument("conversation", metavar="ID")
    parser.add_argument("--reason", metavar="TEXT", default="", help="kept in the log")


def told(args: argparse.Namespace, name: str, state: st.State, what: str) -> None:
    """Say what was done, and what would go on with the run."""
    now = status(state)
    if args.output == "json":
        print_json({"conversation_id": name, "done": what, "state": now, "last_seq": state.seq})
        return
    print_text(f"{what}; the run is {now}")
    if is_open(state) and now != "paused":
        print_text("no process drives it here; it goes on with")
        print_text(f"  axtui exec --conversation {name} --resume")
