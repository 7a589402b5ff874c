"""Answer what a run asks: an approval, a question, what to do about an interrupted step."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.common import UsageError
from axtui.cli.control import told

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of approve."""
    parser.add_argument("conversation", metavar="ID")
    parser.add_argument("approval", metavar="APPROVAL_ID", nargs="?", default="")
    parser.add_argument("--deny", action="store_true")
    parser.add_argument("--choice", metavar="C", help="another answer, such as retry or more")
    parser.add_argument("--text", metavar="TEXT", help="the answer to a question")
    parser.add_argument("--always", action="store_true", help="the same from now on")
    parser.add_argument("--reason", metavar="TEXT", default="")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Record the answer."""
    if sum((args.deny, args.choice is not None, args.text is not None)) > 1:
        raise UsageError("--deny, --choice and --text are three different answers")
    choice = "deny" if args.deny else args.choice or ("" if args.text is not None else "approve")
    text = args.text if args.text is not None else args.reason
    state = await client.answer(args.conversation, args.approval, choice, text, args.always)
    told(args, args.conversation, state, "answered")
    return 0
