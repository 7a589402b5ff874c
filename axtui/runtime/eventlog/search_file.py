"""The file of the search index: made where there is none, and made anew where it is damaged.

Whoever has it open holds its lock with others; who takes it away holds the lock alone, since SQLite
would mix up what two processes have open under one name.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

_APPLICATION_ID = 0x61787473  # "axts"
_VERSION = 1
_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.02
_SCHEMA = f"""
    -- How far each conversation is indexed, and what it was then.
    CREATE TABLE sources (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        parent INTEGER,
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL,
        hidden INTEGER NOT NULL
    ) STRICT;

    -- The events in which something can be found, and under the same number their text.
    CREATE TABLE places (
        number INTEGER PRIMARY KEY,
        source INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        actor TEXT NOT NULL,
        time_us INTEGER NOT NULL,
        internal INTEGER NOT NULL,
        UNIQUE (source, seq)
    ) STRICT;
    CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'unicode61 remove_diacritics 2');

    PRAGMA application_id = {_APPLICATION_ID};
    PRAGMA user_version = {_VERSION};
"""


class IndexFile:
    """An open index, or one that is gone when it is closed."""

    def __init__(self, connection: sqlite3.Connection, lock: int = -1) -> None:
        self.connection = connection
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, anew: bool = False) -> IndexFile:
        """The index in a file; `anew` where what it holds is damaged. Where there can't be such a
        file, or others have the damaged one open, a temporary one."""
        try:
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return cls.temporary()
        try:
            connection = _locked(path, lock, anew)
        except (OSError, sqlite3.Error):
            os.close(lock)
            return cls.temporary()
        return cls(connection, lock)

    @classmethod
    def temporary(cls) -> IndexFile:
        """An empty index of this process alone. SQLite keeps it where temporary files are."""
        connection = _connect("")
        connection.executescript(_SCHEMA)
        return cls(connection)

    @property
    def is_temporary(self) -> bool:
        """Whether it is of this process alone."""
        return self._lock < 0

    def close(self) -> None:
        """Let go of it."""
        with suppress(sqlite3.Error):
            self.connection.close()
        if self._lock >= 0:
            os.close(self._lock)


def _locked(path: Path, lock: int, anew: bool) -> sqlite3.Connection:
    """The index, with a part in its lock. Raises OSError or sqlite3.Error."""
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if not anew and (connection := _sound(path)):
                return connection
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if anew or not (connection := _sound(path)):
                connection = _make(path)
            fcntl.flock(lock, fcntl.LOCK_SH)
            return connection
        except BlockingIOError:
            # Two of which each wants to be alone would wait for each other.
            fcntl.flock(lock, fcntl.LOCK_UN)
            if time.monotonic() > end:
                raise
            time.sleep(_POLL_SECONDS)


def _sound(path: Path) -> sqlite3.Connection | None:
    """A connection to the index, if there is one and it looks like one of ours."""
    if not path.exists():
        return None
    connection = _connect(path)
    try:
        told = [
            connection.execute(f"PRAGMA {of}").fetchone()[0]
            for of in ("application_id", "user_version")
        ]
        if told == [_APPLICATION_ID, _VERSION]:
            connection.execute("SELECT 1 FROM sources, places, texts LIMIT 1").fetchone()
            # One that can't be written is of no use.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            return connection
    except sqlite3.Error as error:
        if is_damage(error):
            connection.close()
            return None
        connection.close()
        raise
    connection.close()
    return None


def _make(path: Path) -> sqlite3.Connection:
    for end in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with closing(_connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {_SCHEMA}; COMMIT")
    return _connect(path)


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 5000")
    # A power cut may take the last of it, never its sense; it is caught up again.
    connection.execute("PRAGMA synchronous = NORMAL")
    # Of what is purged nothing stays in pages that are free.
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def is_damage(error: Exception) -> bool:
    """Whether an index that says so is no good any more."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return not str(error).startswith("fts5: ") and code in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_SCHEMA,
    )
