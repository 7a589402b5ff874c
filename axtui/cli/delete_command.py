"""Hide a conversation. `axtui prune` removes what was deleted for good."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from axtui.cli.common import UsageError, print_json, print_text
from axtui.cli.control import configure as configure_control
from axtui.cli.render import read_line

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of delete."""
    configure_control(parser)
    parser.add_argument("--yes", action="store_true", help="don't ask")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Ask, then hide it."""
    state = await client.state(args.conversation)
    if not args.yes:
        if args.output == "json" or not sys.stdin.isatty():
            raise UsageError("delete asks first, and there is nobody to ask", "add --yes")
        answer = await read_line(f"delete {args.conversation} with {state.seq} events? [y/N] ")
        if (answer or "").strip().lower() not in ("y", "yes"):
            print_text("left as it is")
            return 1
    await client.delete(args.conversation, args.reason)
    if args.output == "json":
        print_json({"conversation_id": args.conversation, "done": "deleted"})
    else:
        print_text(f"deleted {args.conversation}; `axtui prune` removes it for good")
    return 0
