"""What all runs have said and done is found by its words, and opened where it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from axtui.app import AxtuiApp
from axtui.client import RunOptions
from axtui.model.events import Draft, user_message
from axtui.model.search import Hit
from axtui.screens import search
from axtui.screens.run import RunScreen
from axtui.screens.runs import RunsScreen
from axtui.screens.search import SearchScreen
from axtui.widgets.hit_list import HitList
from tests.remote.harness import Serve

from .conftest import MakeRuns
from .harness import until
from .histories import write
from .opened import command, drawn, opened, press, shows


def _hits(app: AxtuiApp) -> HitList:
    return app.screen.query_one(HitList)


def _said(*texts: str, internal: bool = False) -> list[Draft]:
    messages = [user_message(text) for text in texts]
    for message in messages:
        message.internal_only = internal
    return [Draft(message, "run", "planner") for message in messages]


async def test_what_is_typed_is_found_and_opened_where_it_is(
    tmp_path: Path, make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "lake", "sea")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "backslash")
        await until(pilot, shows(app, "type what was said, done, asked or noted in any run"))
        await press(pilot, *"lak*")
        await until(pilot, lambda: _hits(app).count)
        assert {hit.conversation_id for hit in _hits(app).hits} == {"lake"}
        assert f"hits [{_hits(app).count}]" in drawn(app)
        await press(pilot, "down", "end")
        seq = _hits(app).hits[-1].seq
        await press(pilot, "enter")
        screen = await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen)
        await until(pilot, lambda: screen.inspected == seq)
        assert (screen.conversation_id, screen.fork_seq) == ("lake", seq)
        await press(pilot, "escape")
        assert isinstance(app.screen, SearchScreen)
        assert app.focused is _hits(app)
        await press(pilot, "slash")
        assert app.screen.query_one(Input).has_focus
        await press(pilot, "escape")
        assert isinstance(app.screen, RunsScreen)


async def test_enter_goes_to_what_there_is_and_nowhere_else(
    tmp_path: Path, make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "sea")
    async with opened(tmp_path) as (app, pilot):
        await press(pilot, "backslash", *"desert", "enter", "down")
        await until(pilot, shows(app, "nothing was found; try fewer words, or begin*"))
        assert app.screen.query_one(Input).has_focus
        await press(pilot, "ctrl+u", *"sea", "enter")
        await until(pilot, lambda: app.focused is _hits(app))


@pytest.mark.parametrize("size", [(120, 30), (60, 18)])
async def test_a_line_says_what_cannot_be_searched_for(
    tmp_path: Path, size: tuple[int, int], make_runs: MakeRuns
) -> None:
    make_runs(tmp_path / "data", "sea")
    async with opened(tmp_path, size) as (app, pilot):
        await command(pilot, "search sea")
        await until(pilot, lambda: app.screen.query("HitList:focus"))
        await command(pilot, 'search "*"')
        await until(pilot, shows(app, "there is no word in '\"*\"'"))
        assert not _hits(app).count
        assert len([one for one in app.screen_stack if isinstance(one, SearchScreen)]) == 1


async def test_more_is_shown_the_further_down_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_PAGE", 10)
    await write(tmp_path / "data", _said(*(f"wave {number}" for number in range(25))))
    async with opened(tmp_path) as (app, pilot):
        await command(pilot, "search wave")
        await until(pilot, shows(app, "hits [the newest 10]"))
        assert "the last row brings more" in drawn(app)
        for count in (20, 25):
            await press(pilot, "G")
            await until(pilot, lambda count=count: _hits(app).count == count)
        await until(pilot, shows(app, "hits [25]"))
        assert _hits(app).cursor == 19
        await command(pilot, "search wave 7")
        await until(pilot, shows(app, "hits [1]"))
        assert _hits(app).cursor == 0


async def test_nothing_of_a_hit_is_obeyed(tmp_path: Path) -> None:
    evil = "sea \x1b]0;owned\a\x1b[31mred\x9b2J [bold]x[/bold]"
    await write(tmp_path / "data", _said(evil, internal=True))
    async with opened(tmp_path) as (app, pilot):
        await command(pilot, "search sea")
        await until(pilot, lambda: _hits(app).count)
        # A server may tell anything.
        _hits(app).show([*_hits(app).hits, Hit("\x1b[2J", 1, "\x1bk", "\x1ba", 0, evil, ((0, 3),))])
        await until(pilot, shows(app, "sea ␛]0;owned␇␛[31mred"))
        rows = [_hits(app).render_line(index) for index in range(2)]
        text = "".join(segment.text for row in rows for segment in row)
        assert text.isprintable()
        assert "[bold]x[/bold]" in text
        assert "private: " in text


async def test_the_place_that_was_found_is_in_sight_and_stands_out(tmp_path: Path) -> None:
    await write(tmp_path / "data", _said("as they say, " * 4 + "seashell " + "and on " * 9))
    for size in ((160, 30), (60, 18)):
        async with opened(tmp_path, size) as (app, pilot):
            await command(pilot, "search seas*")
            await until(pilot, lambda app=app: isinstance(app.screen, SearchScreen))
            await until(pilot, shows(app, "seashell"))
            found = [one for one in _hits(app).render_line(0) if one.text == "seashell"]
            assert [one.style and one.style.bold for one in found] == [True]


async def test_a_server_is_searched(served: Serve) -> None:
    server = await served()
    await server.local.start("c", "about the sea", "echo", RunOptions())
    client = server.client(await server.token("viewer"))
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.is_open)
        await command(pilot, "search sea")
        await until(pilot, lambda: app.screen.query(HitList) and _hits(app).count)
        assert _hits(app).hits[0].conversation_id == "c"
        assert server.address in drawn(app)
        await until(pilot, lambda: app.focused is _hits(app))
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.inspected)
