"""Reading from standard input without holding up anything else."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from axtui.cli.output import say

T = TypeVar("T")
_CHUNK = 1024 * 1024
_left = bytearray()


def can_ask() -> bool:
    """Whether there is a person who sees a question, and can answer it."""
    return sys.stdin.isatty() and (sys.stdout.isatty() or sys.stderr.isatty())


async def read_line(prompt: str) -> str | None:
    """A line from standard input, None at its end."""
    if can_ask():
        stream = sys.stdout if sys.stdout.isatty() else sys.stderr
        stream.write(prompt)
        stream.flush()
    return await _in_thread(_read_line)


async def read_all() -> bytes:
    """Standard input up to its end."""
    if sys.stdin.isatty():
        say("axtui: reading from the terminal; Ctrl+D ends it")
    return await _in_thread(_read_all)


def _read_line() -> str | None:
    # Not `sys.stdin`: a thread that waits in there can't be left behind at the end.
    while b"\n" not in _left:
        chunk = os.read(sys.stdin.fileno(), _CHUNK)
        if not chunk:
            break
        _left.extend(chunk)
    line, newline, rest = bytes(_left).partition(b"\n")
    _left[:] = rest
    return line.decode(errors="replace").rstrip("\r") if line or newline else None


def _read_all() -> bytes:
    parts = [bytes(_left)]
    _left.clear()
    while chunk := os.read(sys.stdin.fileno(), _CHUNK):
        parts.append(chunk)
    return b"".join(parts)


async def _in_thread(read: Callable[[], T]) -> T:
    """What `read` gives back. Its thread is left behind if nobody wants that any more."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: OSError | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, error = None, None
        try:
            value = read()
        except OSError as failure:
            error = failure
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="axtui-input", daemon=True).start()
    return await done
