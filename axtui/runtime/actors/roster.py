"""The actors of one controller: started through here, and what becomes of them is in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from axtui.agent import ActorError
from axtui.model.events import Draft, Payload
from axtui.runtime.actors.supervisor import Actor, Change, Spec
from axtui.runtime.actors.wire import Fault, Handler
from axtui.runtime.eventlog.base import CONTROL_LOG, EventLog, LogError
from axtui.v1 import event_pb2 as pb


class Roster:
    """Belongs to the running event loop. Without a log nothing is told, for a look at actors that
    ends with it."""

    def __init__(self, log: EventLog | None, redact: Callable[[str], str]) -> None:
        self._log = log
        self.redact = redact
        self.actors: list[Actor] = []
        self._telling: set[asyncio.Task[None]] = set()

    def add(self, spec: Spec, handlers: Mapping[str, Handler] | None = None) -> Actor:
        """An actor that isn't running yet."""
        actor = Actor(spec, self._changed, handlers or {}, self.redact)
        self.actors.append(actor)
        return actor

    def calls(self) -> dict[str, int]:
        """By the ids of those that work: on how many calls."""
        return {actor.spec.id: actor.calls for actor in self.actors if actor.calls}

    async def close(self) -> None:
        """Stop them all, and wait until that is in the log."""
        await asyncio.gather(*(actor.stop() for actor in self.actors))
        if self._telling:
            await asyncio.wait(self._telling)

    def _changed(self, change: Change) -> None:
        if self._log is None:
            return
        task = asyncio.create_task(self._tell(self._log, change))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, log: EventLog, change: Change) -> None:
        # A log that fails tells those who wait for it; no actor's end is worth more than that.
        with suppress(LogError):
            control = await log.conversation(CONTROL_LOG, create=True)
            payload: Payload
            if change.how == "started":
                payload = pb.ActorStarted(
                    actor=change.spec.id, kind=change.spec.kind, pid=change.pid
                )
            else:
                kind = pb.ActorFailed if change.how == "failed" else pb.ActorStopped
                payload = kind(
                    actor=change.spec.id,
                    reason=self.redact(change.why),
                    stderr=control.data(change.stderr),
                )
            await control.append(Draft(payload, actor=change.spec.id))


async def ask(
    actor: Actor, method: str, params: Any, on_progress: Callable[[Any], None] = lambda _: None
) -> Any:
    """Call an actor on behalf of a step. Raises ActorError."""
    try:
        return await actor.call(method, params, on_progress)
    except Fault as fault:
        raise ActorError(
            fault.code,
            str(fault),
            # One that ended is started again; whether it may be asked again the step knows.
            retryable=fault.code == "gone" or fault.details.get("retryable") is True,
            retry_after=float(fault.details.get("retry_after") or 0),
            unknown=fault.unknown,
        ) from None
