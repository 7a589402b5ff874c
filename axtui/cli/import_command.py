"""Read a conversation that `axtui export` wrote. Its bytes and hashes are checked first."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from axtui.cli.common import UsageError, print_json, print_text

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of import."""
    parser.add_argument("file", metavar="FILE", help="- is standard input")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Store it all, or nothing."""
    try:
        if args.file == "-":
            stored = await client.restore(sys.stdin)
        else:
            with open(args.file, encoding="utf-8") as file:  # noqa: ASYNC230 -- nothing else runs
                stored = await client.restore(file)
    except OSError as error:
        raise UsageError(f"{args.file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{args.file} isn't UTF-8 text", "nothing was stored") from None
    if args.output == "json":
        print_json({"conversation_id": stored.conversation_id, "events": stored.events})
    else:
        print_text(f"Conversation: {stored.conversation_id}\n{stored.events} events imported")
    return 0
