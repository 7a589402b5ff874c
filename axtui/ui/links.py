"""From an event to the one that it follows from, and to the one that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axtui.client import Client
from axtui.model.events import TERMINAL_KINDS
from axtui.ui.rows import event_of
from axtui.v1 import event_pb2 as pb

# Questions and answers that are looked through for one of them.
_MAX_PAGES = 20
_OUTCOMES = ("step.completed", "step.failed")


async def cause_of(client: Client, event: pb.Event) -> int:
    """The seq of what an event follows from: of an outcome its step, of an answer its question, of
    an attempt the failure before, and of what has nothing nearer the agent's step or the run's
    beginning. 0: there is none. Raises what `Client.read` does."""
    find = _Finder(client, event)
    step = ""
    match event.kind:
        case "run.started":
            return 0
        case "step.completed":
            step = event.step_completed.key
        case "step.failed":
            step = event.step_failed.key
        case "message":
            step = event.message.step
        case "step.started":
            if event.step_started.attempt > 1 and (
                failed := await find.before(("step.failed",), step=event.step_started.key)
            ):
                return failed
        case "approval.requested":
            step = event.approval_requested.key
        case "approval.answered":
            return await find.question("approval_requested", event.approval_answered.id)
    for key in (step, event.exec_id.partition("/")[2]):
        if key and (found := await find.before(("step.started",), step=key)):
            return found
    return await find.before(("run.started",))


async def effect_of(client: Client, event: pb.Event) -> int:
    """The seq of what has followed from an event: of a step its outcome, of a question its answer,
    of a failure the next attempt, of a run's beginning its end. 0: there is none, yet. Raises what
    `Client.read` does."""
    find = _Finder(client, event)
    match event.kind:
        case "run.started":
            return await find.after(sorted(TERMINAL_KINDS))
        case "step.started":
            return await find.after(_OUTCOMES, step=event.step_started.key)
        case "step.failed" if event.step_failed.next != "end":
            return await find.after(("step.started",), step=event.step_failed.key)
        case "approval.requested":
            return await find.question("approval_answered", event.approval_requested.id)
        case "approval.answered":
            asked = await find.question("approval_requested", event.approval_answered.id)
            if asked and (key := (await find.at(asked)).approval_requested.key):
                return await find.after(("step.started", *_OUTCOMES), step=key)
    return 0


class _Finder:
    """Looks before and after an event."""

    def __init__(self, client: Client, event: pb.Event) -> None:
        self._client = client
        self._id = event.conversation_id
        self._seq = event.seq

    async def before(self, kinds: Sequence[str], **which: str) -> int:
        """The last event of some kinds before."""
        return await self._one(before=self._seq, newest_first=True, kinds=kinds, **which)

    async def after(self, kinds: Sequence[str], **which: str) -> int:
        """The first event of some kinds after."""
        return await self._one(after=self._seq, kinds=kinds, **which)

    async def at(self, seq: int) -> pb.Event:
        """An event."""
        (record,) = await self._client.read(self._id, after=seq - 1, limit=1)
        return event_of(record)

    async def question(self, field: str, id: str) -> int:
        """The question, or the answer, of an id."""
        asked = field == "approval_requested"
        at = self._seq
        for _ in range(_MAX_PAGES):
            page = await self._client.read(
                self._id,
                after=0 if asked else at,
                before=at if asked else None,
                kinds=(field.replace("_", "."),),
                newest_first=asked,
            )
            for record in page:
                if getattr(event_of(record), field).id == id:
                    return record.seq
            if not page:
                return 0
            at = page[-1].seq
        return 0

    async def _one(self, **which: Any) -> int:
        found = await self._client.read(self._id, limit=1, **which)
        return found[0].seq if found else 0
