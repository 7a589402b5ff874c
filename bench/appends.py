"""64 conversations that append at once, against SQLite filled by hand in batches of 64."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from axtui.model.events import Draft, Record
from axtui.model.ids import new_id
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.v1 import event_pb2 as pb
from bench import floor
from bench.setup import Setup, ratio
from bench.table import Table, Target

RUNS = 64
APPENDS = 200


def measure(setup: Setup) -> Table:
    """The benchmark."""
    written: list[floor.FloorRow] = []

    def ours() -> float:
        written.clear()
        return asyncio.run(_appends_per_second(setup.folder("ours"), written))

    def raw() -> float:
        return floor.rows_per_second(setup.folder("raw"), written, RUNS)

    mine, theirs = setup.interleave(ours, raw)
    table = Table(f"appends: {RUNS} conversations, {APPENDS} awaited appends of one event each")
    table.add(
        "events/s",
        f"{sorted(mine)[len(mine) // 2]:,.0f}",
        f"raw SQLite, the same bytes, {RUNS} per commit: {sorted(theirs)[len(theirs) // 2]:,.0f}",
        ratio(mine, theirs),
        Target(0.7, at_least=True),
    )
    return table


async def _appends_per_second(folder: Path, written: list[floor.FloorRow]) -> float:
    log = SqliteLog.open_to_write(folder / "log.db")
    names = [new_id() for _ in range(RUNS)]
    conversations = [await log.conversation(name, create=True) for name in names]
    exec_id = new_id()
    batches: list[list[Record]] = []

    async def append(number: int) -> None:
        for ordinal in range(APPENDS):
            commit = conversations[number].append(Draft(_payload(ordinal), exec_id, "bench"))
            await commit
            batches.append(commit.records)
            written.append(floor.row(number, commit.records[0]))

    started = time.perf_counter()
    await asyncio.gather(*(append(number) for number in range(RUNS)))
    seconds = time.perf_counter() - started
    await log.close()
    return RUNS * APPENDS / seconds


def _payload(ordinal: int) -> pb.StepStarted | pb.StepCompleted:
    key, value = str(ordinal // 2 + 1), pb.Data(text=str(ordinal))
    if ordinal % 2:
        return pb.StepCompleted(key=key, attempt=1, result=value)
    return pb.StepStarted(
        key=key,
        type="function",
        name="answer",
        arguments=value,
        fingerprint=b"12345678",
        attempt=1,
        effect="readonly",
    )
