"""Who takes part in a run, and what each is doing."""

from __future__ import annotations

from typing import NamedTuple

from textual.message import Message

from axtui.model.streams import Streams
from axtui.model.words import one_line, printable
from axtui.ui.glyphs import glyph
from axtui.v1 import state_pb2 as st
from axtui.widgets.preview import open_steps, step_name, step_time
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.text import fit, wrap

# Of what an actor is just putting out.
_LINES = 3
_TAIL_CHARS = 400


class _Row(NamedTuple):
    """A line of an actor's, and what a theme calls its color"""

    actor: str
    text: str
    style: str
    first: bool = False


class ActorsPane(RowList):
    """An actor is its name with what it is at below: its open steps and the last of their text.
    The cursor stays on its actor when rows move."""

    class Picked(Message):
        """Only what an actor did is to be shown, or, if it was that before, all."""

        def __init__(self, actor: str) -> None:
            super().__init__()
            self.actor = actor

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.picked = ""
        self.empty_text = "nobody yet"
        self._actors: list[str] = []
        self._lines: list[_Row] = []

    def show(self, state: st.State, streams: Streams) -> None:
        """Show who there is now."""
        width = max(4, self.size.width - 4)
        self._actors = sorted(state.actors, key=lambda name: state.actors[name].first_seq)
        steps: dict[str, list[st.Step]] = {}
        for step in open_steps(state):
            steps.setdefault(step.actor, []).append(step)
        asked = {question.actor for question in state.questions.values()}
        lines = []
        for actor in self._actors:
            own = steps.get(actor, [])
            word = "waiting" if actor in asked else "running" if own else "idle"
            lines.append(_Row(actor, word, word, True))
            for step in own[:_LINES]:
                time = step_time(step)
                name = fit(one_line(step_name(step)), max(1, width - len(time) - 1))
                lines.append(_Row(actor, f"{name} {time}", "dim"))
                stream = streams.get(step.key)
                text = " ".join(stream.channels.values()) if stream else ""
                tail = [line for line in printable(text[-_TAIL_CHARS:]).split("\n") if line.strip()]
                parts = [part for line in tail for part in wrap(line.expandtabs(4), width, 0)]
                lines += [_Row(actor, part, "running") for part in parts[-_LINES:]]
        if lines != self._lines:
            at = self._lines[self.cursor].actor if self.cursor < len(self._lines) else ""
            self._lines = lines
            self.renew()
            self.set_count(len(lines))
            places = [index for index, row in enumerate(lines) if row.actor == at]
            if places and self.cursor not in places:
                self.cursor = places[0]
                self.scroll_to_cursor(center=False)

    def cells(self, index: int, width: int) -> Cells | None:
        """Number, name and state; or what it is at."""
        if index >= len(self._lines):
            return []
        row = self._lines[index]
        if not row.first:
            return [("  ", ""), (row.text, row.style)]
        name = fit(one_line(row.actor), max(4, width - len(row.text) - 3))
        picked = row.actor == self.picked
        return [
            (f"{name} ", "accent" if picked else "strong"),
            (f"{glyph(row.style)} {row.text}", row.style),
        ]

    def action_open(self) -> None:
        if self.cursor < len(self._lines):
            self.post_message(self.Picked(self._lines[self.cursor].actor))
