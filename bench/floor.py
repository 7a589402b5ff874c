"""The floor: what a program would do that writes the same bytes to SQLite by hand."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from axtui.model.events import Record

WAL_AUTOCHECKPOINT = 4000


class FloorRow(NamedTuple):
    """A row of the one table."""

    number: int
    seq: int
    kind: str
    envelope: bytes
    payload: bytes | None


def row(number: int, record: Record) -> FloorRow:
    """The row of an event in the conversation of that number."""
    return FloorRow(number, record.seq, record.kind, record.envelope, record.payload)


def rows_per_second(folder: Path, rows: Sequence[FloorRow], batch: int) -> float:
    """Insert `rows`, `batch` of them per transaction, with our own durability and page size."""
    with closing(_connect(folder / "floor.db")) as connection:
        started = time.perf_counter()
        for start in range(0, len(rows), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO events VALUES (?,?,?,?,?)", rows[start : start + batch]
            )
            connection.execute("COMMIT")
        return len(rows) / (time.perf_counter() - started)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT}")
    connection.execute(
        "CREATE TABLE events (number INTEGER, seq INTEGER, kind TEXT, envelope BLOB, payload BLOB,"
        " PRIMARY KEY (number, seq))"
    )
    return connection
