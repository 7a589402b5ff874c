"""The tables of the SQLite store, and how a file of an older version becomes one of this."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from axtui.runtime.eventlog.base import LogDamaged, LogError

APPLICATION_ID = 0x61787475  # "axtu"

# Each entry brings a file from the version that is its index to the next; none ever changes.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE lease (id INTEGER PRIMARY KEY CHECK (id = 0), epoch INTEGER NOT NULL) STRICT;
    INSERT INTO lease VALUES (0, 0);

    -- A row per conversation: the summary, and where the events up to parent_end are.
    CREATE TABLE conversations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        parent INTEGER,
        parent_end INTEGER,
        state TEXT NOT NULL,
        agent TEXT NOT NULL,
        exec_id TEXT NOT NULL,
        title TEXT NOT NULL,
        waiting_for TEXT NOT NULL,
        created_us INTEGER NOT NULL,
        parent_id TEXT NOT NULL,
        parent_seq INTEGER NOT NULL,
        deleted_us INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX conversations_parent ON conversations (parent) WHERE parent IS NOT NULL;

    -- Apart from the summary, since it changes at every append and should touch few pages.
    CREATE TABLE heads (
        number INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL,
        updated_us INTEGER NOT NULL
    ) STRICT;

    -- Where events come to rest, each conversation's together.
    CREATE TABLE settled (
        number INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        step TEXT,
        request_id TEXT,
        envelope BLOB NOT NULL,
        payload BLOB,
        PRIMARY KEY (number, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX settled_request ON settled (number, request_id) WHERE request_id IS NOT NULL;
    CREATE INDEX settled_message ON settled (number, seq) WHERE kind = 'message';

    -- Where they are written first, in the order they came: a commit of many runs touches a few
    -- pages at the end of this table, not one of each run's. Kept short, see writer.py.
    CREATE TABLE fresh (
        number INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        step TEXT,
        request_id TEXT,
        envelope BLOB NOT NULL,
        payload BLOB
    ) STRICT;

    CREATE VIEW events AS SELECT * FROM settled UNION ALL SELECT * FROM fresh;

    CREATE TABLE keyframes (
        number INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        fold_version INTEGER NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (number, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE blobs (digest BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE blob_refs (
        number INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (number, seq, digest)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blob_refs_digest ON blob_refs (digest);
    """,
)


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """A connection with the durability that an acknowledgement stands for.

    `check_same_thread` is off: each connection is used by one thread at a time, which needn't be
    the one that made it.
    """
    if write:
        uri = f"{path.absolute().as_uri()}?mode=rwc"
    elif os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists():
        uri = f"{path.absolute().as_uri()}?mode=ro"
    else:
        # Without a write-ahead log beside it nothing can change under us, and in a folder that
        # can't be written SQLite could not make the shared memory it otherwise reads through.
        uri = f"{path.absolute().as_uri()}?immutable=1"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Set up a new file for writing, or bring an old one to this version."""
    check(connection, path)
    if not connection.execute("PRAGMA application_id").fetchone()[0]:
        # Only ever possible before the first table.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise LogError(
            f"{path.parent} can't hold a write-ahead log (SQLite fell back to {mode!r})",
            "choose a --data-dir on a local disk",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrate(connection, MIGRATIONS)


def migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Run those migrations that the file hasn't seen, each in a transaction with its version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise LogError for a file that isn't ours, or is of a later version."""
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise explain(error, path) from None
    if application != APPLICATION_ID and (application or tables):
        raise LogError(f"{path} is a SQLite file of another program", "choose another --data-dir")
    if version > len(MIGRATIONS):
        raise LogError(
            f"{path} was written by a later axtui (schema {version}; this one knows "
            f"{len(MIGRATIONS)})",
            "upgrade axtui; nothing was changed",
        )


def explain(error: Exception, path: Path) -> LogError:
    """A store's error in words for whoever runs axtui."""
    text = str(error)
    if "full" in text or getattr(error, "errno", 0) == 28:
        return LogError(
            f"no space is left for {path}", "free some space; everything acknowledged is kept"
        )
    if "readonly" in text or "read-only" in text or isinstance(error, PermissionError):
        return LogError(f"{path} can't be written", "check its permissions, or use --data-dir")
    if "unable to open" in text:
        return LogError(f"{path} can't be opened", "check its permissions, or use --data-dir")
    if "malformed" in text or "not a database" in text or "no such table" in text:
        return LogDamaged(
            f"{path} is damaged ({text})",
            "restore it from a backup, or move it away to start anew",
        )
    return LogError(f"{path}: {text}", "check the disk; everything acknowledged is kept")
