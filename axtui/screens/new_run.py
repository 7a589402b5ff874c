"""What a new run is to do, and which agent does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static, TextArea

from axtui.model.codec import load_json
from axtui.model.ids import new_id
from axtui.widgets.bars import KeyBar
from axtui.widgets.bindings import bindings

if TYPE_CHECKING:
    from axtui.app import AxtuiApp

_DEFAULT = ("the default", "")


class NewRunScreen(ModalScreen[str]):
    """Ends with the id of the conversation that was started, or with nothing."""

    BINDINGS = bindings("dialog")

    def compose(self) -> ComposeResult:
        """Agent, input, configuration."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "new run"
            yield Static("agent", classes="label")
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
        options = [
            (f"{agent.id}  {agent.problem or agent.description}"[:200], agent.id)
            for agent in agents or ()
        ]
        select: Select[str] = self.query_one(Select)
        # Who was faster goes on choosing.
        expanded = select.expanded
        select.set_options([_DEFAULT, *options])
        select.expanded = expanded

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
            config = load_json(given) if given else None
        except ValueError as error:
            problem.update(f"the configuration isn't JSON: {error}")
            return
        select: Select[str] = self.query_one(Select)
        name = new_id()

        async def start() -> str:
            writer = await self.ui.desk.writer()
            await writer.start(name, text, str(select.value), RunOptions(config=config))
            return name

        if await self.ui.attempt(start()):
            self.dismiss(name)
