"""Drives one run: starts its agent, and ends, pauses or fails the run as that turns out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, NamedTuple, cast

from axtui.agent import Agent, ContinueRun
from axtui.model.codec import dump_json, load_json
from axtui.model.events import Draft, Payload, Record
from axtui.model.fold import is_open, is_waiting
from axtui.model.ids import new_id
from axtui.runtime.actors.agent_processes import AgentProcesses
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.effects import NotKept
from axtui.runtime.eventlog.base import LogError
from axtui.runtime.eventlog.conversation import Conversation
from axtui.runtime.journal import Journal, Services
from axtui.runtime.registry import Registered
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

# How long a paused run waits for its steps in flight, and an agent may take to clean up.
GRACE_SECONDS = 1.0
CLEANUP_SECONDS = 0.3


class _Stop(NamedTuple):
    """Why a run stops before its agent has returned: paused, ended, or failed with an error; one
    that is paused with an error is yet to be told so."""

    how: str
    error: pb.Error | None = None


class Driver:
    """One run in flight. Follows its conversation: a pause or a cancel is an event like others."""

    def __init__(
        self, services: Services, conversation: Conversation, processes: AgentProcesses
    ) -> None:
        self._services = services
        self.conversation = conversation
        self._processes = processes
        processes.on_lost = self._on_lost
        self._lost: asyncio.Future[AgentConfig] = asyncio.get_running_loop().create_future()
        self._stop: asyncio.Future[_Stop] = asyncio.get_running_loop().create_future()
        self._alarm: asyncio.TimerHandle | None = None
        self._journal: Journal | None = None
        # From now on, not from the first turn of the task that runs this.
        conversation.on_append.append(self._on_event)

    async def run(self) -> None:
        """Drive until the run ends or pauses. Raises LogError if the log fails."""
        try:
            while await self._drive():
                pass
        finally:
            self.conversation.on_append.remove(self._on_event)
            self._stop_alarm()
            await self._processes.close()

    def abort(self) -> None:
        """Let go of a run that waits, without a word in its log: nothing has changed for it."""
        self._request_stop(_Stop("ended"))

    async def _drive(self) -> bool:
        """Whether to drive on: another run has begun in this one's place, or this one anew."""
        run = self.conversation.state.run
        agent = self._services.registry.agent(run.agent)
        config = load_json(await self._text(run.config))
        events = await self._events()
        # At once, so that nothing that comes from here on is missed.
        journal = Journal(self._services, self.conversation, events, self._processes, self._fail)
        self._journal = journal
        self._lost = asyncio.get_running_loop().create_future()
        if self._stop.done():
            self._request_stop(self._stop.result())
        task = asyncio.create_task(self._run_agent(journal, agent, events, config))
        self._set_alarm()
        try:
            ends = {task, self._stop, self._lost}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.done():
                await self._stopped(journal, task, self._stop.result())
                return False
            if self._lost.done():
                await self._restarted(journal, task, self._lost.result())
                return True
            return await self._returned(journal, task, agent)
        finally:
            await _end({task, *journal.close()})
            await self._processes.close()

    async def _run_agent(
        self, journal: Journal, agent: Registered, events: list[pb.Event], config: Any
    ) -> Any:
        return await journal.run_agent(agent, await self._input(events), config)

    async def _returned(self, journal: Journal, task: asyncio.Task[Any], agent: Registered) -> bool:
        """How the run ends, now that its agent has. Whether another has begun in its place."""
        diverged = journal.unasked()
        # What the agent started and didn't wait for ends with it.
        journal.close()
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if isinstance(error, LogError):
            raise error
        if isinstance(error, asyncio.CancelledError):
            failed = pb.Error(code="agent", message="it was canceled")
        elif error is not None and not isinstance(error, ContinueRun):
            failed = journal.described(error)
        elif diverged:
            failed = pb.Error(code="diverged", message=diverged)
        else:
            try:
                if error is None:
                    await self._complete(journal, agent, task.result())
                    return False
                await self._continue(journal, agent, error.state)
                return True
            except (TypeError, ValueError, RecursionError) as unfit:
                failed = journal.described(NotKept(str(unfit)))
        await self._finish(pb.RunFailed(error=failed))
        return False

    async def _complete(self, journal: Journal, agent: Registered, value: Any) -> None:
        output = dump_json(value)
        states = {name: self._data(state) for name, state in journal.states().items()}
        completed = pb.RunCompleted(output=self._data(output), agent_states=states)
        # What an agent of another protocol says are messages by now.
        said = not isinstance(agent, Agent) and agent.protocol != "axtui"
        if isinstance(value, str) and value and not said:
            content = pb.Content(text=self._data(json.loads(output)))
            message = pb.Message(role="assistant", content=[content])
            await self._finish(message, completed, actor=agent.id)
        else:
            await self._finish(completed, actor=agent.id)

    async def _continue(self, journal: Journal, agent: Registered, state: dict[str, Any]) -> None:
        run = self.conversation.state.run
        kept = {**journal.states(), agent.id: dump_json(state)}
        states = {name: self._data(text) for name, text in kept.items()}
        started = pb.RunStarted(
            agent=run.agent,
            config=run.config,
            approve=run.approve,
            on_interrupted=run.on_interrupted,
            workspace=run.workspace,
            limits=run.allowance,
            continues=run.exec_id,
        )
        ended = self._drafts(pb.RunCompleted(agent_states=states), actor=agent.id)
        await self.conversation.append(*ended, Draft(started, new_id()))

    async def _stopped(self, journal: Journal, task: asyncio.Task[Any], stop: _Stop) -> None:
        if stop.how == "paused":
            journal.hold()
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS):
                    await journal.settled()
        await _end({task, *journal.close()})
        if stop.error is not None and stop.how == "failed":
            await self._finish(pb.RunFailed(error=stop.error))
            return
        state = self.conversation.state
        left = interrupted(state, "the run was paused before it ended")
        if stop.error is not None and is_open(state) and state.run.state != "paused":
            paused = pb.RunPaused(cause=stop.error.code, reason=stop.error.message)
            left.insert(0, Draft(paused, state.run.exec_id))
        if left:
            await self.conversation.append(*left)

    async def _restarted(
        self, journal: Journal, task: asyncio.Task[Any], agent: AgentConfig
    ) -> None:
        """An agent was lost before it had ended. What was in flight in the run is unknown."""
        await _end({task, *journal.close()})
        await self._processes.close()
        state = self.conversation.state
        if is_open(state):
            what = self._processes.why(agent)
            note = Draft(
                pb.Note(text=f"{what}; the run is driven anew"), state.run.exec_id, agent.id
            )
            left = interrupted(state, f"{what} before the outcome was known")
            await self.conversation.append(note, *left)

    async def _finish(self, *payloads: Payload, actor: str = "") -> None:
        # Somebody may have canceled it meanwhile.
        if is_open(self.conversation.state):
            await self.conversation.append(*self._drafts(*payloads, actor=actor))

    def _drafts(self, *payloads: Payload, actor: str) -> list[Draft]:
        state = self.conversation.state
        left = abandoned(state, "the run ended before it did")
        return [*left, *(Draft(payload, state.run.exec_id, actor) for payload in payloads)]

    def _on_event(self, event: pb.Event) -> None:
        if event.kind == "run.paused":
            self._request_stop(_Stop("paused"))
        elif event.kind == "run.canceled":
            self._request_stop(_Stop("ended"))
        elif self._alarm is None and self.conversation.state.run.limits.timeout_us:
            self._set_alarm()

    def _on_lost(self, agent: AgentConfig) -> None:
        # At once: what its agent had asked for isn't given up, but lost.
        if self._journal is not None:
            self._journal.close()
        if not self._lost.done():
            self._lost.set_result(agent)

    def _fail(self, code: str, message: str, detail: str = "") -> None:
        error = pb.Error(code=code, message=message, detail=detail)
        # Nothing is wrong with the run itself if an agent can't be reached.
        self._request_stop(_Stop("paused" if code == "unreachable" else "failed", error))

    def _request_stop(self, stop: _Stop) -> None:
        if not self._stop.done():
            self._stop.set_result(stop)
        # At once: nothing may follow in the log that the agent does in the same turn of the loop.
        if self._journal is not None:
            if stop.how == "paused":
                self._journal.hold()
            else:
                self._journal.close()

    def _set_alarm(self) -> None:
        """Fail the run once its running time is over. It stands still while the run waits: then
        the next event sets the alarm again."""
        self._stop_alarm()
        state = self.conversation.state
        limit_us = state.run.limits.timeout_us
        if not limit_us or not _is_running(state):
            return
        left = limit_us - active_us(state)
        if left <= 0:
            self._fail("timeout", f"the run took longer than the {limit_us / 1e6:g} s it may")
        else:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(left / 1e6, self._set_alarm)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _events(self) -> list[pb.Event]:
        """What the log says of this run so far, down to what is yet to be committed."""
        head = self.conversation.head.seq
        after = self.conversation.state.run.started_seq - 1
        events: list[pb.Event] = []
        late: list[pb.Event] = []
        # An answer may come while this reads.
        self.conversation.on_append.append(late.append)
        try:
            tail = self._services.log.tail(self.conversation.id, after)
            async with aclosing(cast("AsyncGenerator[list[Record], None]", tail)) as pages:
                async for page in pages:
                    events += [record.event() for record in page]
                    if events and events[-1].seq >= head:
                        break
                else:
                    raise LogError("the log was closed")
        finally:
            self.conversation.on_append.remove(late.append)
        return events + [event for event in late if event.seq > events[-1].seq]

    async def _input(self, events: list[pb.Event]) -> str:
        """What the person said at the run's beginning."""
        parts = []
        for event in events:
            if event.kind == "message" and _is_input(event.message):
                for part in event.message.content:
                    parts.append(await self._text(part.text))
        return "\n".join(parts)

    async def _text(self, data: pb.Data) -> str:
        if data.HasField("blob"):
            return (await self._services.log.blob(data.blob.digest)).decode()
        return data.text

    def _data(self, text: str) -> pb.Data:
        return self.conversation.data(self._services.redactor.text(text))


def _is_input(message: pb.Message) -> bool:
    # What is said to an agent in the middle of a step is between the two, and what it is told while
    # it is at work it asks for.
    return message.role == "user" and not message.step and not message.to


def interrupted(state: st.State, why: str) -> list[Draft]:
    """Events that say of steps in flight that nobody knows how they end; they are yet decided."""
    return _unknown(state, "interrupted", why, "decide")


def abandoned(state: st.State, why: str) -> list[Draft]:
    """Events that close whatever is open when a run ends."""
    return _unknown(state, "canceled", why, "end")


def _unknown(state: st.State, code: str, why: str, then: str) -> list[Draft]:
    drafts = []
    for step in sorted(state.open_steps.values(), key=lambda step: step.started_seq):
        lasting = step.type in ("agent", "timer") or step.state != "running"
        if lasting and then == "decide":
            continue
        failed = pb.StepFailed(
            key=step.key,
            attempt=step.attempt,
            error=pb.Error(code=code, message=why),
            unknown=step.type not in ("agent", "timer"),
            next=then,
        )
        drafts.append(Draft(failed, state.run.exec_id, step.actor))
    return drafts


def active_us(state: st.State) -> int:
    """Running time up to now: that of the fold, and what has passed since the last event."""
    since = time.time_ns() // 1000 - state.time_us if _is_running(state) else 0
    return state.run.active_us + max(0, since)


def _is_running(state: st.State) -> bool:
    return state.run.state in ("pending", "running") and not is_waiting(state)


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel an agent's tasks, and wait a moment for them to clean up; who won't is left behind."""
    open_tasks = {task for task in tasks if not task.done()}
    for task in open_tasks:
        task.cancel()
    if open_tasks:
        await asyncio.wait(open_tasks, timeout=CLEANUP_SECONDS)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
