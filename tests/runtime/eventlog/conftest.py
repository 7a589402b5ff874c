"""The stores that the contract holds for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from axtui.runtime.eventlog.base import EventLog
from axtui.runtime.eventlog.sqlite import SqliteLog


class Store(Protocol):
    """One store; `write` and `read` open it, and what they open is closed after the test."""

    def write(self) -> EventLog: ...

    def read(self) -> EventLog: ...


class SqliteStore:
    """A store in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[SqliteLog] = []

    def write(self) -> SqliteLog:
        self.opened.append(SqliteLog.open_to_write(self.path))
        return self.opened[-1]

    def read(self) -> SqliteLog:
        self.opened.append(SqliteLog.open_to_read(self.path))
        return self.opened[-1]

    async def close(self) -> None:
        # The last to close folds the write-ahead log in, which a reader can't.
        for log in reversed(self.opened):
            await log.close()
        self.opened.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; in memory, where that can be, since most tests needn't wait for a disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm", prefix="axtui-test-") as name:
        yield Path(name)


@pytest.fixture
async def sqlite(folder: Path) -> AsyncIterator[SqliteStore]:
    """A store in a SQLite file."""
    store = SqliteStore(folder / "data" / "log.db")
    yield store
    await store.close()


@pytest.fixture
def settling(sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> SqliteStore:
    """The same, in which events come to rest at once, in blocks that are full with four of them."""
    monkeypatch.setattr("axtui.runtime.eventlog.writer.FRESH_EVENTS", 3)
    monkeypatch.setattr("axtui.runtime.eventlog.blocks.BLOCK", 4)
    return sqlite


@pytest.fixture(params=["sqlite", "settling"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each kind of store; the promises of `EventLog` hold for all of them."""
    return request.getfixturevalue(request.param)


@pytest.fixture
async def log(store: Store) -> EventLog:
    """A new log, open to be written."""
    return store.write()
