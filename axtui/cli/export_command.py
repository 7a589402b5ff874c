"""Write a conversation to a file: readable JSON with the stored bytes beside it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError
from axtui.cli.control import add_id
from axtui.cli.output import OutputFailed, print_json, print_text
from axtui.model.words import count

if TYPE_CHECKING:
    from axtui.client import Client

# JSON may hold what UTF-8 can't, lone surrogates; escaped this way they are JSON as well.
_ESCAPED = "backslashreplace"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of export."""
    add_id(parser)
    parser.add_argument("--format", choices=("jsonl",), default="jsonl", help="what to write")
    parser.add_argument("--file", metavar="F", help="instead of standard output")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Write the lines; a file appears only once it is whole."""
    found = (await client.resolve(args.conversation)).summary.id
    if args.file is None:
        await _print(client, found)
        return 0
    lines = await _write(client, found, args.file)
    if args.output == "json":
        print_json({"conversation_id": found, "written": args.file, "lines": lines})
    else:
        print_text(f"{count(lines, 'line')} written to {args.file}")
    return 0


async def _print(client: Client, conversation_id: str) -> None:
    # UTF-8 whatever the locale says: it is read again by machines.
    out = sys.stdout.buffer
    try:
        async for line in client.export(conversation_id):
            out.write(f"{line}\n".encode(errors=_ESCAPED))
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(f"standard output can't be written: {error.strerror}") from None


async def _write(client: Client, conversation_id: str, file: str) -> int:
    path, partial = _places(file)
    try:
        with partial.open("w", encoding="utf-8", errors=_ESCAPED) as stream:
            lines = 0
            async for line in client.export(conversation_id):
                stream.write(f"{line}\n")
                lines += 1
        if partial != path:
            partial.replace(path)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"--file {file}: {error.strerror}") from None
    finally:
        if partial != path:
            partial.unlink(missing_ok=True)
    return lines


def _places(file: str) -> tuple[Path, Path]:
    """The file to write, and where it is written until it is whole: a pipe stays what it is."""
    path = Path(file)
    try:
        if path.is_dir():
            raise UsageError(f"--file {file}: it is a folder", "name a file in it")
        if path.exists() and not path.is_file():
            return path, path
        path = Path(os.path.realpath(path))
    except ValueError as error:
        raise UsageError(f"--file {file}: {error}") from None
    return path, path.with_name(f".{path.name}.{os.getpid()}")
