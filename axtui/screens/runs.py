"""All conversations, and what the one under the cursor is at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input

from axtui.model.words import one_line
from axtui.screens.acting import Acting
from axtui.screens.base import PlainScreen
from axtui.ui.run_list import RunList
from axtui.widgets.bars import TopBar
from axtui.widgets.bindings import bindings
from axtui.widgets.lines import Lines
from axtui.widgets.panes import Beside
from axtui.widgets.row_list import RowList
from axtui.widgets.runs_table import RunsTable

if TYPE_CHECKING:
    from axtui.model.summary import Listed

_SECONDS = 0.5


class RunsScreen(Acting, PlainScreen):
    """The first screen. It looks for changes a few times a second while it is seen."""

    BINDINGS = bindings("runs")
    crumbs = "› runs"

    def __init__(self) -> None:
        super().__init__()
        self._table = RunsTable(id="runs")
        self._about = Lines(id="preview", classes="pane")
        self._search = Input(placeholder="words, state:failed, agent:shell", id="search")
        # Why the list can't be had; empty if it can, None before it was looked for.
        self._problem: str | None = None

    @property
    def address(self) -> str:
        """How the command line calls it."""
        return "runs"

    def panes(self) -> ComposeResult:
        """The table and the preview."""
        with Beside(id="body"):
            yield self._table
            yield self._about
        yield self._search

    def on_mount(self) -> None:
        """The table has the focus."""
        self._table.focus()
        self._table.border_title = "runs"
        self._about.border_title = "preview"

    def opened(self) -> None:
        """Show what there is, and keep it up."""
        self.runs = RunList(self.desk.client)
        self.runs.sort_by(self.ui.settings.sort, self.ui.settings.reverse)
        self._table.runs = self.runs
        self._keep_up()

    def on_screen_resume(self) -> None:
        """What changed while something else was shown is seen at once."""
        if self._begun:
            self._keep_up()

    @property
    def listed(self) -> Listed | None:
        """The conversation under the cursor."""
        table = self._table
        rows = table.runs.rows if table.runs else []
        return rows[table.cursor].listed if table.cursor < len(rows) else None

    @property
    def conversation_id(self) -> str:
        """The id of the conversation under the cursor."""
        return self.listed.summary.id if self.listed else ""

    @work(exclusive=True, group="runs")
    async def _keep_up(self) -> None:
        from axtui.client import LogError, Refused, Unreachable

        while True:
            if self.is_current:
                changed, before = False, self._problem
                try:
                    changed, self._problem = await self.runs.refresh(), ""
                except (LogError, Refused, Unreachable) as error:
                    self._problem = str(error)
                if changed or self._problem != before:
                    self._arranged()
            await asyncio.sleep(_SECONDS)

    def refresh_soon(self) -> None:
        """Look for changes at once."""
        self._keep_up()

    def _arranged(self) -> None:
        table = self._table
        table.empty_text = self._problem or (
            "nothing fits the filter" if self.runs.total else "no runs yet; press c to start one"
        )
        table.arranged()
        shown = len(self.runs.rows)
        of_all = f"{shown:,}" if shown == self.runs.total else f"{shown:,} of {self.runs.total:,}"
        filtered = f"  /{one_line(self.runs.filter_text)}" if self.runs.filter_text else ""
        table.border_title = Content(f"runs [{of_all}]{filtered}")
        direction = "↑" if self.runs.reverse else "↓"
        table.border_subtitle = f"by {self.runs.column.name} {direction}"
        for bar in self.query(TopBar):
            bar.connection = self.desk.connection(self.runs.controller_pid)
        self._preview()

    @on(RowList.Moved)
    def _moved(self) -> None:
        self._table.remember()
        self._preview()

    @work(exclusive=True, group="preview", exit_on_error=False)
    async def _preview(self) -> None:
        from axtui.widgets.preview import preview_lines

        listed = self.listed
        if listed is None:
            self._about.show([])
            return
        name = listed.summary.id
        state = await self.ui.attempt(self.desk.client.state(name))
        if state is not None and self.conversation_id == name:
            lines = preview_lines(state, name in self.runs.driving)
            self._about.show(lines, stay=True)

    @on(RowList.Opened)
    def _open(self) -> None:
        if self.listed:
            self.ui.open_run(self.conversation_id)

    # What keys do

    def action_filter(self) -> None:
        self._search.add_class("-open")
        self.set_focus(self._search)

    @on(Input.Changed, "#search")
    def _filter(self, event: Input.Changed) -> None:
        self.runs.filter_text = event.value
        self.runs.arrange()
        self._arranged()

    @on(Input.Submitted, "#search")
    def _filtered(self) -> None:
        self._search.set_class(bool(self.runs.filter_text), "-open")
        self._table.focus()

    def action_sort(self) -> None:
        self.runs.sort_by_next()
        self._sorted()

    def action_reverse(self) -> None:
        self.runs.sort_by(self.runs.column.name, not self.runs.reverse)
        self._sorted()

    def _sorted(self) -> None:
        self.ui.keep(sort=self.runs.column.name, reverse=self.runs.reverse)
        self._arranged()
