"""The one thread that writes a SQLite log: everything that waits goes into the next transaction."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from axtui.model.fold import FOLD_VERSION
from axtui.runtime.eventlog.base import LeaseLost, LogError, LogFailed
from axtui.runtime.eventlog.conversation import Append
from axtui.runtime.eventlog.schema import explain

MAX_BATCH = 2000
FRESH_EVENTS = 4096
Job = Callable[[sqlite3.Connection], None]


class Writer:
    """Commits batches of appends. `done` is called in this thread after each."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        epoch: int,
        done: Callable[[list[Append], LogError | None], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._epoch = epoch
        self._done = done
        self._inode = _inode(path)
        self._failed: LogError | None = None
        self._fresh = 0
        self._queue: SimpleQueue[list[Append] | Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="axtui-writer", daemon=True)
        self._thread.start()

    def put(self, appends: list[Append]) -> None:
        """Queue appends behind those that are there."""
        self._queue.put(appends)

    def call(self, job: Job) -> None:
        """Run `job` in a transaction of its own, behind what is queued."""
        self._queue.put(job)

    def stop(self) -> None:
        """Commit what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            item = self._queue.get()
            batch: list[Append] = []
            while True:
                if isinstance(item, list):
                    batch += item
                elif item is None:
                    stopping = True
                else:
                    self._flush(batch)
                    batch = []
                    item(self._connection)
                if stopping or len(batch) >= MAX_BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    break
            self._flush(batch)

    def _flush(self, batch: list[Append]) -> None:
        if not batch:
            return
        if self._failed is None:
            try:
                self._commit(batch)
            except LogError as error:
                self._failed = error
            except (sqlite3.Error, OSError) as error:
                known = explain(error, self._path)
                self._failed = LogFailed(str(known), known.hint)
        self._done(batch, self._failed)

    def _commit(self, batch: list[Append]) -> None:
        connection = self._connection
        self._check_file()
        connection.execute("BEGIN IMMEDIATE")
        try:
            epoch = connection.execute("SELECT epoch FROM lease").fetchone()[0]
            if epoch != self._epoch:
                raise LeaseLost(
                    f"another process has taken over {self._path}",
                    "what was acknowledged is kept; resume the run there",
                )
            self._fresh += _write(connection, batch)
            if self._fresh >= FRESH_EVENTS:
                settle(connection)
                self._fresh = 0
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        # A file that is gone still takes writes; they must not be acknowledged.
        self._check_file()

    def _check_file(self) -> None:
        if _inode(self._path) != self._inode:
            raise LogFailed(
                f"{self._path} was deleted or replaced while it was being written",
                "restore it; what was acknowledged is in the old file only",
            )


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def settle(connection: sqlite3.Connection) -> None:
    """Move what was written last to where each conversation's events stand together."""
    connection.execute("INSERT INTO settled SELECT * FROM fresh ORDER BY number, seq")
    connection.execute("DELETE FROM fresh")


def _write(connection: sqlite3.Connection, batch: list[Append]) -> int:
    events: list[Any] = []
    last: dict[int, Append] = {}
    summaries: dict[int, Append] = {}
    for append in batch:
        number = append.conversation.number
        for row in append.rows:
            record = row.record
            events.append(
                (
                    number,
                    record.seq,
                    record.kind,
                    row.step,
                    row.request_id,
                    record.envelope,
                    record.payload,
                )
            )
        last[number] = append
        if append.summary is not None:
            summaries[number] = append
        if append.keyframe is not None or append.blobs or any(row.blobs for row in append.rows):
            _write_extras(connection, append)
    if summaries:
        _write_summaries(connection, summaries)
    _insert(connection, "INSERT INTO fresh VALUES", 7, events)
    heads = [
        (number, append.head.seq, append.head.hash, append.head.time_us)
        for number, append in last.items()
    ]
    _insert(connection, "INSERT OR REPLACE INTO heads VALUES", 4, heads)
    return len(events)


def _write_summaries(connection: sqlite3.Connection, appends: dict[int, Append]) -> None:
    for number, append in appends.items():
        parent = append.conversation.parent or (None, None)
        connection.execute(
            "INSERT INTO conversations VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
            " ON CONFLICT (number) DO UPDATE SET state = excluded.state, agent = excluded.agent,"
            " exec_id = excluded.exec_id, title = excluded.title,"
            " waiting_for = excluded.waiting_for, deleted_us = excluded.deleted_us",
            (number, append.conversation.id, *parent, *(append.summary or ())[1:]),
        )


def _write_extras(connection: sqlite3.Connection, append: Append) -> None:
    number = append.conversation.number
    if append.keyframe is not None:
        connection.execute(
            "INSERT OR REPLACE INTO keyframes VALUES (?,?,?,?)",
            (number, append.head.seq, FOLD_VERSION, append.keyframe),
        )
    connection.executemany("INSERT OR IGNORE INTO blobs VALUES (?,?)", append.blobs)
    connection.executemany(
        "INSERT OR IGNORE INTO blob_refs VALUES (?,?,?)",
        [(number, row.record.seq, digest) for row in append.rows for digest in row.blobs],
    )


def _insert(
    connection: sqlite3.Connection, into: str, width: int, rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows with few statements: SQLite gives up the interpreter's lock at each, and
    getting it back costs more than the insert."""
    for chunk in _chunks(rows):
        flat = [value for row in chunk for value in row]
        connection.execute(_statement(into, width, len(chunk)), flat)


def _chunks(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    # Sizes from a few powers of two, so that prepared statements are found again.
    start = 0
    while start < len(rows):
        size = min(256, 1 << (len(rows) - start).bit_length() - 1)
        yield rows[start : start + size]
        start += size


@cache
def _statement(into: str, width: int, count: int) -> str:
    row = f"({','.join('?' * width)})"
    return f"{into} {','.join([row] * count)}"
