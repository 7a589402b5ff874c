"""The terminal UI where its frames can be timed, and what it has to show.

`screens fill FOLDER CONVERSATIONS EVENTS` makes a store of many conversations, one of them `long`,
one `empty`. `screens open FOLDER NAME` opens a run and jumps about in it. `screens scroll FOLDER`
scrolls through it, and through constant text.
`screens source FOLDER SECONDS` writes as many events a second as PER_SECOND, from when it is given
a line. `screens watch FOLDER SECONDS` watches them. All print JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from axtui.app import AxtuiApp
from axtui.client import connect
from axtui.local import LocalClient
from axtui.model.events import Draft, user_message
from axtui.runtime.config import Config
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.screens.run import RunScreen
from axtui.v1 import event_pb2 as pb
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.runs_table import RunsTable
from axtui.widgets.timeline import Timeline
from bench.children import peak_rss_mib

SIZE = (120, 40)
PER_SECOND = 10_000
BATCH = 100
JUMPS, PAGES = 100, 200
LONG, EMPTY, FLOOD = "long", "empty", "flood"
_TEXT = "what a tool has printed, " * 12


class Frames(HeadlessDriver):
    """Takes frames as a terminal would, ANSI included, and remembers when; and when the one came
    that held `wanted`."""

    times: list[float]
    wanted = ""
    found_at = 0.0

    @property
    def is_headless(self) -> bool:
        """Else nothing would be rendered."""
        return False

    def write(self, data: str) -> None:
        """A frame, or a part of it."""
        self.__dict__.setdefault("times", []).append(time.perf_counter())
        if self.wanted and self.wanted in data:
            self.wanted, self.found_at = "", self.times[-1]


async def fill(folder: Path, conversations: int, events: int) -> None:
    """Make the store."""
    log = SqliteLog.open_to_write(Config(data_dir=folder).log_path)
    for name in (*(f"c{number}" for number in range(conversations)), EMPTY):
        conversation = await log.conversation(name, create=True)
        run = Draft(pb.RunStarted(agent="echo"), exec_id="e")
        await conversation.append(run, Draft(user_message(f"job of {name}"), exec_id="e"))
    long = await log.conversation(LONG, create=True)
    await long.append(Draft(pb.RunStarted(agent="echo"), exec_id="e"))
    for _ in range(events // BATCH):
        await long.append(*(Draft(pb.Note(text=_TEXT), exec_id="e") for _ in range(BATCH)))
    await log.close()


async def drawn(folder: Path, use: Callable[[AxtuiApp, Pilot[Any]], Any]) -> None:
    """Run the UI on a store, have it used, and print what comes of that."""
    app = AxtuiApp(lambda: connect(Config(data_dir=folder)))
    app.driver_class = Frames

    async def pilot(pilot: Pilot[Any]) -> None:
        await until(lambda: app.is_open and app.screen.query(RunsTable).first().count)
        await asyncio.sleep(0.5)
        tell(json.dumps(await use(app, pilot)))
        app.exit()

    await app.run_async(size=SIZE, auto_pilot=pilot)


async def until(holds: Callable[[], object]) -> None:
    """Wait for it, and let everything else go on."""
    end = time.monotonic() + 120
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(0.001)


async def painted(app: AxtuiApp, holds: Callable[[], object]) -> float:
    """Wait until something holds, and then for the frame that shows it: when that was."""
    await until(holds)
    frames: list[float] = app._driver.times  # type: ignore[union-attr]
    began = time.perf_counter()
    await until(lambda: frames[-1] >= began)
    return frames[-1]


def tell(line: str) -> None:
    """A line on standard output, of which Textual keeps what is printed."""
    os.write(1, f"{line}\n".encode())


async def opened(app: AxtuiApp, name: str) -> RunScreen:
    """The screen of a run."""
    await app.open_run(name).wait()
    assert isinstance(app.screen, RunScreen)
    return app.screen


def shows(screen: RunScreen, seq: int) -> bool:
    """Whether an event is there to be drawn."""
    return screen.view is not None and bool(seq) and screen.view.record(seq) is not None


async def open_and_jump(name: str, app: AxtuiApp, pilot: Pilot[Any]) -> dict[str, Any]:
    """From the key to the frame, in milliseconds."""
    frames = app._driver
    assert isinstance(frames, Frames)
    frames.wanted = "run.started" if name == EMPTY else "note  "
    began = time.perf_counter()
    screen = await opened(app, name)
    await until(lambda: frames.found_at)
    open_ms = (frames.found_at - began) * 1000
    # What opening has set off isn't a part of the first jump.
    await asyncio.sleep(0.5)
    assert screen.view is not None
    timeline, chance = screen.query_one(Timeline), random.Random(1)
    jumps = []
    for _ in range(JUMPS if screen.view.head > 1000 else 0):
        seq = chance.randint(1, screen.view.head)
        began = time.perf_counter()
        timeline.go_to_seq(seq)
        at = await painted(app, lambda seq=seq: shows(screen, seq))
        jumps.append((at - began) * 1000)
    gc.collect()
    return {"open_ms": open_ms, "jump_ms": jumps, "rss_mib": peak_rss_mib()}


class Constant(RowList):
    """Rows that say the same."""

    def cells(self, index: int, width: int) -> Cells:
        """As many columns as an event has."""
        return [("     1 ", "dim"), ("00:00.0 ", "dim"), ("actor ", "strong"), (_TEXT, "")]


async def scroll(app: AxtuiApp, pilot: Pilot[Any]) -> dict[str, float]:
    """CPU a page, of the timeline and of the same widget with constant text."""
    screen = await opened(app, LONG)
    await until(lambda: screen.view is not None and shows(screen, screen.view.head))
    timeline = screen.query_one(Timeline)
    ours = await _pages(timeline, pilot)
    constant = Constant()
    await screen.query_one("#body").mount(constant, before=timeline)
    constant.styles.width = timeline.outer_size.width
    timeline.display = False
    await pilot.pause()
    constant.set_count(1_000_000)
    return {"ours": ours, "floor": await _pages(constant, pilot)}


async def _pages(rows: RowList, pilot: Pilot[Any]) -> float:
    rows.go_to(rows.count // 2)
    await asyncio.sleep(0.5)
    began = time.process_time()
    for _ in range(PAGES):
        rows.action_page_down()
        await pilot.pause()
    return (time.process_time() - began) * 1000 / PAGES


async def source(folder: Path, seconds: float) -> None:
    """A run that somebody writes; how long it took."""
    client = connect(Config(data_dir=folder))
    assert isinstance(client, LocalClient)
    host = await client.hold()
    conversation = await host.log.conversation(FLOOD, create=True)
    await conversation.append(Draft(pb.RunStarted(agent="echo"), exec_id="e"))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began = time.perf_counter()
    for number in range(round(seconds * PER_SECOND / BATCH)):
        drafts = [Draft(pb.Note(text=_TEXT), exec_id="e") for _ in range(BATCH)]
        await conversation.append(*drafts)
        late = began + (number + 1) * BATCH / PER_SECOND - time.perf_counter()
        await asyncio.sleep(max(0.0, late))
    taken = time.perf_counter() - began
    print(json.dumps({"seconds": taken, "events": conversation.state.seq}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await client.close()


async def watch(seconds: float, app: AxtuiApp, pilot: Pilot[Any]) -> dict[str, float]:
    """How late the loop is, frames a second, and events that aren't there in the end."""
    screen = await opened(app, FLOOD)
    await until(lambda: screen.view is not None)
    assert screen.view is not None
    tell("ready")
    await until(lambda: screen.view.head > 100)  # type: ignore[union-attr]
    frames: list[float] = app._driver.times  # type: ignore[union-attr]
    began, first = time.perf_counter(), len(frames)
    lags = []
    while (now := time.perf_counter()) - began < seconds:
        await asyncio.sleep(0.01)
        lags.append((time.perf_counter() - now - 0.01) * 1000)
    drawn_frames = (len(frames) - first) / (time.perf_counter() - began)
    wanted = round(seconds * PER_SECOND) + 1
    await until(lambda: screen.view.head >= wanted)  # type: ignore[union-attr]
    timeline = screen.query_one(Timeline)
    await until(lambda: timeline.count >= wanted)
    missing = 0
    for seq in range(1, wanted + 1, 97):
        record = await screen.view.fetch(seq)
        missing += record is None or record.seq != seq
    lags.sort()
    p99 = lags[len(lags) * 99 // 100]
    return {"lag_p99_ms": p99, "frames": drawn_frames, "missing": missing}


def main(what: str, *arguments: str) -> None:
    """Do what is asked for."""
    folder = Path(arguments[0])
    match what:
        case "fill":
            asyncio.run(fill(folder, *map(int, arguments[1:])))
            print("{}")
        case "open":
            use = lambda app, pilot: open_and_jump(arguments[1], app, pilot)  # noqa: E731
            asyncio.run(drawn(folder, use))
        case "scroll":
            asyncio.run(drawn(folder, scroll))
        case "source":
            asyncio.run(source(folder, float(arguments[1])))
        case "watch":
            use = lambda app, pilot: watch(float(arguments[1]), app, pilot)  # noqa: E731
            asyncio.run(drawn(folder, use))


if __name__ == "__main__":
    main(*sys.argv[1:])
