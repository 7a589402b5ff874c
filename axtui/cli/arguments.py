"""What options and arguments are read with. What can't be right is told before anything is done."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axtui.cli.prompt import read_all

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.summary import Listed

_MOST = 2**62


class UsageError(Exception):
    """The call is wrong; nothing was done."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def words(text: str) -> str:
    """An argument that is kept as text. What isn't UTF-8 in it is replaced."""
    return _utf8(text, "replace")


def name(text: str) -> str:
    """An argument that names something."""
    try:
        found = _utf8(text, "strict")
    except UnicodeError:
        raise argparse.ArgumentTypeError("it isn't UTF-8 text") from None
    if not found:
        raise argparse.ArgumentTypeError("it is empty")
    return found


def given(text: str) -> str:
    """An argument that is taken as it is. Raises what argparse tells if it is empty: that is what
    a variable of a shell that isn't set looks like, and another log would be worked on."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def amount(text: str) -> int:
    """An argument that counts something."""
    try:
        found = int(text)
    except ValueError:
        found = -1
    if not 0 <= found <= _MOST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} isn't a whole number from 0 on")
    return found


def duration(text: str) -> float:
    """An argument that says how long, in seconds."""
    from axtui.client import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _utf8(text: str, errors: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Bytes that the locale knows nothing of; they may well be UTF-8.
        return os.fsencode(text).decode(errors=errors)
    return text


async def text_argument(text: str, option: str) -> str:
    """The value of an option that takes TEXT, @FILE or, for standard input, -."""
    if text == "-":
        return (await read_all()).decode(errors="replace")
    if not text.startswith("@"):
        return words(text)
    try:
        return _read(text[1:])
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{option} {text}: {why}", "after the @ comes the name of a file"
        ) from None


def _read(file: str) -> str:
    return Path(file).read_bytes().decode(errors="replace")


async def json_argument(text: str, option: str) -> Any:
    """The value of an option that takes JSON or @FILE."""
    from axtui.model.codec import dump_json

    source = await text_argument(text, option)
    try:
        value = json.loads(source)
        dump_json(value)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option} isn't JSON: {error}", _example(option)) from None
    return value


def _example(option: str) -> str:
    return f"""such as {option} '{{"key": "value"}}', or {option} @FILE"""


async def checkpoint(client: Client, text: str) -> tuple[Listed, int | None]:
    """The conversation and, if there is one, the seq of ID or ID:SEQ."""
    from axtui.client import Refused, UnknownConversation

    try:
        return await client.resolve(text), None
    except UnknownConversation:
        before, colon, seq = text.rpartition(":")
        if not colon:
            raise
    found = await client.resolve(before)
    try:
        number = amount(seq)
    except argparse.ArgumentTypeError:
        number = 0
    if not 1 <= number <= found.seq:
        raise Refused(
            "usage",
            f"conversation {found.summary.id} has no event {seq[:40]!r}",
            f"its events are 1 to {found.seq}; a checkpoint is written ID:SEQ",
        )
    return found, number
