"""Read a conversation that `axtui export` wrote. Its bytes and hashes are checked first."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TextIO

from axtui.cli.arguments import UsageError
from axtui.cli.output import print_json, print_text
from axtui.cli.words import count

if TYPE_CHECKING:
    from axtui.client import Client, Imported


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of import."""
    parser.add_argument("file", metavar="FILE", help="- is standard input")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Store it all, or nothing."""
    stored = await _restore(client, args.file)
    if args.output == "json":
        print_json({"conversation_id": stored.conversation_id, "events": stored.events})
    else:
        print_text(f"Conversation: {stored.conversation_id}")
        print_text(f"{count(stored.events, 'event')} imported")
    return 0


async def _restore(client: Client, name: str) -> Imported:
    try:
        with _open(name) as file:
            return await client.restore(file)
    except UnicodeDecodeError:
        raise UsageError(f"{name} isn't UTF-8 text", "nothing was stored") from None


def _open(name: str) -> TextIO:
    if name == "-":
        return open(sys.stdin.fileno(), encoding="utf-8", closefd=False)
    try:
        return open(name, encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{name}: {why}", "nothing was stored") from None
