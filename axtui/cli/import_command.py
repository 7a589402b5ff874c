"""Read a conversation that `axtui export` wrote, or all those of a Google AX log.

The bytes and hashes of an export are checked first. Of an AX log (SQLite), conversations whose id
is taken are left out.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import TYPE_CHECKING, TextIO

from axtui.cli.arguments import UsageError
from axtui.cli.control import resume_command
from axtui.cli.output import print_json, print_text, report
from axtui.client import AxLog, Refused, Taken
from axtui.model.fold import status
from axtui.model.words import count

if TYPE_CHECKING:
    from axtui.client import Client, Imported


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of import."""
    parser.add_argument("file", metavar="FILE", help="- is standard input")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Store it all, or nothing of it."""
    try:
        if args.file != "-" and AxLog.recognises(args.file):
            return await _import_ax(client, args)
        with _open(args.file) as file:
            await _tell(client, args, await client.restore(file))
    except UnicodeDecodeError:
        raise UsageError(f"{args.file} isn't UTF-8 text", "nothing was stored") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{args.file}: {why}", "nothing was stored") from None
    return 0


async def _import_ax(client: Client, args: argparse.Namespace) -> int:
    """Store each conversation, all of it or nothing. What is wrong with one is no matter of the
    others."""
    refused: Exception | None = None
    stored = 0
    with closing(AxLog(args.file)) as log:
        for conversation_id in log.conversations():
            try:
                await _tell(client, args, await client.restore(log.lines(conversation_id)))
                stored += 1
            except (Refused, Taken) as error:
                refused = error
                code = error.code if isinstance(error, Refused) else "taken"
                report(
                    code,
                    f"left out: {error}",
                    kind="warning",
                    as_json=args.output == "json",
                )
    if not stored:
        raise refused or UsageError(f"{args.file} holds no conversations")
    return 0


async def _tell(client: Client, args: argparse.Namespace, stored: Imported) -> None:
    known = stored.conversation_id
    if args.output == "json":
        print_json({"conversation_id": known, "events": stored.events})
        return
    print_text(f"Conversation: {known}")
    print_text(f"{count(stored.events, 'event')} imported")
    if status(await client.state(known)) == "paused":
        print_text(f"its run is paused; it goes on with\n  {resume_command(args, known)}")


def _open(name: str) -> TextIO:
    if name == "-":
        return open(sys.stdin.fileno(), encoding="utf-8", closefd=False)
    return open(name, encoding="utf-8")
