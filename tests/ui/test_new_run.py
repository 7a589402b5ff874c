"""The dialog of a new run."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Select, Static, TextArea

from axtui.screens.new_run import NewRunScreen

from .harness import until
from .opened import drawn, opened, press


@pytest.mark.parametrize("width", [44, 60, 120])
async def test_an_agent_is_a_line_and_why_it_cant_run_is_below(tmp_path: Path, width: int) -> None:
    async with opened(tmp_path, (width, 30)) as (app, pilot):
        await press(pilot, "c")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        select: Select[str] = app.screen.query_one("#agent", Select)
        await until(pilot, lambda: len(select._options) > 1)
        agents = [str(value) for _, value in select._options[1:]]
        await press(pilot, "shift+tab", "enter")
        await until(pilot, lambda: select.expanded and "▲" in drawn(app))
        lines = [line.strip(" │") for line in drawn(app).splitlines()]
        first = lines.index("the default", lines.index("agent") + 2)
        shown = [line.split("  ")[0] for line in lines[first + 1 :]]
        assert shown[: len(agents)] == agents
        await press(pilot, *"coding", "enter")
        await until(pilot, lambda: select.value == "coding")
        reason = str(app.screen.query_one("#problem", Static).render()).split()
        assert reason
        shown = " ".join(line.strip(" │") for line in drawn(app).splitlines())
        assert " ".join(reason) in shown


@pytest.mark.parametrize("given", ["{", "NaN", "[" * 100_000], ids=["cut", "nan", "deep"])
async def test_a_configuration_that_is_no_json_is_told(tmp_path: Path, given: str) -> None:
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "c")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        app.screen.query_one(TextArea).text = "hello"
        app.screen.query_one("#config", Input).value = given
        await press(pilot, "ctrl+s")
        problem = app.screen.query_one("#problem", Static)
        await until(pilot, lambda: "isn't JSON" in str(problem.render()))
