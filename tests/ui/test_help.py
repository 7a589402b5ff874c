"""The help: the keys of the place that one is in, and each row can be done."""

from __future__ import annotations

from pathlib import Path

from axtui.screens.help import HelpRows, HelpScreen
from axtui.screens.new_run import NewRunScreen
from axtui.ui.actions import ACTIONS
from axtui.widgets.runs_table import RunsTable

from .conftest import MakeRuns
from .harness import until
from .opened import drawn, opened, press


async def test_what_can_be_done_here_comes_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        headings = [row.heading for row in app.screen.query_one(HelpRows).rows if not row.action]
        assert headings[:3] == ["Runs", "In every list", "Everywhere"]
        assert all(heading.endswith("(elsewhere)") for heading in headings[3:])
        assert "Start a run" in drawn(app)
        await press(pilot, "escape")
        assert isinstance(app.focused, RunsTable)


async def test_every_action_is_in_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "f1")
        rows = app.screen.query_one(HelpRows).rows
        assert {row.action.id for row in rows if row.action} == {action.id for action in ACTIONS}


async def test_typing_searches_and_enter_does_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "question_mark", *"start a")
        rows = app.screen.query_one(HelpRows)
        assert rows.action
        assert rows.action.id == "runs.new"
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))


async def test_what_cannot_be_done_here_is_not_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "question_mark", *"next marked", "enter")
        assert isinstance(app.screen, HelpScreen)


async def test_the_cursor_goes_over_actions_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(60, 12)) as (app, pilot):
        await press(pilot, "question_mark")
        rows = app.screen.query_one(HelpRows)
        seen = []
        for _ in range(len(rows.rows)):
            assert rows.action
            seen.append(rows.action.id)
            await press(pilot, "down")
        assert len(set(seen)) == len(ACTIONS)
        assert rows.rows[-1].action == rows.action
        await press(pilot, *["pageup"] * 60)
        assert rows.action
        assert rows.action.id == seen[0]


async def test_it_shows_the_keys_in_force(tmp_path: Path, make_runs: MakeRuns) -> None:
    (tmp_path / "axtui.yaml").write_text("ui: {keys: {runs.cancel: X}}\n")
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        assert "X cancel" in drawn(app)
        await press(pilot, "question_mark", *"end the run for good, after")
        assert "▌ X  " in drawn(app)
