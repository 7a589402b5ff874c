"""All keys, those of the place that one is in first; each row can be done from here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from axtui.screens.fleeting import Fleeting
from axtui.ui.actions import SCOPES, Action, of
from axtui.ui.keymaps import shown_all
from axtui.widgets.bars import KeyBar
from axtui.widgets.bindings import bindings
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.text import fit

_KEYS_WIDTH = 24


class Row(NamedTuple):
    """The heading of a scope, or an action of it."""

    heading: str
    action: Action | None = None


class HelpRows(RowList, can_focus=False):
    """Shown beside an input that has the focus."""

    DEFAULT_CSS = "HelpRows { height: 1fr; }"
    unfocused = "cursor"

    def __init__(self, keymap: Mapping[str, str], offered: Collection[str]) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._keymap, self._offered = keymap, offered
        self.empty_text = "nothing fits"

    def show(self, rows: list[Row]) -> None:
        """Show other rows, the cursor at the first that can be done."""
        self.rows = rows
        self.renew()
        self.set_count(len(rows))
        self.go_to(0)
        self.step(0, 1)
        self.scroll_to(y=0, animate=False, immediate=True, force=True)

    def step(self, distance: int, direction: int) -> None:
        """Move the cursor, past what is no action."""
        index = max(0, min(self.count - 1, self.cursor + distance))
        at = index
        while 0 <= at < self.count and self.rows[at].action is None:
            at += direction
        if 0 <= at < self.count:
            self.go_to(at, center=False)

    @property
    def action(self) -> Action | None:
        """The action under the cursor."""
        return self.rows[self.cursor].action if self.cursor < len(self.rows) else None

    def cells(self, index: int, width: int) -> Cells:
        """The keys, and what they do."""
        heading, action = self.rows[index]
        if action is None:
            return [(heading, "accent")]
        here = action.id in self._offered
        keys = fit(shown_all(self._keymap[action.id]), min(_KEYS_WIDTH, width // 3))
        return [(f"{keys}  ", "strong" if here else "dim"), (action.help, "" if here else "dim")]


class HelpScreen(Fleeting, ModalScreen[str]):
    """Ends with the id of the action that is to be done, or with nothing. `here` are the scopes of
    the place that one is in, `offered` the actions that can be done there."""

    BINDINGS = bindings("help")
    AUTO_FOCUS: ClassVar[str] = "Input"

    def __init__(
        self, here: Sequence[str], offered: Collection[str], keymap: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._scopes = list(dict.fromkeys([*here, *SCOPES]))
        self._here, self._offered, self._keymap = here, offered, keymap

    def compose(self) -> ComposeResult:
        """What is looked for, and what there is."""
        with Vertical(classes="dialog", id="help") as dialog:
            dialog.border_title = "keys"
            yield Input(placeholder="type to search")
            yield HelpRows(self._keymap, self._offered)
        yield KeyBar()

    def on_mount(self) -> None:
        """All of them."""
        self._search("")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._search(event.value)

    def _search(self, text: str) -> None:
        rows = []
        for scope in self._scopes:
            fitting = [action for action in of(scope) if self._fits(action, text.lower().split())]
            if fitting:
                elsewhere = "" if scope in self._here else "  (elsewhere)"
                rows.append(Row(f"{SCOPES[scope]}{elsewhere}"))
                rows += [Row("", action) for action in fitting]
        self.query_one(HelpRows).show(rows)

    def _fits(self, action: Action, words: list[str]) -> bool:
        text = f"{action.id} {action.label} {action.help} {shown_all(self._keymap[action.id])}"
        return all(word in text.lower() for word in words)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can't be done here can't be done from here."""
        if action == "run" and self.has_widgets:
            chosen = self.query_one(HelpRows).action
            return True if chosen and chosen.id in self._offered else None
        return super().check_action(action, parameters)

    @on(RowList.Moved)
    def _moved(self) -> None:
        self.refresh_bindings()

    # What keys do

    def action_run(self) -> None:
        if chosen := self.query_one(HelpRows).action:
            self.dismiss(chosen.id)

    def action_cancel(self) -> None:
        self.dismiss("")

    def action_up(self) -> None:
        self.query_one(HelpRows).step(-1, -1)

    def action_down(self) -> None:
        self.query_one(HelpRows).step(1, 1)

    def action_page_up(self) -> None:
        rows = self.query_one(HelpRows)
        rows.step(-rows.size.height, 1)

    def action_page_down(self) -> None:
        rows = self.query_one(HelpRows)
        rows.step(rows.size.height, -1)
