"""What lists, and screens that are covered, don't draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.app import ComposeResult
from textual.geometry import Region
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBarRender

from axtui.model.events import Draft
from axtui.runtime.config import Config
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.screens.approvals import ApprovalsScreen
from axtui.screens.confirm import ConfirmScreen
from axtui.v1 import event_pb2 as pb
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.runs_table import RunsTable

from .harness import until
from .opened import opened


class Numbers(RowList):
    """Rows that are numbered."""

    def cells(self, index: int, width: int) -> Cells:
        return [(f"row {index}", "")]


class ListScreen(Screen[None]):
    def compose(self) -> ComposeResult:
        yield Numbers()


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("border", ["none", "round"])
async def test_any_part_is_drawn_as_textual_would(
    tmp_path: Path, border: Any, padding: int
) -> None:
    async with opened(tmp_path, size=(30, 10)) as (app, pilot):
        await app.push_screen(ListScreen())
        rows = app.screen.query_one(Numbers)
        rows.styles.border = (border, "red")
        rows.styles.padding = padding
        rows.set_count(3)
        await pilot.pause()
        width, height = rows.outer_size
        whole = ScrollView.render_lines(rows, Region(0, 0, width, height))
        for y in range(height):
            for end in range(y + 1, height + 1):
                for x in (0, 1, 5):
                    drawn = rows.render_lines(Region(x, y, width - x, end - y))
                    wanted = [line.crop(x, width).text for line in whole[y:end]]
                    assert [line.text for line in drawn] == wanted


async def test_the_screen_is_laid_out_only_where_a_scrollbar_comes_or_goes(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(40, 10)) as (app, pilot):
        await app.push_screen(ListScreen())
        rows, layouts = app.screen.query_one(Numbers), list[Screen[object]]()
        app.screen.screen_layout_refresh_signal.subscribe(app, layouts.append)
        rows.follow = True
        rows.set_count(9)
        await pilot.pause()
        rows.set_count(11)
        # Now as with the scrollbar there is no cell that nobody draws.
        drawn = rows.render_lines(rows.size.region)
        assert {strip.cell_length for strip in drawn} == {rows.size.width}
        await until(pilot, lambda: rows.show_vertical_scrollbar)
        while layouts:
            layouts.clear()
            await pilot.pause(0.1)
        for count in (12, 100, 1_000_000):
            rows.set_count(count)
            await pilot.pause()
            assert rows.max_scroll_y == rows.scroll_y == count - 10
            assert rows.render_line(9).text.strip() == f"▌ row {count - 1}"
        assert layouts == []
        rows.set_count(3)
        await until(pilot, lambda: not rows.show_vertical_scrollbar)
        assert rows.scroll_y == 0


def thumb(virtual: float, position: float) -> list[str]:
    """What a scrollbar of ten cells draws."""
    segments = ScrollBarRender.render_bar(10, virtual, 10, position).segments
    return [f"{one.text}{one.style and one.style.reverse}" for one in segments]


@pytest.mark.parametrize("count", [11, 40, 101, 5_000, 1_000_000])
async def test_the_scrollbar_is_where_the_rows_are(tmp_path: Path, count: int) -> None:
    async with opened(tmp_path, size=(40, 10)) as (app, pilot):
        await app.push_screen(ListScreen())
        rows = app.screen.query_one(Numbers)
        rows.set_count(11)
        bar = rows.vertical_scrollbar
        await until(pilot, lambda: rows.show_vertical_scrollbar and bar.window_virtual_size == 11)
        rows.set_count(count)
        for share in (0, 0.13, 0.5, 0.87, 1):
            y = int(share * (count - 10))
            rows.scroll_to(y=y, animate=False, immediate=True)
            drawn = thumb(bar.window_virtual_size, bar.position)
            near = [thumb(count, max(0, min(count - 10, y + d * count / 80))) for d in (0, -1, 1)]
            assert drawn in near[: 1 if share in (0, 1) else 3]
        # Whoever takes hold of it moves it by rows.
        bar.mouse_over = True
        await until(pilot, lambda: bar.position == rows.scroll_y)
        assert bar.window_virtual_size == count


async def add_run(folder: Path, name: str) -> None:
    log = SqliteLog.open_to_write(Config(data_dir=folder / "data").log_path)
    conversation = await log.conversation(name, create=True)
    await conversation.append(Draft(pb.RunStarted(agent="echo"), exec_id="e"))
    await log.close()


async def test_what_is_covered_is_not_drawn_and_up_to_date_when_it_is_seen(tmp_path: Path) -> None:
    await add_run(tmp_path, "one")
    async with opened(tmp_path) as (app, pilot):
        below, table = app.screen, app.screen.query_one(RunsTable)
        await until(pilot, lambda: table.count == 1)
        await app.push_screen(ConfirmScreen("Sure?", "It is."))
        assert below.is_current
        await add_run(tmp_path, "two")
        await until(pilot, lambda: table.count == 2)
        await app.pop_screen()
        await app.push_screen(ApprovalsScreen())
        assert app.screen.is_current
        assert not below.is_current
        await add_run(tmp_path, "three")
        await app.pop_screen()
        await until(pilot, lambda: table.count == 3)
