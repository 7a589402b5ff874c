"""All that is to be read before a question is answered, in lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from axtui.model.describe import about
from axtui.model.fold import status
from axtui.model.words import one_line, size_text, visible
from axtui.ui.line import Line

if TYPE_CHECKING:
    from axtui.ui.questions import Asked
    from axtui.v1 import state_pb2 as st

# Of one text. What is longer can't be read here, and so can't be approved here.
MAX_SHOWN = 1024 * 1024
# A choice has a digit.
MAX_CHOICES = 9
YES, NO = ("approve", "accept"), ("deny", "decline")
_MEANS = {
    ("interrupted", "retry"): "run it again",
    ("interrupted", "skip"): "count it as done, with no result",
    ("interrupted", "fail"): "tell the agent that it failed",
    ("budget", "more"): "give it as much again",
    ("budget", "stop"): "the run fails",
}
_STYLES = {"added": "completed", "removed": "failed", "place": "running"}
_RISKS = ("no sandbox", "destructive")


def choice_of(question: st.Question, wanted: Sequence[str]) -> str:
    """Which of the wanted choices a question has; empty if none."""
    return next((choice for choice in wanted if choice in question.choices), "")


def numbered(question: st.Question) -> Sequence[str]:
    """The choices that have a digit: those of a question that isn't one of yes and no."""
    if choice_of(question, YES) and choice_of(question, NO) and len(question.choices) == 2:
        return ()
    return question.choices[:MAX_CHOICES]


def takes_words(question: st.Question) -> bool:
    """Whether an answer is typed: any, or a choice that there is no digit for."""
    return not question.choices or len(question.choices) > MAX_CHOICES


def can_last(question: st.Question) -> bool:
    """Whether the same may be approved from now on."""
    return question.type in ("approval", "permission") and "approve" in question.choices


def scope(question: st.Question) -> str:
    """What an approval that lasts is about."""
    name, _, pin = question.subject.rpartition("@")
    if question.subject.startswith("shell("):
        what = "this very command"
    elif question.type == "approval":
        what = "this very question, whatever is asked about"
    elif name:
        what = f"any call of {one_line(name)} as it is described now ({one_line(pin)})"
    else:
        what = f"any call of {one_line(question.subject)}, whatever its arguments"
    return f"{what}, in this conversation and forks of it"


def risk(question: st.Question) -> str:
    """Why an approval is to be typed; empty if one key is enough."""
    return next((word for word in _RISKS if word in question.rule), "")


def too_long(question: st.Question) -> bool:
    """Whether it can't be shown in full."""
    return any(data.blob.size > MAX_SHOWN for data in (question.detail, question.diff))


def lines_of(asked: Asked, whole: st.Question) -> list[Line]:
    """The question, the choices, what it is about, why and where it is asked, and what is answered
    from now on without asking. `whole` is the question with what is kept apart."""
    question, state = whole, asked.state
    return [
        *_texts(question.question, "strong"),
        *_choices(question),
        *_about(asked, question),
        Line(""),
        *_facts(asked),
        *_rules(state),
    ]


def _choices(question: st.Question) -> Iterator[Line]:
    digits = numbered(question)
    if digits or takes_words(question):
        yield Line("")
    for number, choice in enumerate(digits, 1):
        means = _MEANS.get((question.type, choice), "")
        (first, *rest) = _texts(f"{choice}: {means}" if means else choice, "waiting")
        yield Line(f" {number}  {first.text}", first.style)
        yield from (Line(f"    {line.text}", line.style) for line in rest)
    for choice in question.choices[MAX_CHOICES:] if digits else ():
        yield from (Line(f"    {line.text}", line.style) for line in _texts(choice, "waiting"))
    if takes_words(question):
        yield Line(" i  answer in words", "waiting")


def _about(asked: Asked, question: st.Question) -> Iterator[Line]:
    # What an agent's own question is about is its choices.
    lines = [] if question.type == "question" else about(question)
    if lines:
        yield Line("")
    for line in lines:
        if line.text.startswith("asked because: ") and line is lines[-1] and len(lines) > 1:
            yield Line("")
        yield from _texts(line.text, _STYLES.get(line.style, line.style))
    if too_long(question):
        parts = (question.detail, question.diff)
        size = max(data.blob.size for data in parts if data.HasField("blob"))
        name = f"{asked.conversation_id} {question.id}"
        yield Line(f"the whole is {size_text(size)}, too long to be read, and approved, here;")
        yield Line(f"`axtui export` has all of it, `axtui approve {name}` approves it")


def _facts(asked: Asked) -> Iterator[Line]:
    state, question = asked.state, asked.question
    run, step = state.run, state.open_steps.get(question.key)
    said = question.subject == question.question or question.subject.startswith("shell(")
    facts = [
        ("about", "" if said else question.subject),
        ("workspace", run.workspace),
        ("run", f"{state.conversation_id}  {run.agent}  {status(state)}"),
        ("asked by", f"{question.actor}, event {question.seq}, {question.type} {question.id}"),
        ("step", question.key),
    ]
    if step is not None:
        effect = step.effect or "a repeat may do harm"
        facts[-1] = ("step", f"{question.key}  {step.name}  attempt {step.attempt}  {effect}")
    for name, text in facts:
        if text.strip():
            yield Line(f"{name:<10} {one_line(visible(text))}", "dim")


def _rules(state: st.State) -> Iterator[Line]:
    if state.rules:
        yield Line("")
        yield Line("answered without asking, in this conversation", "dim")
    for rule in state.rules:
        what = one_line(visible(rule.subject))
        yield Line(f"  {rule.choice}  {rule.type}  {what}  since event {rule.seq}", "dim")


def _texts(text: str, style: str) -> list[Line]:
    return [Line(line.expandtabs(4), style) for line in visible(text).split("\n")]
