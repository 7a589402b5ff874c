"""64 conversations that append at once, against SQLite filled by hand in batches of 64, and against
the least that asyncio, protobuf and a thread that commits can do."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from statistics import median

from axtui.model.events import Draft
from axtui.model.ids import new_id
from axtui.runtime.eventlog.base import Commit
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.v1 import event_pb2 as pb
from bench import floor
from bench.setup import Setup, ratio
from bench.table import Table, Target

RUNS = 64
APPENDS = 200
SIZES = (4, 4096)


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"appends: {RUNS} conversations, {APPENDS} awaited appends of one event each")
    for size in SIZES:
        _compare(setup, table, size)
    table.notes.append(
        "Ours also encodes, hashes, wakes who waits and folds, which shows where events are small"
        " and an fsync takes little of a batch's time. The sketch does all of that but the fold."
    )
    return table


def _compare(setup: Setup, table: Table, size: int) -> None:
    written: list[tuple[int, Commit]] = []

    def ours() -> float:
        written.clear()
        return asyncio.run(_appends_per_second(setup.folder("ours"), written, "x" * size))

    def raw() -> float:
        rows = [floor.row(number, commit.records[0]) for number, commit in written]
        return floor.rows_per_second(setup.folder("raw"), rows, RUNS)

    def sketch() -> float:
        made = partial(_payload, text="x" * size)
        folder = setup.folder("sketch")
        return asyncio.run(floor.appends_per_second(folder, RUNS, APPENDS, made))

    mine, theirs, least = setup.interleave(ours, raw, sketch)
    events = f"events/s, results of {size:,} bytes"
    table.add(
        events,
        f"{median(mine):,.0f}",
        f"raw SQLite, the same bytes, {RUNS} per commit: {median(theirs):,.0f}",
        ratio(mine, theirs),
        Target(0.7, at_least=True),
    )
    table.add(
        events,
        f"{median(mine):,.0f}",
        f"a sketch that makes the bytes in as many tasks: {median(least):,.0f}",
        ratio(mine, least),
    )


async def _appends_per_second(folder: Path, written: list[tuple[int, Commit]], text: str) -> float:
    log = SqliteLog.open_to_write(folder / "log.db")
    conversations = [await log.conversation(new_id(), create=True) for _ in range(RUNS)]
    exec_id = new_id()

    async def append(number: int) -> None:
        for ordinal in range(APPENDS):
            commit = conversations[number].append(Draft(_payload(ordinal, text), exec_id, "bench"))
            await commit
            written.append((number, commit))

    started = time.perf_counter()
    await asyncio.gather(*(append(number) for number in range(RUNS)))
    seconds = time.perf_counter() - started
    await log.close()
    return RUNS * APPENDS / seconds


def _payload(ordinal: int, text: str) -> pb.StepStarted | pb.StepCompleted:
    key = str(ordinal // 2 + 1)
    if ordinal % 2:
        return pb.StepCompleted(key=key, attempt=1, result=pb.Data(text=text))
    return pb.StepStarted(
        key=key,
        type="function",
        name="answer",
        arguments=pb.Data(text=str(ordinal)),
        fingerprint=b"12345678",
        attempt=1,
        effect="readonly",
    )
