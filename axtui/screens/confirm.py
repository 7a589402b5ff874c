"""A question before something that can't be taken back."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from axtui.screens.fleeting import Fleeting
from axtui.widgets.bars import KeyBar
from axtui.widgets.bindings import bindings


class ConfirmScreen(Fleeting, ModalScreen[bool]):
    """Ends with True for `y`; with `typed`, once that very text was typed and entered. Enter alone
    confirms nothing."""

    BINDINGS = bindings("confirm")

    def __init__(self, question: str, consequence: str, *, typed: str = "") -> None:
        super().__init__()
        self._question, self._consequence, self._typed = question, consequence, typed

    def compose(self) -> ComposeResult:
        """The question, what follows, and where to type."""
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            yield Static(self._consequence, classes="hint", markup=False)
            if self._typed:
                yield Static(f"type  {self._typed}  to do it", classes="label", markup=False)
                yield Input()
        yield KeyBar()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A letter is a letter where a text is to be typed."""
        if action in ("yes", "no") and self._typed:
            return False
        return super().check_action(action, parameters)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Only the very text will do."""
        if event.value == self._typed:
            self.dismiss(True)

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)

    def action_cancel(self) -> None:
        self.dismiss(False)
