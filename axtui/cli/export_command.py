"""Write a conversation to a file: readable JSON with the stored bytes beside it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from axtui.cli.common import UsageError, print_text

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of export."""
    parser.add_argument("conversation", metavar="ID")
    parser.add_argument("--format", choices=("jsonl",), default="jsonl")
    parser.add_argument("--file", metavar="F", help="instead of standard output")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Write the lines; a file appears only once it is whole."""
    if args.file is None:
        async for line in client.export(args.conversation):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        return 0
    path = Path(args.file)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with partial.open("x", encoding="utf-8") as file:
            async for line in client.export(args.conversation):
                file.write(line + "\n")
                count += 1
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"--file {path}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    if args.output == "text":
        print_text(f"{count} lines written to {path}")
    return 0
