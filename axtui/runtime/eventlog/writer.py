"""The one thread that writes a SQLite log: everything that waits goes into the next transaction."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from axtui.model.fold import FOLD_VERSION
from axtui.runtime.eventlog.base import LeaseLost, LogError, LogFailed
from axtui.runtime.eventlog.blocks import settle
from axtui.runtime.eventlog.conversation import Append
from axtui.runtime.eventlog.schema import explain

MAX_BATCH = 2000
# A large event counts as one for each KiB, so that settling never stalls the queue for long.
FRESH_EVENTS = 4096
Job = Callable[[sqlite3.Connection], None]
Done = Callable[[LogError | None], None]


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
        self._file = self._look()
        self._failed: LogError | None = None
        self._fresh = 0
        self._queue: SimpleQueue[list[Append] | tuple[Job, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="axtui-writer", daemon=True)
        self._thread.start()

    def put(self, appends: list[Append]) -> None:
        """Queue appends behind those that are there."""
        self._queue.put(appends)

    def call(self, job: Job, done: Done) -> None:
        """Run `job` in a transaction of its own, behind what is queued; `done` as for appends."""
        self._queue.put((job, done))

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
                    job, done = item
                    done(self._transaction(job))
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
        # After a failed write nobody knows what the disk has; only opening the log again tells.
        self._failed = self._transaction(lambda connection: self._write_batch(connection, batch))
        self._done(batch, self._failed)

    def _transaction(self, job: Job) -> LogError | None:
        """Do `job` if this is still the writer, all of it or nothing."""
        if self._failed is not None:
            return self._failed
        connection = self._connection
        try:
            self._check_file()
            connection.execute("BEGIN IMMEDIATE")
            self._check_epoch()
            job(connection)
            connection.execute("COMMIT")
            # A file that is gone still takes writes; they must not be acknowledged. Its size may
            # be another by now, for a checkpoint gives back what was purged.
            self._file = (*self._file[:2], 0)
            self._check_file()
        except LogFailed as error:
            return error
        # Whatever it is, those who wait must hear of it, and this thread must go on.
        except Exception as error:
            known = error if isinstance(error, LogError) else explain(error, self._path)
            return LogFailed(str(known), known.hint)
        finally:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
        return None

    def _write_batch(self, connection: sqlite3.Connection, batch: list[Append]) -> None:
        self._fresh += _write(connection, batch)
        if self._fresh >= FRESH_EVENTS:
            settle(connection)
            self._fresh = 0

    def _check_epoch(self) -> None:
        row = self._connection.execute("SELECT epoch FROM lease").fetchone()
        if row != (self._epoch,):
            raise LeaseLost(
                f"another process has taken over {self._path}",
                "what was acknowledged is kept; resume the run there",
            )

    def _check_file(self) -> None:
        found = self._look()
        if found[:2] != self._file[:2] or found[2] < self._file[2]:
            raise LogFailed(
                f"{self._path} was deleted, replaced or cut while it was being written",
                "restore it; what was acknowledged is in the old file only",
            )
        self._file = found

    def _look(self) -> tuple[int, int, int]:
        """Device, inode and size of the file; zeros if it is gone."""
        try:
            found = os.stat(self._path)
        except OSError:
            return 0, 0, 0
        return found.st_dev, found.st_ino, found.st_size


def _write(connection: sqlite3.Connection, batch: list[Append]) -> int:
    rows = [row for append in batch for row in append.rows]
    last = {append.conversation.number: append for append in batch}
    summaries: dict[int, Append] = {}
    for append in batch:
        if append.summary is not None:
            summaries[append.conversation.number] = append
        if append.keyframes or append.blobs or append.blob_refs or append.requests:
            _write_extras(connection, append)
    if summaries:
        _write_summaries(connection, summaries)
    _insert(connection, "INSERT INTO fresh VALUES", 5, rows)
    heads = [(number, *append.head) for number, append in last.items()]
    _insert(connection, "INSERT OR REPLACE INTO heads VALUES", 4, heads)
    return sum(1 + len(payload or b"") // 1024 for *_, payload in rows)


def _write_summaries(connection: sqlite3.Connection, appends: dict[int, Append]) -> None:
    for number, append in appends.items():
        parent = append.conversation.parent or (None, None)
        connection.execute(
            "INSERT INTO conversations VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
            " ON CONFLICT (number) DO UPDATE SET state = excluded.state, agent = excluded.agent,"
            " exec_id = excluded.exec_id, title = excluded.title,"
            " waiting_for = excluded.waiting_for, deleted_us = excluded.deleted_us,"
            " tokens = excluded.tokens, cost_nusd = excluded.cost_nusd,"
            " unpriced_calls = excluded.unpriced_calls",
            (number, append.conversation.id, *parent, *(append.summary or ())[1:]),
        )


def _write_extras(connection: sqlite3.Connection, append: Append) -> None:
    number = append.conversation.number
    connection.executemany(
        "INSERT OR REPLACE INTO keyframes VALUES (?,?,?,?)",
        [(number, seq, FOLD_VERSION, state) for seq, state in append.keyframes],
    )
    connection.executemany("INSERT OR IGNORE INTO blobs VALUES (?,?)", append.blobs)
    refs = [(number, seq, digest) for seq, digest in append.blob_refs]
    # One that only an event of a later append will name is kept by the first row of this one.
    named = {digest for _, _, digest in refs}
    first = append.records[0].seq
    refs += [(number, first, digest) for digest, _ in append.blobs if digest not in named]
    connection.executemany("INSERT OR IGNORE INTO blob_refs VALUES (?,?,?)", refs)
    connection.executemany(
        "INSERT OR IGNORE INTO requests VALUES (?,?,?)",
        [(number, request_id, seq) for request_id, seq in append.requests],
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
