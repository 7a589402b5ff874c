"""Our questions as a client of Google AX can be asked them, and its answers.

AX has confirmations, with yes and no. A question with two choices is one: yes is the first. What
has more choices, or takes any text, is asked as a text, and the next input answers it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from axtui.ax import content_pb2 as axc
from axtui.runtime.actors.ax import content
from axtui.runtime.errors import Refused
from axtui.v1 import state_pb2 as st

_YES = frozenset({"yes", "y"})
_NO = frozenset({"no", "n"})
_DECIDE = ["approve", "deny"]


class Answer(NamedTuple):
    """What a question is answered with: one of its choices, or a text."""

    question_id: str
    choice: str
    text: str


def asked(question: st.Question) -> axc.Content:
    """A question as it is put."""
    choices = list(question.choices)
    if len(choices) != 2:
        hint = f" ({', '.join(choices)})" if choices else ""
        return content.text(f"{question.question}{hint}")
    hint = "" if choices == _DECIDE else f" (yes: {choices[0]}, no: {choices[1]})"
    return content.confirmation(question.id, f"{question.question}{hint}")


def answered(question: st.Question, choice: str, text: str) -> axc.Content:
    """An answer as somebody else gave it."""
    if len(question.choices) != 2:
        return content.text(choice or text)
    yes = choice == question.choices[0]
    return content.confirmation(question.id, question.question, yes)


def confirmed(state: st.State, given: axc.ConfirmationContent) -> Answer:
    """The answer in a confirmation. Raises Refused if it is none to an open question."""
    question = state.questions.get(given.id)
    if question is None:
        raise Refused("state", f"no question {given.id!r} is open", _open(state))
    if not given.WhichOneof("decision"):
        raise Refused("usage", f"the confirmation {given.id!r} has no decision")
    if len(question.choices) != 2:
        raise Refused(
            "usage",
            f"question {given.id!r} isn't answered by yes or no",
            f"the answer is a text: {', '.join(question.choices) or 'any'}",
        )
    # Neither is an approval that says false, nor a refusal to decline.
    yes = given.HasField("approval") and given.approval.approved
    return Answer(given.id, question.choices[0 if yes else 1], "")


def said(state: st.State, text: str) -> Answer:
    """The answer in a text, to the oldest question that takes it. Raises Refused if none does."""
    for question in in_order(state.questions.values()):
        choices = list(question.choices)
        if not choices:
            return Answer(question.id, "", text)
        word = text.strip().lower()
        if len(choices) == 2 and word in _YES | _NO:
            return Answer(question.id, choices[0 if word in _YES else 1], "")
        for choice in choices:
            if choice.lower() == word:
                return Answer(question.id, choice, "")
    raise Refused(
        "in_flight",
        f"the run of {state.conversation_id} waits for an answer, and this is none",
        _open(state),
    )


def in_order(questions: Iterable[st.Question]) -> list[st.Question]:
    """Questions in the order in which they were asked."""
    return sorted(questions, key=lambda question: question.seq)


def _open(state: st.State) -> str:
    questions = in_order(state.questions.values())
    return "; ".join(
        f"{question.id}: {question.question} ({', '.join(question.choices) or 'any text'})"
        for question in questions[:3]
    )
