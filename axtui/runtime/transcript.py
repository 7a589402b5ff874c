"""What was said in a conversation, for an agent that can't journal: it has to be told all of it,
and what it says comes in the middle of a step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from axtui.agent import Scope
from axtui.model.events import Record
from axtui.runtime.eventlog.base import EventLog
from axtui.runtime.recorder import Recorder
from axtui.v1 import event_pb2 as pb

_PAGE = 100


class Told(NamedTuple):
    """A message that an agent is to be told."""

    seq: int
    role: str
    content: list[pb.Content]
    internal_only: bool


class Transcript:
    """Of one call of an agent, whose place is `scope`, in the run that began at `started_seq`."""

    def __init__(self, recorder: Recorder, scope: Scope, started_seq: int) -> None:
        self._recorder = recorder
        self._scope = scope
        self._started_seq = started_seq

    async def newest_first(self, step: str) -> AsyncGenerator[tuple[Told, bool], None]:
        """What the agent is to be told, but for what earlier attempts of `step` have said: its own
        messages, private ones too, what was said in earlier runs, and a run's input to its agent.
        Each with whether it is of the call that is going on.
        """
        await self._recorder.committed()
        before = self._recorder.conversation.head.seq + 1
        while page := await self._page(before):
            before = page[-1].seq
            for event in (record.event() for record in page):
                now = self._is_now(event)
                if event.message.step == step and event.seq > self._started_seq:
                    continue
                if (now or self._is_told(event)) and not await self._is_superseded(event):
                    said = event.message
                    yield Told(event.seq, said.role, list(said.content), said.internal_only), now

    async def say(
        self,
        step: str,
        attempt: int,
        role: str,
        part: Callable[[Callable[[str], pb.Data]], pb.Content],
        *,
        internal: bool,
    ) -> None:
        """Commit a message of the agent; `part` is told how to keep a text. Raises ValueError if it
        is too long for a log."""
        message = pb.Message(
            role=role,
            content=[part(self._recorder.data)],
            internal_only=internal,
            step=step,
            attempt=attempt,
        )
        await self._recorder.append(self._scope, message)

    async def note(self, text: str) -> None:
        """Record a word about what is going on."""
        await self._recorder.append(self._scope, pb.Note(text=text))

    async def text(self, data: pb.Data) -> str:
        """What was stored."""
        return await self._recorder.text(data)

    async def _page(self, before: int) -> list[Record]:
        return await self._recorder.log.read(
            self._recorder.conversation.id,
            before=before,
            kinds=("message",),
            limit=_PAGE,
            newest_first=True,
        )

    def _is_now(self, event: pb.Event) -> bool:
        if event.seq < self._started_seq:
            return False
        # In a fork the run has another id, and its nested agents the same place in it.
        return _place(event.exec_id) == _place(self._scope.exec_id) and (
            event.actor == self._scope.actor or event.message.role == "user"
        )

    def _is_told(self, event: pb.Event) -> bool:
        if event.actor == self._scope.actor:
            return True
        return event.seq < self._started_seq and not event.message.internal_only

    async def _is_superseded(self, event: pb.Event) -> bool:
        return await superseded(self._recorder.log, self._recorder.conversation.id, event)


async def superseded(log: EventLog, conversation_id: str, event: pb.Event) -> bool:
    """Whether a message was said in an attempt of a step that there was a later one of."""
    said = event.message
    if not said.attempt:
        return False
    found = await log.read(
        conversation_id, after=event.seq, kinds=("step.started",), step=said.step, limit=1
    )
    # A later run has a step of that key too, which begins at the first attempt.
    return bool(found) and found[0].event().step_started.attempt > said.attempt


def _place(exec_id: str) -> str:
    return exec_id.partition("/")[2]
