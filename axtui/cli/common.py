"""What all commands share: their options, how errors are told, and the exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from axtui.client import Client

USAGE, REFUSED, FAILED = 2, 4, 1


class UsageError(Exception):
    """The call is wrong; nothing was done."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Command(Protocol):
    """What the file of a command has."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own options."""
        ...

    def run(self, client: Client, args: argparse.Namespace) -> Coroutine[Any, Any, int]:
        """Do it; gives back the exit status."""
        ...


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"`{self.prog} --help` lists the options")


def run_command(name: str, command: Any, argv: list[str]) -> int:
    """Parse, connect, run; turns every foreseeable error into a line and a status."""
    parser = _Parser(prog=f"axtui {name}", allow_abbrev=False, description=command.__doc__)
    command.configure(parser)
    add_common(parser)
    as_json = _wants_json(argv)
    try:
        args = parser.parse_args(argv)
        return asyncio.run(_connected(command, args))
    except BrokenPipeError:
        # Whoever read our output is gone, so there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        code, message, hint, status = told
        report(code, message, hint, as_json=as_json)
        return status


async def _connected(command: Command, args: argparse.Namespace) -> int:
    from axtui.client import connect
    from axtui.runtime.config_file import load

    config = load(args.config, args.data_dir, os.environ, Path.cwd())
    client = connect(config)
    try:
        return await command.run(client, args)
    finally:
        await client.close()


def explain(error: Exception) -> tuple[str, str, str, int] | None:
    """Code, message, hint and exit status of an error that is foreseen; None of any other."""
    from axtui.runtime.config_file import ConfigError
    from axtui.runtime.errors import Refused
    from axtui.runtime.eventlog.base import LeaseHeld, LogError, UnknownConversation

    if isinstance(error, UsageError):
        return "usage", str(error), error.hint, USAGE
    if isinstance(error, ConfigError):
        return "config", str(error), "", USAGE
    if isinstance(error, Refused):
        return error.code, str(error), error.hint, USAGE if error.code == "usage" else REFUSED
    if isinstance(error, UnknownConversation):
        return "unknown", str(error), error.hint, REFUSED
    if isinstance(error, LeaseHeld):
        return "held", str(error), error.hint, REFUSED
    if isinstance(error, LogError):
        return "log", str(error), error.hint, FAILED
    return None


def report(code: str, message: str, hint: str = "", *, as_json: bool) -> None:
    """Tell of an error on stderr."""
    if as_json:
        entry = {"kind": "error", "code": code, "message": message, "hint": hint}
        sys.stderr.write(json.dumps(entry, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"axtui: {message}\n" + (f"  {hint}\n" if hint else ""))


def _wants_json(argv: list[str]) -> bool:
    follows = any(a == "--output" and b == "json" for a, b in pairwise(argv))
    return follows or "--output=json" in argv


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command takes."""
    common = parser.add_argument_group("options of every command")
    common.add_argument("--config", metavar="FILE", help="the configuration to use")
    common.add_argument("--data-dir", metavar="DIR", help="where the log is kept")
    common.add_argument(
        "--output", choices=("text", "json"), default="text", help="json: one object a line"
    )
    common.add_argument("--no-color", action="store_true", help="as with NO_COLOR set")
    common.add_argument("-v", "--verbose", action="store_true", help="say more")


def print_json(value: Any) -> None:
    """One JSON object on a line of its own, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_text(text: str = "") -> None:
    """A line of text, at once. What the terminal's encoding can't show is replaced."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def read_argument(text: str, option: str) -> str:
    """The value of an option that takes TEXT, @FILE or, for standard input, -."""
    if text == "-":
        return sys.stdin.buffer.read().decode(errors="replace")
    if not text.startswith("@"):
        return text.encode(errors="replace").decode()
    try:
        return Path(text[1:]).read_text(errors="replace")
    except OSError as error:
        raise UsageError(f"{option} {text}: {error.strerror}") from None


def json_argument(text: str, option: str) -> Any:
    """The value of an option that takes JSON or @FILE."""
    try:
        return json.loads(read_argument(text, option))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option} isn't JSON: {error}") from None


def checkpoint(text: str) -> tuple[str, int | None]:
    """The id and seq of ID or ID:SEQ."""
    name, colon, seq = text.rpartition(":")
    if not colon:
        return text, None
    if not seq.isdecimal() or not name or int(seq) < 1:
        raise UsageError(f"{text!r} is no checkpoint", "write it as ID:SEQ, such as 0190…:12")
    return name, int(seq)


def ago(time_us: int, now_us: int) -> str:
    """How long ago something was, in the largest unit that says something."""
    seconds = max(0, (now_us - time_us) // 1_000_000)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def size_text(size: int) -> str:
    """Bytes for people."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def colored(args: argparse.Namespace) -> bool:
    """Whether standard output is a terminal that wants color."""
    return sys.stdout.isatty() and not args.no_color and not os.environ.get("NO_COLOR")
