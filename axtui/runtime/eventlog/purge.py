"""Taking whole conversations out of a SQLite log, and putting exported ones in."""

from __future__ import annotations

import sqlite3

from axtui.runtime.eventlog.blocks import settle, settled, store
from axtui.runtime.eventlog.segments import segments


def purge(connection: sqlite3.Connection, number: int) -> None:
    """Remove a conversation, its forks' references to it and the blobs that nothing else names."""
    settle(connection)
    forks = connection.execute("SELECT number FROM conversations WHERE parent = ?", (number,))
    for (fork,) in forks.fetchall():
        _materialise(connection, fork)
    for table in ("blocks", "requests", "heads", "keyframes", "blob_refs", "conversations"):
        connection.execute(f"DELETE FROM {table} WHERE number = ?", (number,))
    connection.execute(
        "DELETE FROM blobs WHERE NOT EXISTS"
        " (SELECT 1 FROM blob_refs WHERE blob_refs.digest = blobs.digest)"
    )
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    for _ in range(free):
        # Hands one page back to the file system: Python takes but the first step of a pragma.
        connection.execute("PRAGMA incremental_vacuum").close()


def _materialise(connection: sqlite3.Connection, fork: int) -> None:
    """Copy what a fork refers to into its own rows. The bytes stay those of the source."""
    for part in segments(connection, fork)[:-1]:
        where = (fork, part.number, part.after, part.end)
        # The requests stay the source's: in the fork nobody has made them.
        for block in settled(connection, part.number, part.after, part.end):
            records = block.within(part.after, part.end).records()
            store(connection, ((fork, *record) for record in records))
        connection.execute(
            "INSERT INTO keyframes SELECT ?, seq, fold_version, state"
            " FROM keyframes WHERE number = ? AND seq > ? AND seq <= ?",
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
