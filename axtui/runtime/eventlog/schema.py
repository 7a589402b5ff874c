"""The tables of the SQLite store, and how a file of an older version becomes one of this."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from google.protobuf.message import DecodeError

from axtui.runtime.eventlog.base import LogDamaged, LogError, NoLog, OldLog
from axtui.runtime.eventlog.blocks import store

APPLICATION_ID = 0x61787475  # "axtu"

# What goes wrong below us. SQLite's words of a damaged file may not even be text.
STORE_ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError)
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_RIGHT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FORBIDDEN = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# Our own statements are right: where SQLite finds them wrong, the file isn't what they are for.
_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_SCHEMA,
    }
)
_LITTLE_SPACE = 64 * 1024


def _into_blocks(connection: sqlite3.Connection) -> None:
    """What had a row for each event that has settled."""
    _execute(
        connection,
        """
        INSERT INTO settled SELECT * FROM fresh;
        DROP VIEW events;
        DROP TABLE fresh;

        -- Where events are written first, in the order they came: a commit of many runs touches a
        -- few pages at the end of this table, not one of each run's. Kept short, see writer.py.
        CREATE TABLE fresh (
            number INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            envelope BLOB NOT NULL,
            payload BLOB
        ) STRICT;

        -- Where they come to rest: see blocks.py. `kinds` are those in it, each between commas.
        CREATE TABLE blocks (
            id INTEGER PRIMARY KEY,
            number INTEGER NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            kinds TEXT NOT NULL,
            records BLOB NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX blocks_place ON blocks (number, first, kinds);

        -- The first event that a request has caused.
        CREATE TABLE requests (
            number INTEGER NOT NULL,
            id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            PRIMARY KEY (number, id)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO requests SELECT number, request_id, min(seq) FROM settled
            WHERE request_id IS NOT NULL GROUP BY number, request_id;
        """,
    )
    store(
        connection,
        connection.execute(
            "SELECT number, seq, kind, envelope, payload FROM settled ORDER BY number, seq"
        ),
    )
    connection.execute("DROP TABLE settled")


# Each entry brings a file from the version that is its index to the next; none ever changes.
MIGRATIONS: tuple[str | Callable[[sqlite3.Connection], None], ...] = (
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
    """
    -- NULL in rows of before, until whoever opens the log to write has summed them up.
    ALTER TABLE conversations ADD COLUMN tokens INTEGER;
    ALTER TABLE conversations ADD COLUMN cost_nusd INTEGER;
    ALTER TABLE conversations ADD COLUMN unpriced_calls INTEGER;
    """,
    """
    CREATE INDEX heads_updated ON heads (updated_us);
    """,
    _into_blocks,
)


def connect(path: Path, *, write: bool, probe: bool = False) -> sqlite3.Connection:
    """A connection with the durability that an acknowledgement stands for.

    `check_same_thread` is off: each connection is used by one thread at a time, which needn't be
    the one that made it. `probe` is for a look at a file that may not be ours: it leaves nothing
    beside it.
    """
    if write:
        uri = f"{path.absolute().as_uri()}?mode=rwc"
    elif Path(f"{path}-wal").exists() or (os.access(path.parent, os.W_OK) and not probe):
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


def create(path: Path) -> None:
    """Make an empty file for its owner alone; raise LogError for one that is there and not ours.

    Looked at first without a right to write: opening a file for writing may already change it.
    """
    try:
        # Never opened by hand once SQLite has it open: closing it would drop SQLite's locks.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # A crash may have left a journal behind, without which the file may look like anything.
        if Path(f"{path}-journal").exists():
            return
        with (
            suppress(sqlite3.OperationalError),
            closing(connect(path, write=False, probe=True)) as c,
        ):
            check(c, path)


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
    # In KiB. Settling large events takes more pages than the 2 MB that are usual; those that don't
    # fit are written, and read again, along the way.
    connection.execute("PRAGMA cache_size = -8000")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrate(connection, MIGRATIONS)


def migrate(
    connection: sqlite3.Connection,
    migrations: Sequence[str | Callable[[sqlite3.Connection], None]],
) -> None:
    """Run those migrations that the file hasn't seen, all of them in one transaction."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == len(migrations):
        return
    connection.execute("BEGIN")
    for migration in migrations[version:]:
        if isinstance(migration, str):
            _execute(connection, migration)
        else:
            migration(connection)
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute("COMMIT")


def _execute(connection: sqlite3.Connection, script: str) -> None:
    # Not `executescript`, which would end a transaction that has begun.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    if statement.strip():
        connection.execute(statement)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise LogError for a file that isn't ours, or is of a later version."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    if application != APPLICATION_ID and (application or tables):
        whose = (
            "an event log of AX" if "conversation_log" in tables else "a file of another program"
        )
        raise LogError(f"{path} is {whose}; nothing was changed", "choose another --data-dir")
    if version < 0:
        raise damaged(path, f"schema {version}")
    if version > len(MIGRATIONS):
        raise LogError(
            f"{path} was written by a later axtui (schema {version}; this one knows "
            f"{len(MIGRATIONS)})",
            "upgrade axtui; nothing was changed",
        )


def check_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raise LogError for a file that can't be read as it is."""
    check(connection, path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        raise NoLog(path)
    if version < len(MIGRATIONS):
        raise OldLog(
            f"{path} was written by an earlier axtui (schema {version}; this one knows "
            f"{len(MIGRATIONS)})",
            "end the axtui of before that has it; the next command brings it up to date",
        )


def explain(error: Exception, path: Path) -> LogError:
    """A store's error in words for whoever runs axtui."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK:
        # Cut short before it had a write-ahead log; whoever writes next plays the journal back.
        return NoLog(path)
    # The low byte of SQLite's code is its kind; the others tell how it came about.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = " ".join(str(error).split())
    number = error.errno if isinstance(error, OSError) else 0
    if code == sqlite3.SQLITE_FULL or number in _NO_SPACE or (_is_io(error) and _is_full(path)):
        return LogError(
            f"no space is left for {path}", "free some space; everything acknowledged is kept"
        )
    if code in _FORBIDDEN or number in _NO_RIGHT:
        return LogError(f"{path} can't be written", "check its permissions, or use --data-dir")
    if code == sqlite3.SQLITE_CANTOPEN:
        return LogError(f"{path} can't be opened", "check its permissions, or use --data-dir")
    if code == sqlite3.SQLITE_NOTADB:
        return LogDamaged(
            f"{path} isn't a SQLite file, or its beginning is damaged; nothing was changed",
            "restore it from a backup, or move it away to start anew",
        )
    if code in _BUSY:
        return LogError(f"{path} is locked by another program", "end it, or try again")
    if code in _DAMAGE or isinstance(error, DecodeError) or "decode" in text:
        return damaged(path, text)
    return LogError(f"{path}: {text}", "check the disk; everything acknowledged is kept")


def damaged(path: Path, what: str) -> LogDamaged:
    """The error of a file that holds something else than was written."""
    return LogDamaged(
        f"{path} is damaged ({what})", "restore it from a backup, or move it away to start anew"
    )


def _is_io(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR


def _is_full(path: Path) -> bool:
    # Where memory that is shared through a file can't grow, SQLite tells of an I/O error.
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE_SPACE
    except OSError:
        return False
