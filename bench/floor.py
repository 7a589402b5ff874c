"""The floor: what a program would do that writes the same bytes to SQLite by hand, and one that
makes them in tasks that wait for each."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from axtui.model.events import Draft, Head, Payload, Record, envelope_hash, seal

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
            _insert(connection, rows[start : start + batch])
        return len(rows) / (time.perf_counter() - started)


async def appends_per_second(
    folder: Path, tasks: int, appends: int, payload: Callable[[int], Payload]
) -> float:
    """Have `tasks` append at once, each awaiting every one of its appends: events are sealed and
    chained, a thread commits what waits. There is no fold, no limit and no second look."""
    loop = asyncio.get_running_loop()
    waiting: list[tuple[FloorRow, asyncio.Future[None]]] = []

    async def append(number: int) -> None:
        head = Head()
        for ordinal in range(appends):
            draft = Draft(payload(ordinal), "run", "bench")
            record, event = seal(draft, f"c-{number}", head, time.time_ns() // 1000)
            head = Head(record.seq, envelope_hash(record.envelope), event.time_us)
            if not waiting:
                loop.call_soon(flush)
            done = loop.create_future()
            waiting.append((row(number, record), done))
            await done

    def flush() -> None:
        batch = waiting[:]
        waiting.clear()
        thread.submit(commit, batch)

    def commit(batch: Sequence[tuple[FloorRow, asyncio.Future[None]]]) -> None:
        _insert(connection, [row for row, _ in batch])
        loop.call_soon_threadsafe(tell, [done for _, done in batch])

    def tell(committed: Sequence[asyncio.Future[None]]) -> None:
        for done in committed:
            done.set_result(None)

    with closing(_connect(folder / "floor.db")) as connection, ThreadPoolExecutor(1) as thread:
        started = time.perf_counter()
        await asyncio.gather(*map(append, range(tasks)))
        return tasks * appends / (time.perf_counter() - started)


def _insert(connection: sqlite3.Connection, rows: Sequence[FloorRow]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO events VALUES (?,?,?,?,?)", rows)
    connection.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT}")
    connection.execute(
        "CREATE TABLE events (number INTEGER, seq INTEGER, kind TEXT, envelope BLOB, payload BLOB,"
        " PRIMARY KEY (number, seq))"
    )
    return connection
