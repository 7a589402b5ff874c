"""What is typed behind `:` and in the palette."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.widgets import Input

from axtui.model.events import Draft
from axtui.runtime.config import Config
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.screens.command_line import CommandLineScreen
from axtui.screens.new_run import NewRunScreen
from axtui.screens.run import RunScreen
from axtui.screens.themes import ThemesScreen
from axtui.ui.commands import Order, Place, completions, parse, parse_place
from axtui.v1 import event_pb2 as pb
from axtui.widgets.runs_table import RunsTable
from axtui.widgets.timeline import Timeline

from .conftest import MakeRuns
from .harness import until
from .opened import command, drawn, opened, press, shows, told, type_ahead

OFFERED = ("runs.resume", "run.pause", "app.quit", "app.runs", "list.up")


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("runs", Order("app.runs")),
        (" run  abc ", Order("run", "abc")),
        ("quit", Order("app.quit")),
        ("runs.resume", Order("runs.resume")),
        ("resume", Order("runs.resume")),
        ("filter kind:tool two words", Order("filter", "kind:tool two words")),
        ("theme", Order("theme")),
    ],
)
def test_what_lines_mean(line: str, order: Order) -> None:
    assert parse(line, OFFERED) == order


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("qiut", "there is no `qiut`; did you mean `quit`?"),
        ("xyzzy", "there is no `xyzzy`; `?` shows all there are"),
        ("timeline.mark", "`timeline.mark` can't be done here"),
        ("quit now", "nothing follows `quit`"),
        ("new thing", "nothing follows `new`"),
    ],
)
def test_what_is_said_of_others(line: str, told: str) -> None:
    with pytest.raises(ValueError, match="^" + told.replace("?", r"\?") + "$"):
        parse(line, OFFERED)


def test_completion() -> None:
    arguments = {"runs": ["job-1", "job-2", "other"], "themes": ["nord"]}
    assert completions("ru", OFFERED, arguments) == ["run", "runs"]
    assert completions("re", OFFERED, arguments) == ["resume"]
    assert completions("run j", OFFERED, arguments) == ["run job-1", "run job-2"]
    assert completions("theme ", OFFERED, arguments) == ["theme nord"]
    assert completions("quit ", OFFERED, arguments) == []


def test_places() -> None:
    assert parse_place("1200") == Place(seq=1200)
    assert parse_place("40%") == Place(percent=40.0)
    assert parse_place("+30s") == Place(seconds=30.0)
    assert parse_place("-1m30s") == Place(seconds=-90.0)
    for wrong in ("", "140%", "x", "+", "-x", "²", "nan%"):
        with pytest.raises(ValueError, match="is no place"):
            parse_place(wrong)


async def test_a_run_is_opened_by_the_beginning_of_a_line(
    tmp_path: Path, make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "job-1", "other")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "colon", *"run jo")
        await until(pilot, shows(app, "run job-1"))
        await press(pilot, "tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert app.screen.query_one(Timeline)
        await command(pilot, "runs")
        await until(pilot, lambda: app.screen.query(RunsTable))


async def test_goto(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.view)
        timeline = app.screen.query_one(Timeline)
        head = await until(pilot, lambda: timeline.count)
        for line, seq in (("goto 2", 2), ("goto 100%", head), ("goto 0%", 1), ("goto 999", head)):
            await command(pilot, line)
            await until(pilot, lambda seq=seq: timeline.seq == seq)
        await command(pilot, "goto -1h")
        await until(pilot, lambda: timeline.seq == 1)
        await command(pilot, "goto somewhere")
        assert "`somewhere` is no place" in drawn(app)


@pytest.mark.parametrize("key", ["f3", "f4", "f5"])
async def test_goto_in_any_view(tmp_path: Path, make_runs: MakeRuns, key: str) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.view)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await press(pilot, key)
        for line in ("goto 2", "goto 1", "goto 100%"):
            await command(pilot, line)
            seq = 4 if line.endswith("%") else int(line[-1])
            await until(pilot, lambda seq=seq: screen.inspected == seq)


async def test_a_command_line_that_is_copied_finds_the_log(
    tmp_path: Path, make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "one")
    async with opened(tmp_path, where="--server there:8494") as (app, pilot):
        await press(pilot, "Y")
        assert app.clipboard == "axtui attach one --server there:8494"
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.inspected == 4)
        await press(pilot, "Y")
        assert app.clipboard == "axtui events one --after 3 --limit 1 --server there:8494"


async def test_filter_says_where_there_is_nothing_to_filter(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "3")
        await command(pilot, "filter words")
        await until(pilot, lambda: "nothing to filter" in told(app))


async def test_goto_is_for_a_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        await command(pilot, "goto 3")
        await until(pilot, lambda: "is for a run" in told(app))


async def test_filter_new_and_theme(tmp_path: Path, make_runs: MakeRuns) -> None:
    make_runs(tmp_path / "data", "job-1", "other")
    async with opened(tmp_path) as (app, pilot):
        await command(pilot, "filter other")
        table = app.screen.query_one(RunsTable)
        await until(pilot, lambda: table.count == 1 and app.focused is table)
        await press(pilot, "escape")
        await until(pilot, lambda: table.count == 2)
        await command(pilot, "theme nord")
        await until(pilot, lambda: app.theme == "nord")
        await command(pilot, "theme")
        await until(pilot, lambda: isinstance(app.screen, ThemesScreen))
        await press(pilot, "escape")
        await command(pilot, "new")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))


async def test_an_unknown_word_stays_to_be_corrected(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        await command(pilot, "thme")
        assert isinstance(app.screen, CommandLineScreen)
        assert "did you mean `theme`?" in drawn(app)
        await press(pilot, "backspace")
        assert "did you mean" not in drawn(app)


async def test_history_outlives_the_ui(tmp_path: Path) -> None:
    async with opened(tmp_path) as (app, pilot):
        for line in ("runs", "theme nord"):
            await command(pilot, line)
        await until(pilot, lambda: app.settings.history == ("runs", "theme nord"))
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "colon", "up", "up")
        assert app.screen.query_one(Input).value == "runs"
        await press(pilot, "down")
        assert app.screen.query_one(Input).value == "theme nord"
        await press(pilot, "down")
        assert app.screen.query_one(Input).value == ""


async def test_the_palette_finds_actions_runs_and_themes(
    tmp_path: Path, make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "job-1", "other")
    async with opened(tmp_path) as (app, pilot):
        for typed, shown in (
            ("sort other way", "runs.reverse"),
            ("run other", "run other about other"),
            ("theme nord", "theme nord"),
        ):
            await press(pilot, "ctrl+p", *typed)
            await until(pilot, shows(app, shown))
            await press(pilot, "escape")
            await until(pilot, lambda: not isinstance(app.screen, CommandPalette))
        await press(pilot, "ctrl+p", *"run other")
        await until(pilot, shows(app, "run other about other"))
        await press(pilot, "enter")
        await until(pilot, lambda: not isinstance(app.screen, CommandPalette))
        await until(pilot, lambda: getattr(app.screen, "address", "") == "run other")


async def test_what_is_typed_ahead_is_for_what_it_opens(
    tmp_path: Path, make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "one", "two")
    async with opened(tmp_path) as (app, pilot):
        type_ahead(app, "slash", *"quiet", "escape", "colon", *"run", "space", *"one", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert app.screen.conversation_id == "one"
        type_ahead(app, "colon", *"quit", "enter")
        await until(pilot, lambda: not app.is_running)


async def test_the_palette_takes_nothing_that_an_agent_is_called_for_markup(tmp_path: Path) -> None:
    log = SqliteLog.open_to_write(Config(data_dir=tmp_path / "data").log_path)
    conversation = await log.conversation("c", create=True)
    await conversation.append(Draft(pb.RunStarted(agent="[/red] [b]x"), exec_id="e"))
    await log.close()
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "ctrl+p", *"run c")
        await until(pilot, shows(app, "[/red] [b]x"))
