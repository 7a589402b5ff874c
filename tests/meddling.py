"""Logs of an earlier version, and changes behind the back of one of this."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from axtui.runtime.eventlog.blocks import settled, store
from axtui.runtime.eventlog.segments import NO_END

# Of a version that had a row for each event: some had settled, some not; a fork, a blob.
_OLD = Path(__file__).with_name("schema3.db.gz")


def make_old(path: Path) -> None:
    """Make a log that an earlier axtui has written."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.decompress(_OLD.read_bytes()))


@contextmanager
def spread(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in which events that have settled have a row each, in a table `settled`; they
    are put together again at the end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TEMP TABLE settled (number, seq, kind, envelope, payload)")
        _move(connection, "settled")
        yield connection
        store(connection, connection.execute("SELECT * FROM settled ORDER BY number, seq"))


def unsettle(connection: sqlite3.Connection) -> None:
    """Make all events fresh."""
    _move(connection, "fresh")


def _move(connection: sqlite3.Connection, table: str) -> None:
    for (number,) in connection.execute("SELECT DISTINCT number FROM blocks").fetchall():
        for block in settled(connection, number, 0, NO_END):
            rows = [(number, *record) for record in block.records()]
            connection.executemany(f"INSERT INTO {table} VALUES (?,?,?,?,?)", rows)
    connection.execute("DELETE FROM blocks")
