"""A letter over each pane; the letter goes there."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from axtui.screens.fleeting import Fleeting
from axtui.widgets.bars import KeyBar
from axtui.widgets.bindings import bindings

# The home row first.
_LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class JumpScreen(Fleeting, ModalScreen[Widget]):
    """Ends with the pane that was chosen, or with nothing."""

    BINDINGS = bindings("jump")

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._below = below
        self.panes = dict(zip(_LETTERS, below.focus_chain, strict=False))

    def compose(self) -> ComposeResult:
        """The letters."""
        for letter in self.panes:
            yield Static(f" {letter} ", classes="letter")
        yield KeyBar()

    def on_mount(self) -> None:
        """The letters stay where the panes are."""
        self._place()
        self._below.screen_layout_refresh_signal.subscribe(self, lambda _: self._place())

    def _place(self) -> None:
        for label, pane in zip(self.query(".letter"), self.panes.values(), strict=True):
            label.display = bool(pane.region)
            label.styles.offset = pane.region.x + 2, pane.region.y

    def on_key(self, event: events.Key) -> None:
        """A letter goes to its pane; any other key stays."""
        if event.key in self.panes:
            event.stop()
            self.dismiss(self.panes[event.key])

    def action_cancel(self) -> None:
        self.dismiss(None)
