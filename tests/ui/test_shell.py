"""Panes, views, and leaving."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from textual import events

from axtui.screens.jump import JumpScreen
from axtui.screens.run import RunScreen
from axtui.widgets.bars import KeyBar, TopBar
from axtui.widgets.inspector import Inspector
from axtui.widgets.runs_table import RunsTable
from axtui.widgets.timeline import Timeline

from .conftest import MakeRuns
from .harness import until
from .opened import drawn, opened, press, shows, told


async def test_an_empty_log_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _):
        assert "no runs yet; press c to start one" in drawn(app)
        assert "local" in drawn(app)


async def test_zoom_gives_a_pane_all_the_room(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        table = app.screen.query_one(RunsTable)
        before = table.size
        await press(pilot, "z")
        await until(pilot, lambda: table.outer_size.width == app.size.width)
        assert app.screen.query_one(TopBar).region.y == 0
        assert app.screen.query_one(KeyBar).region.y == app.size.height - 1
        assert "preview" not in drawn(app)
        await press(pilot, "z")
        await until(pilot, lambda: table.size == before)
        await press(pilot, "z", "escape")
        await until(pilot, lambda: table.size == before)


async def test_tab_and_the_letters_go_to_panes(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        table = app.screen.query_one(RunsTable)
        preview = app.screen.query_one("#preview")
        await press(pilot, "tab")
        assert app.focused is preview
        await press(pilot, "shift+tab")
        assert app.focused is table
        await press(pilot, "semicolon")
        assert isinstance(app.screen, JumpScreen)
        assert list(app.screen.panes.values()) == [table, preview]
        await press(pilot, "s")
        assert app.focused is preview
        await press(pilot, "semicolon", "escape")
        assert app.focused is preview


async def test_the_letters_stay_where_the_panes_are(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "semicolon")
        jump = app.screen
        assert isinstance(jump, JumpScreen)

        def places() -> list[tuple[int, int]]:
            return [label.region.offset for label in jump.query(".letter") if label.display]

        def wanted() -> list[tuple[int, int]]:
            return [
                (pane.region.x + 2, pane.region.y) for pane in jump.panes.values() if pane.region
            ]

        before = places()
        assert before == wanted()
        await pilot.resize_terminal(90, 24)
        await until(pilot, lambda: places() == wanted() != before)


async def test_going_between_views(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one", "two")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "minus")
        assert "no run was opened yet" in told(app)
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await press(pilot, "minus")
        await until(pilot, lambda: app.screen.query(RunsTable))
        await press(pilot, "minus")
        await until(pilot, lambda: getattr(app.screen, "address", "") == "run two")
        await press(pilot, "q")
        await until(pilot, lambda: app.screen.query(RunsTable))
        await press(pilot, "2")
        await until(pilot, lambda: getattr(app.screen, "address", "") == "run two")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "2")
        await until(pilot, lambda: getattr(app.screen, "address", "") == "run two")


async def test_escape_leaves_a_filter_first(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one", "two")
    async with opened(tmp_path) as (app, pilot):
        table = app.screen.query_one(RunsTable)
        await press(pilot, "slash", "t", "w")
        await until(pilot, lambda: table.count == 1)
        await press(pilot, "escape")
        await until(pilot, lambda: table.count == 2 and app.focused is table)


@pytest.mark.parametrize("before", [[], ["c"], ["colon"], ["question_mark"], ["enter"]])
async def test_ctrl_c_twice_quits_from_anywhere(
    tmp_path: Path, before: list[str], make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, *before)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "ctrl+c again to quit" in told(app))
        app._left_at += 1000.0
        await pilot.press("ctrl+c")
        await until(pilot, lambda: not app.is_running or app._exit)


@pytest.mark.parametrize("width", [20, 40, 80, 120])
async def test_the_bars_fit(tmp_path: Path, width: int, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path, size=(width, 20)) as (app, pilot):
        app.screen.query_one(TopBar).waiting = 2
        app.screen.query_one(TopBar).mode = "LIVE"
        await pilot.pause()
        lines = drawn(app).splitlines()
        assert "? help" in lines[-1]
        assert "LIVE" in lines[0]
        table = app.screen.query_one(RunsTable)
        assert table.region.right <= width
        await pilot.resize_terminal(120, 20)
        await until(pilot, lambda: "x cancel" in drawn(app).splitlines()[-1])


async def test_a_click_on_a_key_presses_it(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        bar = app.screen.query_one(KeyBar)
        at = drawn(app).splitlines()[-1].index("enter")
        await pilot.click(bar, offset=(at, 0))
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert app.screen.query_one(Timeline)
        assert app.screen.query_one(Inspector)


async def test_what_is_pasted_is_not_obeyed(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "slash")
        app.post_message(events.Paste("\x1b[2Jred \x9b31m\x00done"))
        await until(pilot, shows(app, "[2Jred 31mdone"))
        for line in app.screen._compositor.render_strips():
            assert line.text.isprintable()
            assert cell_len(line.text) == app.size.width


async def test_what_looks_like_markup_is_text(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "slash")
        app.post_message(events.Paste("[/] [red]"))
        await until(pilot, shows(app, "runs [0 of 1]  /[/] [red]"))
