"""Where the events of a conversation are: a fork's first ones stay with its parent."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from axtui.runtime.eventlog.base import LogDamaged

NO_END = 2**62
_REFERENCES = {(int, int), (type(None), type(None))}


class Segment(NamedTuple):
    """Events after < seq <= end stand under `number`."""

    number: int
    after: int
    end: int


def segments(connection: sqlite3.Connection, number: int) -> list[Segment]:
    """The parts of a conversation's log, oldest first."""
    parts: list[Segment] = []
    end = NO_END
    seen: set[int] = set()
    current: int | None = number
    while current is not None and end > 0:
        row = connection.execute(
            "SELECT parent, parent_end FROM conversations WHERE number = ?", (current,)
        ).fetchone()
        if row is None or current in seen or tuple(map(type, row)) not in _REFERENCES:
            raise LogDamaged(
                "what a fork refers to is missing from the log", "`axtui verify` says what else is"
            )
        seen.add(current)
        parent, parent_end = row
        after = parent_end or 0
        if after < end:
            parts.append(Segment(current, after, end))
        end = min(end, after)
        current = parent
    parts.reverse()
    return parts
