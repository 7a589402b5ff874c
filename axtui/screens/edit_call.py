"""The arguments of a call that somebody is asked about, to be changed before it is approved."""

from __future__ import annotations

import json
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from axtui.model.codec import load_json, typed_json
from axtui.model.commands import command_of
from axtui.model.words import one_line, visible
from axtui.screens.fleeting import Fleeting
from axtui.v1 import state_pb2 as st
from axtui.widgets.bars import KeyBar
from axtui.widgets.bindings import bindings

_HINT = "the log has both, and a model is told that it was changed"


class EditCallScreen(Fleeting, ModalScreen[dict[str, Any] | None]):
    """Ends with the arguments as they are to be, or with nothing. Of a shell's command it is the
    command that is edited, as it is and not as JSON, unless there is something in it that can't be
    seen, or that the editor would take for the end of a line: in JSON that is escaped."""

    BINDINGS = bindings("dialog")

    def __init__(self, question: st.Question) -> None:
        super().__init__()
        self._given: dict[str, Any] = load_json(question.detail.text)
        self._tool = question.subject.partition("@")[0].partition("(")[0]
        command = command_of(self._tool, question.detail.text)
        self._command = command if command and visible(command.text) == command.text else None

    def compose(self) -> ComposeResult:
        """What it is, and where it is changed."""
        what = "command" if self._command else f"arguments of {one_line(self._tool)}, JSON"
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "edit, then approve"
            yield Static(what, classes="label", markup=False)
            yield TextArea(self._text(), id="input")
            yield Static(_HINT, id="problem", classes="hint", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """Behind what is there."""
        area = self.query_one(TextArea)
        area.move_cursor(area.document.end)

    def _text(self) -> str:
        if self._command:
            return self._command.text
        return "".join(map(_escaped, json.dumps(self._given, indent=2, ensure_ascii=False)))

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_confirm(self) -> None:
        text = self.query_one(TextArea).text
        if self._command:
            self.dismiss({**self._given, "command": text})
            return
        try:
            edited = typed_json(text)
        except ValueError as error:
            self._tell(f"that isn't JSON: {error}")
            return
        if isinstance(edited, dict):
            self.dismiss(edited)
        else:
            self._tell("the arguments are a JSON object: {…}")

    def _tell(self, problem: str) -> None:
        self.query_one("#problem", Static).update(problem)


def _escaped(char: str) -> str:
    """A character of JSON, escaped unless it can be seen."""
    return char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1]
