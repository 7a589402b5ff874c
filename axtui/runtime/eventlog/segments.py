"""Where the events of a conversation are: a fork's first ones stay with its parent."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

NO_END = 2**62


class Segment(NamedTuple):
    """Events after < seq <= end stand under `number`."""

    number: int
    after: int
    end: int


def segments(connection: sqlite3.Connection, number: int) -> list[Segment]:
    """The parts of a conversation's log, oldest first."""
    parts: list[Segment] = []
    end = NO_END
    current: int | None = number
    while current is not None and end > 0:
        row = connection.execute(
            "SELECT parent, parent_end FROM conversations WHERE number = ?", (current,)
        ).fetchone()
        parent, parent_end = row if row is not None else (None, None)
        after = parent_end or 0
        if after < end:
            parts.append(Segment(current, after, end))
        end = min(end, after)
        current = parent
    parts.reverse()
    return parts
