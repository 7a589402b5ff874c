"""Events move from `fresh` into blocks behind everybody's back."""

import asyncio
from contextlib import closing

import pytest

from axtui.runtime.eventlog import reader as module
from axtui.runtime.eventlog import writer
from axtui.runtime.eventlog.base import LogError, LogFailed
from axtui.runtime.eventlog.schema import connect

from .drafts import Cut, everything, faults, folded, fork, note, notes, started, write


def rows(path):
    """How many events are fresh, and how many settled."""
    with closing(connect(path, write=False)) as connection:
        return tuple(
            connection.execute(f"SELECT {count}").fetchone()[0]
            for count in (
                "count(*) FROM fresh",
                "coalesce(sum(last - first + 1), 0) FROM blocks",
            )
        )


async def test_reads_are_right_before_during_and_after(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 7)
    log, reader = sqlite.write(), None
    written = {"a": [], "b": []}
    seen = set()
    for number in range(25):
        name = "ab"[number % 2]
        written[name] += await write(log, name, *notes(1 + number % 3, f"{name} {number}"))
        reader = reader or sqlite.read()
        fresh, settled = rows(sqlite.path)
        assert fresh + settled == sum(map(len, written.values()))
        seen.add((bool(fresh), bool(settled)))
        for source in (log, reader):
            for each, records in written.items():
                if records:
                    assert await everything(source, each) == records
                    assert await source.state(each) == folded(records)
                    newest = await source.read(each, newest_first=True, limit=3)
                    assert newest == records[::-1][:3]
    assert seen == {(True, False), (False, True), (True, True)}
    await fork(log, "a", 5, "c", note())
    assert (await everything(log, "c"))[:5] == written["a"][:5]
    assert await faults(log) == []


async def test_opening_settles_what_is_left(sqlite):
    log = sqlite.write()
    written = await write(log, "a", *notes(10))
    await log.close()
    assert rows(sqlite.path) == (10, 0)
    log = sqlite.write()
    assert rows(sqlite.path) == (0, 10)
    assert await everything(log, "a") == written


@pytest.mark.parametrize("cut", ["INSERT INTO blocks", "DELETE FROM fresh"])
async def test_a_crash_between_is_as_if_nothing_had_been(sqlite, monkeypatch, cut):
    """Opening and writing alike: both statements are one transaction."""
    log = sqlite.write()
    written = await write(log, "a", *notes(10))

    def broken(connection):
        writer_settle(Cut(connection, cut))

    writer_settle = writer.settle
    monkeypatch.setattr(writer, "settle", broken)
    monkeypatch.setattr(writer, "FRESH_EVENTS", 11)
    with pytest.raises(LogFailed):
        await write(log, "a", note("lost"))
    await log.close()
    assert rows(sqlite.path) == (10, 0)
    monkeypatch.setattr("axtui.runtime.eventlog.sqlite.settle", broken)
    with pytest.raises(LogError, match="power cut"):
        sqlite.write()
    assert rows(sqlite.path) == (10, 0)
    monkeypatch.undo()
    log = sqlite.write()
    assert await everything(log, "a") == written
    assert await faults(log) == []


async def test_a_reader_without_the_lease_sees_one_moment(sqlite, monkeypatch):
    """However the writer settles, purges and appends between its statements."""
    monkeypatch.setattr(writer, "FRESH_EVENTS", 40)
    monkeypatch.setattr("axtui.runtime.eventlog.conversation.KEYFRAME_EVERY", 50)
    monkeypatch.setattr("axtui.runtime.eventlog.reader.PAGE", 3)
    log = sqlite.write()
    await write(log, "a", started(), *notes(20))
    await fork(log, "a", 15, "fork")
    reader = sqlite.read()
    stop = False

    async def write_on():
        for number in range(150):
            await write(log, "a", *notes(3))
            await write(log, "fork", note())
            if number == 60:
                await fork(log, "a", 40, "second")
            if number == 100:
                await log.purge("a")

    async def read_on():
        rounds = 0
        while not stop:
            state = await reader.state("fork")
            records = await everything(reader, "fork")
            assert state.seq <= len(records)
            assert folded(records[: state.seq]) == state
            rounds += 1
        return rounds

    task = asyncio.create_task(read_on())
    await write_on()
    stop = True
    assert await task > 0
    assert await faults(log) == []


async def test_verify_of_a_log_that_is_being_written_finds_nothing(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 40)
    log = sqlite.write()
    await write(log, "a", started(), *notes(700))
    reader = sqlite.read()
    done = False

    async def write_on():
        while not done:
            await write(log, "a", note())

    task = asyncio.create_task(write_on())
    for _ in range(8):
        assert await faults(reader, "a") == []
        assert await faults(log, "a") == []
    done = True
    await task


async def test_a_state_does_not_fail_when_all_is_purged_between_its_pages(sqlite, monkeypatch):
    monkeypatch.setattr("axtui.runtime.eventlog.reader.PAGE", 2)
    log = sqlite.write()
    records = await write(log, "a", *notes(9))
    await fork(log, "a", 8, "b")
    reader = sqlite.read()
    connection = connect(sqlite.path, write=True)
    apply, applied = module.apply, []

    def meddle(state, event):
        applied.append(event.seq)
        if len(applied) == 3:
            # Another process, between two pages: as purge does, and settling with it.
            connection.executescript(
                "BEGIN; DELETE FROM fresh WHERE number = 1; DELETE FROM heads WHERE number = 1;"
                "DELETE FROM conversations WHERE number = 1; COMMIT"
            )
        apply(state, event)

    monkeypatch.setattr(module, "apply", meddle)
    assert await reader.state("b", 8) == folded(records[:8])
    connection.close()
