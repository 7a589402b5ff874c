"""Random histories of a store, against what a plain list would say."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from axtui.model.events import Draft, Record
from axtui.runtime.eventlog import conversation, writer
from axtui.runtime.eventlog.base import LeaseLost, LogError, Taken, UnknownConversation
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.v1 import event_pb2 as pb

from .drafts import done, everything, faults, folded, forked, note, said, started, step

DRAFTS = st.sampled_from([note("x"), started(), said("hi"), step("1"), done("1"), step("2")])
BLOBS = st.sampled_from(["a" * 40_000, "b" * 40_000])


class Store(RuleBasedStateMachine):
    """A log, and beside it a list of records per conversation."""

    names = Bundle("names")

    @initialize()
    def open(self) -> None:
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="axtui-test-", dir=base)
        self.path = Path(self.folder, "log.db")
        self.runner = asyncio.Runner()
        self.logs = [self.run(self._open())]
        self.written: dict[str, list[Record]] = {}
        self.count = 0

    def teardown(self) -> None:
        if hasattr(self, "logs"):
            for log in self.logs:
                self.run(log.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    async def _open(self) -> SqliteLog:
        return SqliteLog.open_to_write(self.path)

    def run(self, awaitable: Any) -> Any:
        return self.runner.run(awaitable)

    @property
    def log(self) -> SqliteLog:
        return self.logs[-1]

    def new_name(self) -> str:
        self.count += 1
        return f"c{self.count}"

    @rule(target=names, drafts=st.lists(DRAFTS, min_size=1, max_size=4))
    def begin(self, drafts: list[Draft]) -> str:
        name = self.new_name()
        self.written[name] = self.run(self._append(name, drafts))
        return name

    @rule(name=names, appends=st.lists(st.lists(DRAFTS, max_size=4), min_size=1, max_size=4))
    def append(self, name: str, appends: list[list[Draft]]) -> None:
        self.written[name] += self.run(self._append(name, *appends))

    @rule(name=names, text=BLOBS)
    def append_blob(self, name: str, text: str) -> None:
        async def append() -> list[Record]:
            found = await self.log.conversation(name)
            commit = found.append(Draft(pb.StepCompleted(key="1", result=found.data(text))))
            await commit
            return commit.records

        self.written[name] += self.run(append())

    async def _append(self, name: str, *appends: list[Draft]) -> list[Record]:
        found = await self.log.conversation(name, create=True)
        commits = [found.append(*drafts) for drafts in appends]
        for commit in commits:
            await commit
        return [record for commit in commits for record in commit.records]

    @rule(target=names, name=names, where=st.floats(0, 1), more=st.lists(DRAFTS, max_size=3))
    def fork(self, name: str, where: float, more: list[Draft]) -> str:
        source = self.written[name]
        seq = 1 + round(where * (len(source) - 1))
        new = self.new_name()

        async def fork() -> list[Record]:
            found = await self.log.fork(name, seq, new)
            commit = found.append(forked(found, name), *more)
            await commit
            return commit.records

        self.written[new] = source[:seq] + self.run(fork())
        return new

    @rule(name=consumes(names))
    def purge(self, name: str) -> None:
        self.run(self.log.purge(name))
        del self.written[name]
        with pytest.raises(UnknownConversation):
            self.run(self.log.read(name))

    @rule(name=names, other=names)
    def refuse_what_is_there(self, name: str, other: str) -> None:
        with pytest.raises(Taken):
            self.run(self.log.fork(name, 1, other))
        with pytest.raises(LogError):
            self.run(self.log.fork(name, len(self.written[name]) + 1, "new"))

    @rule(target=names, name=names)
    def export_and_import(self, name: str) -> str:
        """Another's bytes, under an id of their own."""
        new = self.new_name()
        kept = self.written[name]

        async def restore() -> None:
            records = await everything(self.log, name)
            blobs = {
                digest: await self.log.blob(digest)
                for record in records
                for digest in conversation.blobs_of(record.event())
            }
            await self.log.purge(name)
            await self.log.restore(name, records, list(blobs.items()))

        if name == kept[-1].event().conversation_id:
            self.run(restore())
        self.written[new] = self.run(self._append(new, [note()]))
        return new

    @rule()
    def reopen(self) -> None:
        self.run(self.logs.pop().close())
        self.logs.append(self.run(self._open()))

    @precondition(lambda self: len(self.logs) < 3)
    @rule()
    def lose_the_lease(self) -> None:
        os.unlink(f"{self.path}.lock")
        self.logs.append(self.run(self._open()))

    @precondition(lambda self: len(self.logs) > 1)
    @rule(name=names)
    def write_without_the_lease(self, name: str) -> None:
        async def append(log: SqliteLog) -> None:
            await (await log.conversation(name)).append(note("stale"))

        with pytest.raises((LeaseLost, UnknownConversation)):
            self.run(append(self.logs[0]))
        with pytest.raises((LeaseLost, UnknownConversation)):
            self.run(self.logs[0].purge(name))

    @invariant()
    def all_is_as_written(self) -> None:
        if hasattr(self, "logs"):
            self.run(self._check())

    async def _check(self) -> None:
        listed = await self.log.conversations()
        assert {found.summary.id for found in listed} == set(self.written)
        for name, records in self.written.items():
            assert await everything(self.log, name) == records
            middle = (len(records) + 1) // 2
            assert await self.log.state(name) == folded(records)
            assert await self.log.state(name, middle) == folded(records[:middle])
            newest = await self.log.read(name, newest_first=True, limit=2)
            assert newest == records[::-1][:2]
        assert await faults(self.log) == []


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settle and make keyframes every few events."""
    monkeypatch.setattr(writer, "FRESH_EVENTS", 7)
    monkeypatch.setattr(conversation, "KEYFRAME_EVERY", 3)


def test_random_histories() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Store,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
