"""What a new run is to do, and which agent does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static, TextArea

from axtui.model.codec import typed_json
from axtui.model.ids import new_id
from axtui.model.words import one_line
from axtui.screens.fleeting import Fleeting
from axtui.widgets.bars import KeyBar
from axtui.widgets.bindings import bindings

if TYPE_CHECKING:
    from axtui.app import AxtuiApp
    from axtui.client import AgentInfo

_DEFAULT = ("the default", "")


class NewRunScreen(Fleeting, ModalScreen[str]):
    """Ends with the id of the conversation that was started, or with nothing."""

    BINDINGS = bindings("dialog")

    def __init__(self) -> None:
        super().__init__()
        # Why agents can't run, by their ids.
        self._problems: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Agent, input, configuration."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "new run"
            yield Static("agent; looking which there are …", id="agents", classes="label")
            yield Select([_DEFAULT], value="", allow_blank=False, id="agent", compact=True)
            yield Static("input", classes="label")
            yield TextArea(id="input")
            yield Static("configuration of the agent, JSON", classes="label")
            yield Input(id="config", placeholder='such as {"idempotent": true}')
            yield Static("", id="problem", classes="hint", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """The input has the focus."""
        self.query_one(TextArea).focus()
        self._fill()

    @property
    def ui(self) -> AxtuiApp:
        """The application."""
        return cast("AxtuiApp", self.app)

    @work
    async def _fill(self) -> None:
        agents = await self.ui.attempt(self.ui.desk.client.agents())
        self._problems = {agent.id: agent.problem for agent in agents or ()}
        options = [
            (Text(f"{agent.id}  {_about(agent)}"), agent.id)
            for agent in sorted(agents or (), key=lambda agent: bool(agent.problem))
        ]
        select: Select[str] = self.query_one(Select)
        select.set_options([_DEFAULT, *options])
        self.query_one("#agents", Static).update("agent")

    @on(Select.Changed)
    def _chosen(self, event: Select.Changed) -> None:
        """Say why what was chosen can't run, if it can't."""
        self.query_one("#problem", Static).update(self._problems.get(str(event.value), ""))

    def action_cancel(self) -> None:
        self.dismiss("")

    @work(exclusive=True)
    async def action_confirm(self) -> None:
        from axtui.client import RunOptions

        text = self.query_one(TextArea).text
        given = self.query_one("#config", Input).value.strip()
        problem = self.query_one("#problem", Static)
        if not text.strip():
            problem.update("there is nothing to do; type what the agent is to do")
            return
        try:
            config = typed_json(given)
        except ValueError as error:
            problem.update(f"the configuration isn't JSON: {error}")
            return
        select: Select[str] = self.query_one(Select)
        name = new_id()

        async def start() -> str:
            writer = await self.ui.desk.writer()
            await writer.start(name, text, str(select.value), RunOptions(config=config))
            return name

        if await self.ui.attempt(start(), change=True):
            self.dismiss(name)


def _about(agent: AgentInfo) -> str:
    """In a line: what it is for, or that it can't run."""
    return "can't run" if agent.problem else one_line(agent.description)
