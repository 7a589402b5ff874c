"""A letter over each pane; the letter goes there."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen
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

    def __init__(self, panes: Sequence[Widget]) -> None:
        super().__init__()
        self.panes = dict(zip(_LETTERS, panes, strict=False))

    def compose(self) -> ComposeResult:
        """The letters, where the panes are."""
        for letter, pane in self.panes.items():
            label = Static(f" {letter} ", classes="letter")
            label.styles.offset = pane.region.x + 2, pane.region.y
            yield label
        yield KeyBar()

    def on_key(self, event: events.Key) -> None:
        """A letter goes to its pane; any other key stays."""
        if event.key in self.panes:
            event.stop()
            self.dismiss(self.panes[event.key])

    def action_cancel(self) -> None:
        self.dismiss(None)
