"""The processes that work for the runs of a controller, the agents that there are, and all of the
one under the cursor."""

from __future__ import annotations

import asyncio

from textual import on, work
from textual.app import ComposeResult
from textual.widget import Widget

from axtui.actors import Actors
from axtui.client import LogError, Refused, Unreachable
from axtui.screens.base import PlainScreen
from axtui.ui.line import Line
from axtui.widgets.actors_table import ActorsTable, AgentsTable, actor_lines, agent_lines
from axtui.widgets.bars import TopBar
from axtui.widgets.lines import Lines
from axtui.widgets.panes import Below, Beside
from axtui.widgets.row_list import RowList

_SECONDS = 1.0
# Looking at agents imports them.
_AGENTS_SECONDS = 30.0
_NONE = "no actors; models and tools get theirs when a run first needs them"


class ActorsScreen(PlainScreen):
    """Looks for changes while it is seen."""

    crumbs = "› actors"

    @property
    def address(self) -> str:
        """How the command line calls it."""
        return "actors"

    def panes(self) -> ComposeResult:
        """Actors, agents, and one of them."""
        with Beside(id="body"):
            with Below(id="workers"):
                yield ActorsTable(id="actors-table", classes="pane")
                yield AgentsTable(id="agents-table", classes="pane")
            yield Lines(id="about", classes="pane")

    def on_mount(self) -> None:
        """The actors have the focus."""
        self._shown: RowList = self.query_one(ActorsTable)
        self._shown.focus()
        self._shown.border_title = "actors"
        self.query_one(AgentsTable).border_title = "agents"
        self.query_one("#about").border_title = "about"

    def opened(self) -> None:
        """Show what there is, and keep it up."""
        self._keep_actors()
        self._keep_agents()

    @work(exclusive=True, group="actors")
    async def _keep_actors(self) -> None:
        actors, table = Actors(self.desk.client), self.query_one(ActorsTable)
        while True:
            if self.is_current:
                table.empty_text = _NONE
                try:
                    table.show(await actors.read())
                    controller_pid = (await self.desk.client.holder()).pid
                except (Refused, LogError, Unreachable) as error:
                    table.empty_text = str(error)
                    controller_pid = 0
                table.refresh()
                table.border_title = f"actors [{table.count}]"
                self.query_one(TopBar).connection = self.desk.connection(controller_pid)
                self._show()
            await asyncio.sleep(_SECONDS)

    @work(exclusive=True, group="agents")
    async def _keep_agents(self) -> None:
        table = self.query_one(AgentsTable)
        while True:
            if self.is_current:
                try:
                    table.show(await self.desk.client.agents())
                except (Refused, LogError, Unreachable) as error:
                    table.empty_text = str(error)
                table.refresh()
                table.border_title = f"agents [{table.count}]"
                self._show()
            await asyncio.sleep(_AGENTS_SECONDS)

    @on(RowList.Moved)
    def _moved(self) -> None:
        self._show()

    def on_descendant_focus(self) -> None:
        """What is shown is of the list that has the focus, or had it last."""
        if isinstance(self.focused, RowList):
            self._shown = self.focused
            self._show()

    def _show(self) -> None:
        rows, about = self._shown, self.query_one("#about", Lines)
        if isinstance(rows, ActorsTable) and rows.count:
            lines = actor_lines(rows.actors[rows.cursor])
        elif isinstance(rows, AgentsTable) and rows.count:
            lines = agent_lines(rows.agents[rows.cursor])
        else:
            lines = [Line(rows.empty_text, "dim")]
        about.show(lines, stay=True)

    @on(RowList.Opened)
    def _open(self) -> None:
        self.query_one("#about", Widget).focus()
