"""Taking whole conversations out of a SQLite log, and putting exported ones in."""

from __future__ import annotations

import sqlite3

from axtui.runtime.eventlog.segments import segments
from axtui.runtime.eventlog.writer import settle


def purge(connection: sqlite3.Connection, number: int) -> None:
    """Remove a conversation, its forks' references to it and the blobs that nothing else names."""
    settle(connection)
    forks = connection.execute("SELECT number FROM conversations WHERE parent = ?", (number,))
    for (fork,) in forks.fetchall():
        _materialise(connection, fork)
    for table in ("settled", "heads", "keyframes", "blob_refs", "conversations"):
        connection.execute(f"DELETE FROM {table} WHERE number = ?", (number,))
    connection.execute(
        "DELETE FROM blobs WHERE NOT EXISTS"
        " (SELECT 1 FROM blob_refs WHERE blob_refs.digest = blobs.digest)"
    )


def _materialise(connection: sqlite3.Connection, fork: int) -> None:
    """Copy what a fork refers to into its own rows. The bytes stay those of the source."""
    for part in segments(connection, fork)[:-1]:
        where = (fork, part.number, part.after, part.end)
        connection.execute(
            "INSERT INTO settled SELECT ?, seq, kind, step, request_id, envelope, payload"
            " FROM settled WHERE number = ? AND seq > ? AND seq <= ?",
            where,
        )
        connection.execute(
            "INSERT INTO blob_refs SELECT ?, seq, digest FROM blob_refs"
            " WHERE number = ? AND seq > ? AND seq <= ?",
            where,
        )
    connection.execute(
        "UPDATE conversations SET parent = NULL, parent_end = NULL WHERE number = ?", (fork,)
    )
