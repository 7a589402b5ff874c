"""Hide a conversation. `axtui prune` removes what was deleted for good."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError
from axtui.cli.control import configure as configure_control
from axtui.cli.output import print_json, print_text
from axtui.cli.prompt import can_ask, read_line
from axtui.model.words import count

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of delete."""
    configure_control(parser)
    parser.add_argument("--yes", action="store_true", help="don't ask")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Ask, then hide it."""
    listed = await client.resolve(args.conversation)
    found = listed.summary.id
    if not args.yes and not listed.summary.deleted_us:
        if args.output == "json" or not can_ask():
            raise UsageError("delete asks first, and there is nobody to ask", "add --yes")
        answer = await read_line(f"delete {found} with {count(listed.seq, 'event')}? [y/N] ")
        if (answer or "").strip().lower() not in ("y", "yes"):
            print_text("left as it is")
            return 1
    await client.delete(found, args.reason)
    if args.output == "json":
        print_json({"conversation_id": found, "done": "deleted"})
    else:
        print_text(f"deleted {found}; `axtui prune` removes it for good")
    return 0
