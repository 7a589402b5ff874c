"""One conversation: its events as they come, the one under the cursor in full, and what its run is
at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from axtui.screens.acting import Acting
from axtui.screens.base import PlainScreen
from axtui.ui.log_view import LogView
from axtui.widgets.bars import TopBar
from axtui.widgets.bindings import bindings
from axtui.widgets.inspector import Inspector
from axtui.widgets.lines import Lines
from axtui.widgets.preview import preview_lines
from axtui.widgets.row_list import RowList
from axtui.widgets.timeline import Timeline

if TYPE_CHECKING:
    from axtui.v1 import state_pb2 as st

# How often the state is looked at while events come in.
_SECONDS = 0.25


class RunScreen(Acting, PlainScreen):
    """Follows the run for as long as it is open."""

    BINDINGS = bindings("run")

    def __init__(self, conversation_id: str) -> None:
        super().__init__()
        self._conversation_id = conversation_id
        self.view: LogView | None = None
        self.state: st.State | None = None
        self._state_seq = 0

    @property
    def conversation_id(self) -> str:
        """The conversation that it is about."""
        return self._conversation_id

    @property
    def address(self) -> str:
        """How the command line calls it."""
        return f"run {self._conversation_id}"

    @property
    def fork_seq(self) -> int | None:
        """The event under the cursor, unless the newest is followed."""
        timeline = self.query_one(Timeline)
        return None if timeline.follow else timeline.seq or None

    def panes(self) -> ComposeResult:
        """What it is at, its events, and one of them."""
        with Horizontal(id="body"):
            yield Lines(id="actors", classes="pane")
            yield Timeline(id="timeline").add_class("pane")
            yield Inspector(id="inspector").add_class("pane")
        yield Input(placeholder="kind:tool actor:coder step:3 or any words", id="search")

    def on_mount(self) -> None:
        """The timeline has the focus."""
        self.crumbs = f"› runs › {self.conversation_id[:8]}"
        super().on_mount()
        self.query_one(Timeline).focus()
        self.query_one("#actors").border_title = "state"
        self.query_one(Timeline).border_title = "timeline"

    def opened(self) -> None:
        """Show the log, and keep it up."""
        self.query_one(Inspector).client = self.desk.client
        self._follow()
        self.set_interval(0.2, self._titles)

    @work(exclusive=True, group="follow", exit_on_error=False)
    async def _follow(self) -> None:
        client, timeline = self.desk.client, self.query_one(Timeline)
        if not self.desk.server:
            await client.join(start=False)
        state = await self.ui.attempt(client.state(self.conversation_id))
        if state is None:
            return
        self.view = LogView(client, self.conversation_id, state.seq, self._arrived)
        timeline.show(client, self.view, state.created_us)
        self._take_state(state)
        self._keep_state()
        await self.ui.attempt(self.view.follow())

    def _arrived(self, first: int, last: int) -> None:
        self.query_one(Timeline).arrived(first, last)
        if first <= self.query_one(Timeline).seq <= last:
            self._inspect()

    @work(exclusive=True, group="state", exit_on_error=False)
    async def _keep_state(self) -> None:
        while True:
            if self.view is not None and self.view.head > self._state_seq and self.is_current:
                state = await self.ui.attempt(self.desk.client.state(self.conversation_id))
                if state is not None:
                    self._take_state(state)
            elif self.state is not None and self.state.open_steps:
                self._take_state(self.state)
            await asyncio.sleep(_SECONDS)

    def _take_state(self, state: st.State) -> None:
        self.state, self._state_seq = state, state.seq
        if self.view is not None:
            self.view.streams.keep(state.open_steps)
        self.query_one("#actors", Lines).show(preview_lines(state, True), stay=True)
        title = f" {state.title}" if state.title else ""
        self.query_one(TopBar).crumbs = f"› runs › {self.conversation_id[:8]}{title}"

    def _titles(self) -> None:
        timeline, bar = self.query_one(Timeline), self.query_one(TopBar)
        if self.view is None:
            return
        bar.mode = "LIVE" if timeline.follow else "FOLLOW OFF"
        bar.connection = self.desk.connection(0) if self.desk.server else "local"
        filtered = f"  /{timeline.filter_text}" if timeline.filter_text else ""
        timeline.border_title = f"timeline {self.view.head:,} events{filtered}"
        new = timeline.count - 1 - timeline.cursor
        parts = []
        if timeline.left_to_scan:
            parts.append(f"{timeline.left_to_scan:,} to look through")
        if timeline.filter_text:
            parts.append(f"{timeline.count:,} fit")
        if not timeline.follow and new > 0:
            parts.append(f"+{new:,} below · F follows")
        timeline.border_subtitle = " · ".join(parts)

    @on(RowList.Moved)
    def _moved(self) -> None:
        self._inspect()

    def _inspect(self) -> None:
        timeline = self.query_one(Timeline)
        if self.view is not None and timeline.seq:
            record = self.view.record(timeline.seq)
            if record is not None:
                self.query_one(Inspector).inspect(record)

    @on(RowList.Opened)
    def _open(self) -> None:
        self.query_one(Inspector).focus()

    async def on_unmount(self) -> None:
        """Fetch no more."""
        if self.view is not None:
            await self.view.close()

    # What keys do

    def action_filter(self) -> None:
        search = self.query_one("#search", Input)
        search.add_class("-open")
        search.focus()

    @on(Input.Submitted, "#search")
    def _filter(self, event: Input.Submitted) -> None:
        self.query_one(Timeline).set_filter(event.value)
        self.query_one("#search").set_class(bool(event.value.strip()), "-open")
        self.query_one(Timeline).focus()
