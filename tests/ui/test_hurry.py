"""Keys that come in faster than screens come and go."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from axtui.app import AxtuiApp
from axtui.client import Client, connect, load_config
from axtui.screens.actors import ActorsScreen
from axtui.screens.approvals import ApprovalsScreen
from axtui.screens.base import PlainScreen
from axtui.screens.command_line import CommandLineScreen
from axtui.screens.confirm import ConfirmScreen
from axtui.screens.fork import ForkScreen
from axtui.screens.help import HelpScreen
from axtui.screens.palette import palette
from axtui.screens.run import RunScreen
from axtui.screens.runs import RunsScreen
from axtui.screens.themes import ThemesScreen
from axtui.widgets.bars import KeyBar
from axtui.widgets.runs_table import RunsTable

from .conftest import MakeRuns
from .harness import SECONDS, until
from .opened import opened, type_ahead


async def test_a_dialog_ends_once(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ThemesScreen))
        type_ahead(app, *["enter"] * 5)
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_what_a_dialog_has_begun_ends_no_other_screen(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        dialog = ConfirmScreen("Really?", "")
        await app.push_screen(dialog)
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)
        dialog.dismiss(True)
        await pilot.pause()
        assert isinstance(app.screen, RunsScreen)


async def test_a_key_before_there_are_widgets_for_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        for dialog, action in (
            (CommandLineScreen((), []), "complete"),
            (HelpScreen((), (), app.keymap), "down"),
            (palette(), "cursor_down"),
            (ForkScreen("one", None), "confirm"),
        ):
            mounted = app.push_screen(dialog)
            await app.run_action(action, dialog)
            await mounted
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))


@pytest.mark.parametrize("key", ["a", "3", "question_mark", "t", "colon", "semicolon", "ctrl+p"])
async def test_a_screen_that_is_left_at_once(tmp_path: Path, key: str) -> None:
    async with opened(tmp_path) as (app, pilot):
        for _ in range(3):
            type_ahead(app, key, "escape")
            await pilot.pause()
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        type_ahead(app, key, "ctrl+c", "ctrl+c")
        await until(pilot, lambda: not app.is_running)


async def test_a_screen_that_was_left_can_do_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, _):
        for screen in (ApprovalsScreen(), HelpScreen((), (), app.keymap)):
            await app.push_screen(screen)
            await app.pop_screen()
            for action in ("approve", "run", "down"):
                assert not screen.check_action(action, ())


async def test_a_screen_that_was_left_begins_nothing_more(tmp_path: Path) -> None:
    done = []

    async def search() -> None:
        done.append(True)

    async with opened(tmp_path) as (app, pilot):
        for screen in (palette(), ApprovalsScreen()):
            await app.push_screen(screen)
            await screen.run_worker(search()).wait()
            await app.pop_screen()
            # Such as for what was typed before it was left, and is only now heard of.
            late = screen.run_worker(search())
            await until(pilot, lambda late=late: late not in app.workers)
            assert late.is_cancelled
    assert done == [True, True]


@pytest.mark.parametrize("way", ["left", "exited", "shut down"])
async def test_what_a_screen_has_begun_ends_before_its_widgets_go(tmp_path: Path, way: str) -> None:
    left = []

    async def see(screen: PlainScreen) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.append(len(screen.query(KeyBar)))

    async with opened(tmp_path) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, ActorsScreen))
        screen = app.screen
        assert isinstance(screen, ActorsScreen)
        of_screen = screen.run_worker(see(screen))
        of_widget = screen.query_one(KeyBar).run_worker(see(screen))
        await pilot.pause()
        if way == "left":
            await app.pop_screen()
            assert any(not worker.is_cancelled for worker in app.workers)
        elif way == "exited":
            app.exit()
    assert of_screen.is_cancelled
    assert of_widget.is_cancelled
    assert left == [1, 1]


async def test_a_change_is_made_though_its_screen_was_left_at_once(
    tmp_path: Path, make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "one")
    may_change, changed = asyncio.Event(), asyncio.Event()

    async def change() -> None:
        await may_change.wait()
        changed.set()

    async with opened(tmp_path) as (app, pilot):
        worker = app.run_worker(app.attempt(change(), change=True))
        await pilot.pause()
        worker.cancel()
        app.exit()
        may_change.set()
        await until(pilot, changed.is_set)


async def test_keys_before_the_log_is_open(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    may_open = Event()

    def open_late() -> Client:
        may_open.wait(SECONDS)
        return connect(load_config(None, str(tmp_path / "data"), {}, tmp_path))

    app = AxtuiApp(open_late)
    async with app.run_test() as pilot:
        app.settings = replace(app.settings, last_run="one")
        type_ahead(app, "2")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        type_ahead(app, "q")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        # What needs the log does nothing, all else is as ever.
        type_ahead(app, *"sSRPxfDyYc", "slash", "enter", "a")
        await until(pilot, lambda: isinstance(app.screen, ApprovalsScreen))
        type_ahead(app, "q", "3")
        await until(pilot, lambda: isinstance(app.screen, ActorsScreen))
        type_ahead(app, "q", "a")
        await until(pilot, lambda: isinstance(app.screen, ApprovalsScreen))
        may_open.set()
        await until(pilot, lambda: app.is_open)
        type_ahead(app, "q")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await until(pilot, lambda: app.screen.query_one(RunsTable).count == 1)
    await app.desk.close()
