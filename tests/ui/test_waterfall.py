"""Steps as bars in time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from axtui.model.events import Draft, Payload
from axtui.v1 import event_pb2 as pb
from axtui.widgets.waterfall import Waterfall

from .harness import SECONDS, until
from .histories import app_on, open_run, text_of, write
from .logs import one_run


def step(key: str, name: str, kind: Any = pb.StepStarted) -> Payload:
    made: Payload = kind(key=key, attempt=1)
    if isinstance(made, pb.StepStarted):
        made.type, made.name = "tool", name
    return made


async def shown(pilot: Any, screen: Any) -> Waterfall:
    await pilot.press("f5")
    found: Waterfall = await until(pilot, lambda: next(iter(screen.query(Waterfall)), None))
    await until(pilot, lambda: found.count)
    return found


async def test_bars_are_nested_and_in_their_time(tmp_path: Path) -> None:
    payloads = [
        pb.RunStarted(agent="a"),
        step("~1/1", "outer"),
        step("~1/1/2", "inner"),
        step("~1/1/2", "", pb.StepCompleted),
        step("~1/1", "", pb.StepFailed),
        pb.ApprovalRequested(id="q", key="3", question="May I?"),
    ]
    # Appended one by one, each has a time of its own.
    for payload in payloads:
        await write(tmp_path, [Draft(payload, "x", "a")])
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        waterfall = await shown(pilot, screen)
        await until(pilot, lambda: waterfall.count == 3 and "May I" in text_of(waterfall))
        await until(pilot, lambda: "outer" in text_of(waterfall))
        outer, inner, question = text_of(waterfall).splitlines()[:3]
        assert outer.index("outer") + 2 == inner.index("inner")
        assert outer.count("█") > inner.count("█") > 0
        assert outer.index("█") <= inner.index("█")
        assert "█" not in question
        assert question.count("▒") > 0
        assert question.index("▒") > outer.rindex("█")
        first = question
        await until(pilot, lambda: text_of(waterfall).splitlines()[2] != first)


async def test_an_open_step_grows_until_it_ends(tmp_path: Path) -> None:
    await write(tmp_path, [*one_run(2)[:-2], Draft(step("9", "slow"), "run", "a")])
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        waterfall = await shown(pilot, screen)
        await until(pilot, lambda: "slow" in text_of(waterfall))
        before = text_of(waterfall)
        await until(pilot, lambda: text_of(waterfall) != before)
        await write(tmp_path, [Draft(step("9", "", pb.StepCompleted), "run", "a")])
        await until(pilot, lambda: all(pair.end for pair in waterfall.in_sight()))


async def test_of_many_steps_the_latest_are_found_first(tmp_path: Path) -> None:
    await write(tmp_path, one_run(10_000))
    app = app_on(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_run(app, pilot)
        waterfall = await shown(pilot, screen)
        await until(pilot, lambda: waterfall.count >= 2000)
        assert waterfall.count < 4000
        assert waterfall.cursor == waterfall.count - 1
        await pilot.press("g")
        await until(pilot, lambda: waterfall.count >= 4000)
        # What was under the cursor still is.
        assert waterfall.cursor > 1000
        async with asyncio.timeout(SECONDS):
            while waterfall.count < 10_000:
                await pilot.press("g")
