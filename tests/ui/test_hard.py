"""What is hard on a screen: very much of it, very little room, and no peace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.geometry import Size
from textual.pilot import Pilot

from axtui.app import AxtuiApp
from axtui.model.events import Draft, user_message
from axtui.v1 import event_pb2 as pb
from axtui.widgets.inspector import Inspector
from axtui.widgets.question_card import About
from axtui.widgets.steps_list import StepsList
from axtui.widgets.timeline import Timeline
from axtui.widgets.transcript import Bubble

from .conftest import MakeRuns
from .fuzzing import check_frame
from .harness import until
from .histories import ID, app_on, open_log, open_run, text_of, write
from .logs import one_run
from .opened import opened, press

_BIG = 50 << 20
_STEP = "漢字 and words\n"


async def check(app: AxtuiApp, pilot: Pilot[Any]) -> None:
    """See `check_frame`; a screen that has just come has to be laid out first."""
    await until(pilot, lambda: app.screen._compositor.size == app.size)
    check_frame(app)


async def test_a_message_of_many_megabytes(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    conversation = await log.conversation(ID, create=True)
    text = conversation.data(_STEP * (_BIG // len(_STEP.encode())))
    said = pb.Message(role="assistant", content=[pb.Content(text=text)])
    await conversation.append(
        Draft(pb.RunStarted(agent="a"), "x", "a"),
        Draft(user_message("write a lot"), "x"),
        Draft(said, "x", "a"),
        Draft(pb.RunCompleted(output=text), "x", "a"),
    )
    await log.close()
    app = app_on(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_run(app, pilot)
        timeline = screen.query_one(Timeline)
        await until(pilot, lambda: "漢字 and words" in text_of(timeline))
        await press(pilot, "g", "j", "j")
        for key in ("f3", "f5", "f4"):
            await press(pilot, key)
            await check(app, pilot)
        await until(pilot, lambda: len(screen.query(Bubble)) == 2)
        assert screen.query(Bubble).last().said.more > 1 << 20
        # Only the beginning was fetched.
        assert screen.view is not None
        assert screen.view._bytes < 1 << 20
        await press(pilot, "enter")
        inspector = screen.query_one(Inspector)
        await until(pilot, lambda: inspector.has_focus and "漢字" in text_of(inspector))
        await press(pilot, "o")
        await until(pilot, lambda: inspector.virtual_size.height > 1000)
        await press(pilot, "V", "V", "V", "G", "escape")
        await check(app, pilot)


async def test_what_is_nested_too_deeply_is_shown_as_it_is(tmp_path: Path) -> None:
    deep = pb.Data(text="[" * 2000)
    asked = pb.ApprovalRequested(
        id="q1", type="permission", key="9", question="May it?", subject="put@1", detail=deep
    )
    await write(
        tmp_path,
        [
            *one_run(2)[:-2],
            Draft(pb.Message(role="user", content=[pb.Content(text=deep)]), "run"),
            Draft(pb.StepStarted(key="9", name="put", arguments=deep, attempt=1), "run", "a"),
            Draft(asked, "run", "a"),
        ],
    )
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await open_run(app, pilot)
        inspector = screen.query_one(Inspector)
        for key in ("G", "k", "k"):
            await press(pilot, key)
            await until(pilot, lambda: screen.inspected == screen.query_one(Timeline).seq)
            assert "[[[[" in text_of(inspector)
        await press(pilot, "f3")
        await until(pilot, lambda: "[[[[" in text_of(screen.query_one(StepsList)))
        await press(pilot, "a")
        await until(pilot, lambda: app.screen.query(About))
        await until(pilot, lambda: "[[[[" in text_of(app.screen.query_one(About)))


@pytest.mark.parametrize("height", [5, 24])
async def test_every_screen_fits_into_twenty_columns(
    tmp_path: Path, height: int, make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path, (20, height)) as (app, pilot):
        run = ("enter", "f3", "f4", "f5", "f2", "i", "V", "V")
        dialogs = ("question_mark", "colon", "ctrl+p", "t", "semicolon", "c", "f", "x", "D")
        for keys in (("a",), ("3",), ("slash",), run, *((key,) for key in dialogs)):
            for key in keys:
                await press(pilot, key)
                await check(app, pilot)
            await press(pilot, "escape", "escape", "1")
            await until(pilot, lambda: getattr(app.screen, "address", "") == "runs")
            await check(app, pilot)


async def test_a_storm_of_sizes(tmp_path: Path) -> None:
    await write(tmp_path, one_run(500))
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_run(app, pilot)
        assert app._driver is not None
        for view in ("f2", "f3", "f4", "f5"):
            await press(pilot, view)
            for number in range(50):
                size = Size(20 + number * 37 % 180, 5 + number * 23 % 55)
                app._driver._size = size
                app._driver.process_message(events.Resize(size, size))
            await until(pilot, lambda size=size: app.screen._compositor.size == size)
            await check(app, pilot)
