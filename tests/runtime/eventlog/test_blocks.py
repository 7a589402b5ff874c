"""Events that have settled: how many a row holds, and what becomes of damaged ones."""

from contextlib import closing

import pytest

from axtui.runtime.eventlog import conversation, writer
from axtui.runtime.eventlog.base import ALL, PAGE, LogDamaged
from axtui.runtime.eventlog.blocks import BLOCK, BLOCK_BYTES
from axtui.runtime.eventlog.schema import connect
from tests.meddling import unsettle

from .drafts import everything, faults, fork, note, notes, said, write


def spans(path):
    """From where to where the blocks go, by number."""
    found = {}
    with closing(connect(path, write=False)) as connection:
        for number, *span in connection.execute(
            "SELECT number, first, last FROM blocks ORDER BY number, first"
        ):
            found.setdefault(number, []).append(tuple(span))
    return found


async def test_what_settles_bit_by_bit_is_put_together(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 1)
    log = sqlite.write()
    written = []
    for _ in range(3):
        written += await write(log, "a", *notes(40))
    assert spans(sqlite.path)[1] == [(1, 40), (41, 80), (81, 120)]
    written += await write(log, "a", *notes(40))
    assert spans(sqlite.path)[1] == [(1, BLOCK), (BLOCK + 1, 160)]
    written += await write(log, "a", *notes(3 * BLOCK))
    assert spans(sqlite.path)[1][:4] == [(n * BLOCK + 1, (n + 1) * BLOCK) for n in range(4)]
    assert await everything(log, "a") == written
    assert await faults(log) == []


async def test_a_fork_begins_within_a_block(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 1)
    log = sqlite.write()
    await write(log, "a", *notes(100))
    await fork(log, "a", 50, "f", *notes(10))
    await write(log, "f", *notes(100))
    assert spans(sqlite.path)[2] == [(51, BLOCK), (BLOCK + 1, 161)]
    before = await everything(log, "f")
    await log.purge("a")
    assert spans(sqlite.path)[2][0] == (1, 50)
    assert await everything(log, "f") == before
    assert await faults(log) == []


async def test_a_fork_of_much_that_is_fresh_is_packed_whole(sqlite):
    log = sqlite.write()
    await write(log, "a", *notes(PAGE + 100))
    await fork(log, "a", PAGE + 50, "f", note())
    blocks = await log.packed("f", after=0, last=ALL, size=1 << 30)
    records = [record for block in blocks for record in block.records()]
    assert records == await everything(log, "f")
    assert len(records) > PAGE + 50


async def test_a_block_is_no_larger_than_one_reads_at_once(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 1)
    log = sqlite.write()
    large = [note("x" * 30_000) for _ in range(10)]
    written = await write(log, "a", *large)
    assert spans(sqlite.path)[1] == [(1, 4), (5, 8), (9, 10)]
    assert BLOCK_BYTES < 5 * 30_000
    written += await write(log, "a", *notes(BLOCK - 10))
    assert spans(sqlite.path)[1][:2] == [(1, 4), (5, 8)]
    assert await everything(log, "a") == written
    assert await faults(log) == []


async def test_what_is_damaged_takes_no_others_along(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 1)
    log = sqlite.write()
    await write(log, "a", *notes(100))
    with closing(connect(sqlite.path, write=True)) as connection:
        connection.execute("UPDATE blocks SET records = x'ff'")
    written = await write(log, "a", *notes(BLOCK))
    assert spans(sqlite.path)[1] == [(1, 100), (101, BLOCK), (BLOCK + 1, 228)]
    assert await log.read("a", after=100) == written
    assert await log.packed("a", after=100, last=228, size=1 << 20)
    for asked in (log.read("a"), log.packed("a", after=0, last=228, size=1)):
        with pytest.raises(LogDamaged, match="damaged"):
            await asked


async def test_a_block_that_is_gone_is_missed(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 1)
    log = sqlite.write()
    await write(log, "a", *notes(3 * BLOCK))
    with closing(connect(sqlite.path, write=True)) as connection:
        connection.execute("DELETE FROM blocks WHERE first = ?", (BLOCK + 1,))
    for asked in (log.read("a"), log.packed("a", after=0, last=3 * BLOCK, size=1 << 20)):
        with pytest.raises(LogDamaged, match=f"event {BLOCK + 1} "):
            await asked


async def test_what_is_sound_beside_a_gap_stays_readable(sqlite):
    log = sqlite.write()
    written = await write(log, "a", *notes(120))
    await log.close()
    with closing(connect(sqlite.path, write=True)) as connection:
        unsettle(connection)
        connection.execute("DELETE FROM fresh WHERE seq = 100")
    log = sqlite.write()
    assert spans(sqlite.path)[1] == [(1, 99), (101, 120)]
    assert await log.read("a", before=100) == written[:99]
    assert await log.read("a", after=100) == written[100:]
    with pytest.raises(LogDamaged, match="event 100 "):
        await log.read("a")


async def test_an_end_that_is_gone_is_missed(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 1)
    monkeypatch.setattr(conversation, "KEYFRAME_EVERY", BLOCK)
    log = sqlite.write()
    await write(log, "a", *notes(2 * BLOCK))
    with closing(connect(sqlite.path, write=True)) as connection:
        connection.execute("DELETE FROM blocks WHERE first = ?", (BLOCK + 1,))
    size = {"last": 2 * BLOCK, "size": 1 << 20}
    for asked in (
        log.packed("a", after=0, **size),
        log.packed("a", after=BLOCK, **size),
        log.read("a"),
        log.read("a", after=BLOCK),
        log.read("a", after=2 * BLOCK - 1, limit=1),
        log.read("a", newest_first=True),
        log.read("a", newest_first=True, limit=1),
        log.fork("a", 2 * BLOCK, "f"),
    ):
        with pytest.raises(LogDamaged, match=f"event {BLOCK + 1}|event {2 * BLOCK}"):
            await asked
    assert len(await log.read("a", before=BLOCK + 1)) == BLOCK


async def test_only_blocks_with_what_is_wanted_are_read(sqlite, monkeypatch):
    monkeypatch.setattr(writer, "FRESH_EVENTS", 3000)
    log = sqlite.write()
    written = await write(log, "a", said("first"), *notes(5000), said("last"))
    await write(log, "a", said("fresh"))
    with closing(connect(sqlite.path, write=True)) as connection:
        connection.execute("UPDATE blocks SET records = x'ff' WHERE first > 128 AND last < 5000")
    found = await log.read("a", kinds=["message"], newest_first=True)
    assert [record.seq for record in found] == [5003, 5002, 1]
    assert found[-1] == written[0]
    assert await log.read("a", kinds=["message"]) == found[::-1]
