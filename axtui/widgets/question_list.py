"""Open questions, a row each."""

from __future__ import annotations

import time

from axtui.model.words import ago, one_line
from axtui.ui.questions import Asked
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.text import fit

_ACTOR, _SUBJECT = 12, 22


class QuestionList(RowList):
    """Keeps the cursor on the question that it is on when rows move."""

    DEFAULT_CSS = "QuestionList { height: auto; min-height: 3; max-height: 35%; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.questions: tuple[Asked, ...] = ()

    @property
    def asked(self) -> Asked | None:
        """The question under the cursor."""
        return self.questions[self.cursor] if self.cursor < len(self.questions) else None

    def take(self, questions: tuple[Asked, ...]) -> None:
        """Show these."""
        before = self.asked
        keys = [asked.key for asked in questions]
        self.questions = questions
        self.renew()
        self.set_count(len(questions))
        if before is not None and before.key in keys:
            self.go_to(keys.index(before.key), center=False)

    def cells(self, index: int, width: int) -> Cells | None:
        """Conversation, actor, what it is about, the question, and how long ago."""
        state, question = self.questions[index]
        cells = [
            (f"{fit(one_line(state.conversation_id), 13 if width >= 90 else 8)} ", "dim"),
            (f"{fit(one_line(question.actor), _ACTOR)} ", ""),
        ]
        if width >= 80:
            # What a question of an agent is about is the question.
            about = question.subject if question.subject != question.question else question.type
            cells.append((f"{fit(one_line(about), _SUBJECT)} ", "step"))
        age = f" {ago(question.time_us, time.time_ns() // 1000):>4}"
        room = width - sum(len(text) for text, _ in cells) - len(age)
        what = one_line(question.question)
        return [*cells, (fit(what, max(4, room)), "waiting"), (age, "dim")]
