"""The next run of a conversation of a million events, against one of a hundred."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from axtui.model import fold
from axtui.model.events import Draft, Payload, user_message
from axtui.model.ids import new_id
from axtui.runtime.eventlog import conversation, schema, sqlite, writer
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.v1 import event_pb2 as pb
from bench.children import call, command
from bench.setup import Setup, ratio
from bench.table import Table, Target

SHORT, LONG = 100, 1_000_000
EVENTS_PER_RUN = 100
MEMORY_TARGET = Target(8, "MiB")


def measure(setup: Setup) -> Table:
    """The benchmark."""
    folders = [_history(setup.cache, events) for events in (LONG, SHORT)]
    long, short = setup.interleave(*(lambda f=folder: _next_run(f) for folder in folders))
    long_ms, short_ms = ([one["seconds"] * 1000 for one in side] for side in (long, short))
    long_mib, short_mib = (median(one["peak_rss_mib"] for one in side) for side in (long, short))
    table = Table(f"long-history: the next run of a conversation of {LONG:,} events")
    table.add(
        "opening the log to the end of a step",
        f"{median(long_ms):,.1f} ms",
        f"{SHORT} events: {median(short_ms):,.1f} ms",
        ratio(long_ms, short_ms),
        Target(2),
    )
    table.add(
        "peak memory, difference",
        f"{long_mib:,.1f} MiB",
        f"{SHORT} events: {short_mib:,.1f} MiB",
        long_mib - short_mib,
        MEMORY_TARGET,
    )
    return table


def _next_run(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = call(command("history", folder))
    return result


def _history(cache: Path, events: int) -> Path:
    """A folder with a log of that many events, kept as long as the code that writes it."""
    sources = b"".join(
        Path(module.__file__ or "").read_bytes()
        for module in (fold, conversation, schema, sqlite, writer, pb)
    )
    home = cache / "histories" / f"{events}-{sha256(sources).hexdigest()[:12]}"
    if not home.exists():
        for old in home.parent.glob(f"{events}-*"):
            shutil.rmtree(old)
        # Renamed last, so that one cut short is begun again.
        unfinished = home.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        asyncio.run(_write(unfinished, events))
        unfinished.rename(home)
    return home


async def _write(folder: Path, events: int) -> None:
    log = SqliteLog.open_to_write(folder / "log.db")
    history = await log.conversation("history", create=True)
    for _ in range(events // EVENTS_PER_RUN):
        exec_id = new_id()
        drafts = [Draft(payload, exec_id, "counts") for payload in _one_run()]
        commit = history.append(*drafts)
        await asyncio.sleep(0)
    await commit
    await log.close()


def _one_run() -> Iterator[Payload]:
    yield pb.RunStarted(agent="counts", limits=pb.Limits(steps=10_000))
    yield user_message("go on")
    for ordinal in range(1, (EVENTS_PER_RUN - 4) // 2 + 1):
        key = str(ordinal)
        yield pb.StepStarted(key=key, type="function", name="answer", attempt=1, effect="readonly")
        yield pb.StepCompleted(key=key, attempt=1, result=pb.Data(text=key))
    yield pb.Message(role="assistant", content=[pb.Content(text=pb.Data(text="done"))])
    yield pb.RunCompleted(output=pb.Data(text='"done"'))
