"""What a client of Google AX sees of a log.

It sees our seqs, with gaps: messages, questions and their answers, and calls of tools and agents
with their results. What a rule has answered was never a question to anybody, and what is internal
is nobody's but its agent's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any, NamedTuple

from axtui.ax import ax_pb2 as ax
from axtui.ax import content_pb2 as axc
from axtui.model.codec import load_json
from axtui.model.events import text_of
from axtui.model.fold import apply
from axtui.remote.ax.questions import answered, asked, in_order
from axtui.remote.ax.reader import Reader
from axtui.runtime.actors.ax import content
from axtui.runtime.journal import Delta
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

MAX_SEQ = 2**31 - 1
# A client takes messages of 4 MiB, if nobody has told it otherwise.
_MAX_TEXT = 1 << 20
_CALLS = ("tool", "agent")
# What agents ask to know what there is to call.
_LISTING = "tools"


class OutOfRange(Exception):
    """A seq that the log doesn't have, or the protocol no number for."""


class Seen(NamedTuple):
    """What is sent at once; a turn's end has no messages."""

    seq: int
    messages: list[ax.Message]


class View:
    """Folds events, and says what is to be seen of each.

    Whoever looks isn't shown what he has just said himself: the message at `own`, and how he has
    `answered` some questions.
    """

    def __init__(
        self,
        state: st.State,
        reader: Reader,
        own: int = 0,
        answered: Collection[str] = (),
    ) -> None:
        self.state = state
        self._reader = reader
        self._own = own
        self._answered = answered
        # Known once the next event is whether a rule has answered it.
        self._held: st.Question | None = None

    async def take(self, event: pb.Event) -> list[Seen]:
        """What there is to be seen now that `event` has happened. Raises OutOfRange."""
        if event.seq > MAX_SEQ:
            raise OutOfRange(f"event {event.seq} is beyond the seqs that AX has numbers for")
        answer = event.approval_answered
        by_rule = event.kind == "approval.answered" and bool(answer.rule)
        if by_rule and self._held is not None and self._held.id == answer.id:
            self._held = None
        seen = self.flush()
        said = [ax.Message(role=role, content=part) async for role, part in self._said(event)]
        apply(self.state, event)
        if event.kind == "approval.requested":
            self._held = self.state.questions.get(event.approval_requested.id)
        return [*seen, *(Seen(event.seq, [message]) for message in said)]

    def flush(self) -> list[Seen]:
        """What was held back until it is known whether more follows at once."""
        held, self._held = self._held, None
        return [] if held is None else [_question(held)]

    def open_questions(self) -> list[Seen]:
        """What the run waits for."""
        return [_question(question) for question in in_order(self.state.questions.values())]

    def delta(self, delta: Delta) -> Seen | None:
        """Provisional text, if it is that of the run's own agent and its model."""
        if delta.exec_id != self.state.run.exec_id or delta.channel not in ("text", "thought"):
            return None
        part = axc.Content()
        if delta.channel == "text":
            part.text_delta.text = delta.text
        else:
            part.thought_summary_delta.text = delta.text
        return Seen(self.state.seq, [ax.Message(role="assistant", content=part)])

    async def _said(self, event: pb.Event) -> AsyncIterator[tuple[str, axc.Content]]:
        match event.kind:
            case "message":
                said = event.message
                hidden = said.internal_only or event.seq == self._own
                if hidden or await self._reader.is_superseded(event):
                    return
                for part in said.content:
                    for piece in _pieces(await content.to_ax(part, self._reader.text)):
                        yield said.role, piece
            case "approval.answered" if not event.approval_answered.rule:
                answer = event.approval_answered
                if answer.id in self.state.questions and answer.id not in self._answered:
                    question = self.state.questions[answer.id]
                    yield "user", answered(question, answer.choice, answer.text)
            case _ if (call := self._of_step(event)) is not None:
                yield "assistant", call

    def _of_step(self, event: pb.Event) -> axc.Content | None:
        """A call of a tool or an agent, or what became of it."""
        match event.kind:
            case "step.started":
                started = event.step_started
                if started.attempt > 1 or not _is_call(started.type, started.name):
                    return None
                arguments = _value(started.arguments)
                if started.type == "agent" and isinstance(arguments, dict):
                    # How it is set up is nothing for a reader.
                    arguments = {"input": arguments.get("input")}
                return content.tool_call(self._id(started.key), started.name, _object(arguments))
            case "step.completed":
                completed = event.step_completed
                result = {"skipped": True} if completed.skipped else _value(completed.result)
                return self._result(completed.key, _object(result))
            case "step.failed" if event.step_failed.next == "end":
                failed = event.step_failed
                return self._result(failed.key, {"error": failed.error.message})
        return None

    def _result(self, key: str, response: dict[str, Any]) -> axc.Content | None:
        if key not in self.state.open_steps:
            return None
        step = self.state.open_steps[key]
        if not _is_call(step.type, step.name):
            return None
        return content.tool_result(self._id(key), step.name, response)

    def _id(self, key: str) -> str:
        return f"{self.state.run.exec_id}/{key}"


def _question(question: st.Question) -> Seen:
    return Seen(question.seq, [ax.Message(role="assistant", content=asked(question))])


def _is_call(type: str, name: str) -> bool:
    return type in _CALLS and name != _LISTING


def _value(data: pb.Data) -> Any:
    """The value of a call or a result; of a long one its beginning."""
    return {"beginning": text_of(data)} if data.HasField("blob") else load_json(data.text)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"result": value}


def _pieces(part: axc.Content) -> Iterator[axc.Content]:
    said = part.text.text
    if len(said) <= _MAX_TEXT:
        yield part
        return
    for at in range(0, len(said), _MAX_TEXT):
        yield content.text(said[at : at + _MAX_TEXT])
