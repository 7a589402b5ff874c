"""Where a run is to be forked, and how the fork is to be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Checkbox, Input, Static

from axtui.screens.fleeting import Fleeting
from axtui.widgets.bars import KeyBar
from axtui.widgets.bindings import bindings

if TYPE_CHECKING:
    from axtui.app import AxtuiApp

_MAX_SEQ = 2**63 - 1


class ForkScreen(Fleeting, ModalScreen[str]):
    """Ends with the id of the fork, or with nothing."""

    BINDINGS = bindings("dialog")

    def __init__(self, source_id: str, seq: int | None) -> None:
        super().__init__()
        self._source_id, self._seq = source_id, seq

    def compose(self) -> ComposeResult:
        """From where, the name, and whether it goes on at once."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "fork"
            yield Static(f"of {self._source_id}", classes="label", markup=False)
            yield Static("after event (empty: the last)", classes="label")
            yield Input(str(self._seq or ""), id="seq", type="integer")
            yield Static("id of the fork (empty: a new one)", classes="label")
            yield Input(id="name")
            yield Checkbox("go on with its run at once", value=True, id="resume", compact=True)
            yield Static("steps that have finished are kept, and aren't done again", classes="hint")
        yield KeyBar()

    @property
    def ui(self) -> AxtuiApp:
        """The application."""
        return cast("AxtuiApp", self.app)

    def action_cancel(self) -> None:
        self.dismiss("")

    @work(exclusive=True)
    async def action_confirm(self) -> None:
        from axtui.client import RunOptions
        from axtui.model.fold import is_open

        seq = self.query_one("#seq", Input).value
        if seq and not (seq.isascii() and seq.isdigit() and int(seq) <= _MAX_SEQ):
            self.notify(f"{seq} is no event", severity="error", markup=False)
            return
        name = self.query_one("#name", Input).value.strip()

        async def fork() -> str:
            writer = await self.ui.desk.writer()
            made = await writer.fork(self._source_id, int(seq) if seq else None, name, None)
            if self.query_one(Checkbox).value and is_open(await writer.state(made)):
                await writer.resume(made, RunOptions())
            return made

        if made := await self.ui.attempt(fork(), change=True):
            self.app.notify(f"forked as {made}", markup=False)
            self.dismiss(made)
