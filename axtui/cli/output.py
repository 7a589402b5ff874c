"""Everything that is printed goes through here: what it looks like, and what if it can't be."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, TextIO

from axtui.model.words import printable

# As a program has it that the signal of a broken pipe ends.
BROKEN_PIPE = 141
# As with Ctrl+C.
INTERRUPTED = 130


class OutputFailed(Exception):
    """Standard output can't be written."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def write(text: str) -> None:
    """Text to standard output, at once. What its encoding can't hold is replaced.

    Raises OutputFailed, or BrokenPipeError where whoever read it is gone.
    """
    if not text.isascii():
        encoding = sys.stdout.encoding or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(f"standard output can't be written: {error.strerror}") from None


def print_text(text: str = "") -> None:
    """A line of text, at once; a terminal is shown what it would otherwise obey."""
    write((printable(text) if sys.stdout.isatty() else text) + "\n")


def print_json(value: Any) -> None:
    """One JSON object on a line of its own, at once."""
    write(_json(value, sys.stdout.encoding) + "\n")


def say(text: str) -> None:
    """A line on standard error, at once. If that can't be written nobody is there to tell."""
    try:
        sys.stderr.write((printable(text) if sys.stderr.isatty() else text) + "\n")
        sys.stderr.flush()
    except OSError:
        drop(sys.stderr)


def report(
    code: str, message: str, hint: str = "", *, kind: str = "error", as_json: bool = False
) -> None:
    """Tell of an error, or a warning, on standard error."""
    if as_json:
        entry = {"kind": kind, "code": code, "message": message, "hint": hint}
        say(_json(entry, sys.stderr.encoding))
    else:
        first = f"axtui: {message}" if kind == "error" else f"axtui: {kind}: {message}"
        say(first + "".join(f"\n  {line}" for line in hint.splitlines()))


def drop(stream: TextIO) -> None:
    """Have what is still to be written go nowhere, so that the interpreter can end in peace."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _json(value: Any, encoding: str | None) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if not line.isascii():
        try:
            line.encode(encoding or "utf-8")
        except UnicodeEncodeError:
            return json.dumps(value)
    return line


def colored(no_color: bool) -> bool:
    """Whether standard output is a terminal that wants color."""
    return is_terminal() and not no_color and not os.environ.get("NO_COLOR")


def is_terminal() -> bool:
    """Whether standard output is a terminal on which things can be moved and drawn."""
    able = os.environ.get("TERM", "") not in ("", "dumb")
    return able and sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")
