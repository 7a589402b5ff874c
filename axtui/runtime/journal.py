"""The journal of a run: does each step once, and knows from the log how earlier ones ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from axtui.agent import Agent, Context, ContinueRun, Request, Scope, _scope
from axtui.model.codec import load_json
from axtui.model.words import count
from axtui.runtime.actors.agent_processes import AgentProcesses
from axtui.runtime.config_values import MAX_SECONDS
from axtui.runtime.effects import NotKept, run_agent, too_late
from axtui.runtime.eventlog.base import EventLog, LogError
from axtui.runtime.eventlog.conversation import Conversation
from axtui.runtime.history import ABANDONED, TOLD, Entry, History
from axtui.runtime.inbox import Inbox
from axtui.runtime.policy import Rules
from axtui.runtime.questions import MAX_QUESTION, Questions
from axtui.runtime.recorder import Recorder
from axtui.runtime.redaction import Redactor
from axtui.runtime.registry import Registered, Registry
from axtui.runtime.replay import Replay
from axtui.runtime.steps import Steps, failure, sleep_until
from axtui.runtime.toolbox import Toolbox
from axtui.runtime.transcript import Transcript, superseded
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st


class Delta(NamedTuple):
    """Provisional text of a step in flight; nothing of it is kept."""

    conversation_id: str
    exec_id: str
    actor: str
    step: str
    attempt: int
    channel: str
    offset: int
    text: str


@dataclass(frozen=True)
class Services:
    """What every journal of a controller works with."""

    log: EventLog
    registry: Registry
    toolbox: Toolbox
    rules: Rules
    redactor: Redactor
    on_delta: Callable[[Delta], None]


class Journal:
    """Stands between one run's agents and the log. Made anew for each time the run is driven."""

    def __init__(
        self,
        services: Services,
        conversation: Conversation,
        events: Sequence[pb.Event],
        processes: AgentProcesses,
        fail: Callable[..., None],
    ) -> None:
        self._services = services
        self._conversation = conversation
        self._history = history = History(events)
        self._inbox = Inbox(events)
        self._processes = processes
        self._fail = fail
        self._replay = Replay(history, processes, self._stuck)
        self._recorder = Recorder(services.log, conversation, services.redactor)
        self._questions = Questions(self._recorder, self._replay, services.rules, fail)
        self._steps = Steps(
            services.toolbox, self._recorder, self._replay, self._questions, self._show
        )
        self._callers: dict[asyncio.Task[Any], str] = {}
        # The keys of nested agents that have returned.
        self._over: set[str] = set()
        run = conversation.state.run
        self.conversation_id = conversation.id
        self.seed = run.seed
        self.exec_id = run.exec_id
        # The log grows between any two times that a run is driven.
        self.epoch = conversation.head.seq
        self.workspace = run.told_workspace or run.workspace
        self._started_seq = run.started_seq
        self._started_us = run.started_us
        self._states: dict[str, str] = {}
        self._listeners = (self._questions.on_event, self._inbox.on_event)
        conversation.on_append += self._listeners

    # For the driver

    async def run_agent(self, agent: Registered, input: str, config: Any) -> Any:
        """The value that the run's agent returns."""
        if self._history.out_of_budget:
            self._fail("budget", f"nothing more was granted: {self._history.out_of_budget}")
        scope = Scope("", agent.id, self.exec_id, self._started_us)
        value, state = await self._run_agent(agent, scope, input, config)
        self._states[agent.id] = state
        return value

    def states(self) -> dict[str, str]:
        """The private states of the agents that have returned, as JSON."""
        return dict(self._states)

    def unasked(self) -> str:
        """What is wrong if the agent ends now: there is a recorded step it never asked for."""
        key = self._replay.unasked()
        return self._divergence(key, "the agent's end") if key else ""

    def described(self, error: BaseException) -> pb.Error:
        """An exception as the log keeps it."""
        return self._recorder.error(error)

    def hold(self) -> None:
        """Let no new step begin."""
        self._steps.hold()

    async def committed(self) -> None:
        """Wait until all that is in the log by now is on disk."""
        await self._recorder.committed()

    def fail(self, error: Exception) -> NoReturn:
        """Fail the run for what is none of its agents' doing."""
        described = self._recorder.error(error)
        self._fail(described.code, described.message, described.detail)
        raise asyncio.CancelledError

    def pause(self, error: Exception) -> None:
        """Have the run paused for what somebody has to see to, and whoever calls canceled."""
        described = self._recorder.error(error)
        self._fail(described.code, described.message)

    def changes(self, path: str) -> dict[str, bool]:
        """The keys below `path` that were recorded in earlier lives, and whether each is that of a
        change."""
        return {
            key: is_one for key, is_one in self._history.changes.items() if key.startswith(path)
        }

    async def settled(self) -> None:
        """Wait until no step is in flight."""
        await self._steps.settled()

    def close(self) -> set[asyncio.Task[Any]]:
        """Take nothing more from the run's agents, and cancel those tasks that still wait."""
        if not self._recorder.closed:
            self._recorder.closed = True
            self._replay.close()
            for listener in self._listeners:
                self._conversation.on_append.remove(listener)
        return self._cancel_callers("")

    # For contexts

    async def perform(self, request: Request) -> Any:
        """Do a function, tool or model step, or hand back how it ended."""
        async with _AskedFor(self, request) as entry:
            if entry.outcome is not None:
                return await self._recorded(request, entry)
            await self._replay.live()
            return await self._steps.perform(request, entry)

    async def call_agent(self, request: Request, input: str, config: Any) -> Any:
        """Run a nested agent in a scope of its own. After a crash it goes on at its own steps."""
        agent = self._services.registry.agents.get(request.name)
        # At this point of the course, whatever becomes of calls beside this one.
        before = self._states.get(request.name)
        async with _AskedFor(self, request) as entry:
            if entry.outcome is not None:
                return await self._recorded(request, entry)
            if not entry.seq:
                await self._steps.may_begin(request)
                self._recorder.append(request.scope, self._steps.started(request, 1))
            if agent is None:
                await self._replay.live()
                known = ", ".join(sorted(self._services.registry.agents))
                message = f"there is no such agent; there are {known}"
                return await self._steps.give_up(
                    request, 1, pb.Error(code="unknown", message=message)
                )
            exec_id = f"{self.exec_id}/{request.key}"
            scope = Scope(f"{request.key}/", agent.id, exec_id, request.scope.time_us)
            try:
                value, state = await self._run_agent(agent, scope, input, config, before)
            except LogError:
                raise
            except (Exception, ContinueRun) as error:
                await self._replay.live()
                self._close_inside(scope)
                return await self._steps.give_up(request, 1, self._recorder.error(error))
            except asyncio.CancelledError:
                if not self._recorder.closed:
                    self._close_inside(scope)
                raise
            finally:
                _scope.set(request.scope)
                # What it started and didn't wait for ends with it.
                self._over.add(request.key)
                self._cancel_callers(scope.path)
            await self._replay.live()
            self._close_inside(scope)
            return await self._agent_returned(request, value, state)

    async def _agent_returned(self, request: Request, value: Any, state: str) -> Any:
        try:
            data, given = self._recorder.taken(value)
            kept = self._recorder.data(state)
            completed = pb.StepCompleted(key=request.key, attempt=1, result=data, agent_state=kept)
        except (TypeError, ValueError, RecursionError) as error:
            return await self._steps.give_up(request, 1, self._recorder.error(NotKept(str(error))))
        await self._steps.deliver(request, completed)
        self._states[request.name] = state
        return given

    async def ask(self, request: Request, question: str, choices: Sequence[str]) -> str:
        """Put a question to a person, or the policy, and wait for the answer."""
        async with _AskedFor(self, request) as entry:
            if isinstance(entry.outcome, pb.ApprovalAnswered):
                await self._released(request, entry)
                answer, time_us = entry.outcome, entry.time_us
            else:
                await self._replay.live()
                await self._steps.not_held()
                event = await self._questions.put(
                    request, entry.question, request.type, question, choices
                )
                answer, time_us = event.approval_answered, event.time_us
            request.scope.time_us = time_us
            return self._questions.said(answer, choices)

    async def sleep(self, request: Request, seconds: float) -> None:
        """Wait until the time that was set when the wait first began."""
        async with _AskedFor(self, request) as entry:
            if entry.outcome is not None:
                await self._recorded(request, entry)
                return
            due_us = entry.due_us
            if not entry.seq:
                await self._steps.may_begin(request)
                wait = min(max(0.0, seconds), MAX_SECONDS)
                due_us = time.time_ns() // 1000 + int(wait * 1e6)
                self._recorder.append(request.scope, self._steps.started(request, 1, due_us))
            await sleep_until(due_us)
            await self._replay.live()
            await self._steps.deliver(request, pb.StepCompleted(key=request.key, attempt=1))

    async def emit(self, request: Request, text: str, thought: bool, internal: bool) -> None:
        """Record a message, once."""
        async with _AskedFor(self, request) as entry:
            if entry.outcome is not None:
                await self._released(request, entry)
                return
            await self._replay.live()
            await self._steps.not_held()
            await self._recorder.not_too_far_ahead()
            data = self._recorder.data(text.encode(errors="replace").decode())
            content = pb.Content(thought=data) if thought else pb.Content(text=data)
            said = pb.Message(
                role="assistant", content=[content], internal_only=internal, key=request.key
            )
            await self._steps.deliver(request, said)

    async def history(self, limit: int) -> list[tuple[str, str]]:
        """Role and text of the last visible messages before this run, oldest first."""
        found: list[tuple[str, str]] = []
        before = self._started_seq
        while len(found) < limit:
            records = await self._services.log.read(
                self._conversation.id,
                before=before,
                kinds=("message",),
                limit=min(limit, 500),
                newest_first=True,
            )
            if not records:
                break
            before = records[-1].seq
            for event in (record.event() for record in records):
                message = event.message
                aloud = any(part.HasField("text") for part in message.content)
                if aloud and not message.internal_only and not await self._is_superseded(event):
                    found.append((message.role, await self._said(message)))
        return found[:limit][::-1]

    async def told(self, scope: Scope) -> list[str]:
        """What people have said to the agent that it hasn't heard yet, oldest first. What was
        heard at this place is recorded, and has a key, where there was something."""
        request = Request(scope.peek_key(), TOLD, "", "[]", scope)
        recorded = self._history.entries.get(request.key)
        if recorded is not None:
            return await self._told_before(request) if recorded.type == TOLD else []
        # As long as there is more on record, this place was gone past without hearing anything.
        if not self._replay.finished or not self._inbox.unheard(scope.actor):
            return []
        async with _AskedFor(self, request):
            await self._replay.live()
            await self._steps.not_held()
            texts = {seq: await self._heard(seq) for seq in self._inbox.unheard(scope.actor)}
            # Another branch of the agent may have heard some meanwhile.
            seqs = [seq for seq in self._inbox.unheard(scope.actor) if seq in texts]
            if seqs:
                scope.next_key()
                text = f"{scope.actor} heard {count(len(seqs), 'message')}"
                await self._steps.deliver(request, pb.Note(text=text, key=request.key, heard=seqs))
            return [texts[seq] for seq in seqs]

    def transcript(self, scope: Scope) -> Transcript:
        """What was said, for an agent that can't journal and is called in `scope`."""
        return Transcript(self._recorder, scope, self._started_seq)

    def patched(self, scope: Scope, name: str) -> bool:
        """Whether the run takes the changed path. The answer is recorded where it is yes."""
        if self._recorder.closed or not scope.may_change(self._history.changes):
            return False
        entry = self._history.entries.get(scope.peek_key())
        if entry is None:
            _refuse_endless(name)
        key = scope.next_key()
        if entry is None:
            self._recorder.append(
                scope, pb.Note(text=f"from here on with {name}", key=key, patch=name)
            )
        elif entry.name != name:
            self._diverge(key, f"change {name!r}")
        self._replay.ask(key)
        return True

    # Recorded steps

    async def _told_before(self, request: Request) -> list[str]:
        request.scope.next_key()
        async with _AskedFor(self, request) as entry:
            assert isinstance(entry.outcome, pb.Note)
            texts = [await self._heard(seq) for seq in entry.outcome.heard]
            await self._released(request, entry)
            return texts

    async def _enter(self, request: Request) -> Entry:
        task = request.scope.task
        if self._recorder.closed or self._is_over(request.key):
            await too_late(task)
        entry = self._history.entries.get(request.key)
        if entry is None:
            _refuse_endless(request.name)
            entry = Entry(request.key, request.type, request.name)
        elif not entry.matches(request):
            wanted = f"{request.type} {request.name!r}"
            if entry.what == wanted:
                wanted += " with other arguments"
            self._diverge(request.key, wanted)
        self._replay.ask(request.key)
        return entry

    async def _leave(self, request: Request, entry: Entry, error: BaseException | None) -> None:
        if isinstance(error, asyncio.CancelledError) and not self._recorder.closed:
            await self._give_up(request, entry)

    def _is_over(self, key: str) -> bool:
        """Whether a key is that of an agent that has returned."""
        return bool(self._over) and any(
            key[:end] in self._over for end, sign in enumerate(key) if sign == "/"
        )

    def _close_inside(self, scope: Scope) -> None:
        """Close what a nested agent has left open, before it is known to have returned: it isn't
        run again then, and so nobody would ever ask for it."""
        state = self._conversation.state
        for question in list(state.questions.values()):
            if question.key.startswith(scope.path):
                self._recorder.append(scope, pb.ApprovalAnswered(id=question.id, rule=ABANDONED))
        for step in list(state.open_steps.values()):
            if step.key.startswith(scope.path):
                self._recorder.append(scope, _abandoned(step))

    async def _give_up(self, request: Request, entry: Entry) -> None:
        """The agent itself stops waiting, as for a race's loser. Its log must not stay open."""
        if entry.abandoned:
            await self._replay.released(request.key)
        elif entry.outcome is not None:
            self._replay.skip(request.key)
        elif self._abandon(request):
            await self._replay.turn()

    def _abandon(self, request: Request) -> bool:
        asked = self._questions.abandon(request)
        step = self._conversation.state.open_steps.get(request.key)
        if step is None:
            return asked
        self._recorder.append(request.scope, _abandoned(step))
        return True

    def _diverge(self, key: str, wanted: str) -> NoReturn:
        self._fail("diverged", self._divergence(key, wanted))
        raise asyncio.CancelledError

    def _divergence(self, key: str, wanted: str) -> str:
        entry = self._history.entries[key]
        message = f"diverged at step {key}: recorded {entry.what}, asked for {wanted}"
        if entry.seq > 1:
            before = f"{self._conversation.id}:{entry.seq - 1}"
            message += f"; the last event that matches is {before}, which can be forked"
        return message

    def _stuck(self, key: str) -> None:
        self._fail("diverged", self._divergence(key, "nothing there"))

    async def _released(self, request: Request, entry: Entry) -> None:
        if entry.abandoned:
            # The agent gave it up, and will again.
            self._replay.expect((entry.time_us - entry.asked_us) / 1e6)
            await asyncio.Event().wait()
        await self._replay.released(request.key)
        request.scope.time_us = entry.time_us

    async def _recorded(self, request: Request, entry: Entry) -> Any:
        outcome = entry.outcome
        result, state = None, ""
        # Reading a blob takes its time, which must not change who comes first.
        if isinstance(outcome, pb.StepCompleted):
            result = await self._recorder.load(outcome.result)
            state = await self._recorder.text(outcome.agent_state)
        await self._released(request, entry)
        if isinstance(outcome, pb.StepFailed):
            raise failure(request, outcome.error)
        if state:
            self._states[request.name] = state
        return result

    # Below

    async def _run_agent(
        self, agent: Registered, scope: Scope, input: str, config: Any, state: str | None = None
    ) -> tuple[Any, str]:
        """What the agent returns, and its private state then. Raises what it raises."""
        if state is None:
            state = await self._private_state(agent.id)
        _scope.set(scope)
        if not isinstance(agent, Agent) and agent.protocol != "axtui":
            from axtui.runtime.actors.ax import agent as ax_agent

            return await ax_agent.run(agent, self, scope, input, config, state)
        if not isinstance(agent, Agent):
            return await self._processes.run(agent, self, scope, input, config, state)
        known = self.conversation_id
        private = load_json(state) or {}
        context = Context(agent.id, known, input, config, private, self.workspace, self)
        return await run_agent(agent, context)

    async def _heard(self, seq: int) -> str:
        return await self._said(self._inbox.message(seq))

    async def _said(self, message: pb.Message) -> str:
        parts = [part.text for part in message.content if part.HasField("text")]
        return "".join([await self._recorder.text(part) for part in parts])

    async def _is_superseded(self, event: pb.Event) -> bool:
        return await superseded(self._services.log, self._conversation.id, event)

    async def _private_state(self, agent_id: str) -> str:
        seq = self._conversation.state.agent_states.get(agent_id, 0)
        if not seq:
            return ""
        record = (await self._services.log.read(self._conversation.id, after=seq - 1, limit=1))[0]
        return await self._recorder.text(record.event().run_completed.agent_states[agent_id])

    def _cancel_callers(self, inside: str) -> set[asyncio.Task[Any]]:
        current = asyncio.current_task()
        tasks = {t for t, key in self._callers.items() if key.startswith(inside) and t != current}
        for task in tasks:
            task.cancel()
        return tasks

    def _show(self, request: Request, attempt: int, channel: str, offset: int, text: str) -> None:
        scope = request.scope
        self._services.on_delta(
            Delta(
                self._conversation.id,
                scope.exec_id,
                scope.actor,
                request.key,
                attempt,
                channel,
                offset,
                text,
            )
        )


def _refuse_endless(name: str) -> None:
    # Only of what is new: older logs have longer ones, and are to be gone on with.
    if len(name) > MAX_QUESTION:
        raise ValueError(f"a name or question is at most {MAX_QUESTION:,} characters long")


def _abandoned(step: st.Step) -> pb.StepFailed:
    return pb.StepFailed(
        key=step.key,
        attempt=step.attempt,
        error=pb.Error(code=ABANDONED, message="its agent stopped waiting for it"),
        unknown=step.type not in ("agent", "timer"),
        next="end",
    )


class _AskedFor:
    """Around the time that an agent waits for what it has requested.

    Not a generator: the event loop keeps account of each, which costs more than many a step.
    """

    __slots__ = ("_around", "_entry", "_journal", "_request")

    def __init__(self, journal: Journal, request: Request) -> None:
        self._journal = journal
        self._request = request

    async def __aenter__(self) -> Entry:
        self._entry = await self._journal._enter(self._request)
        task, callers = self._request.scope.task, self._journal._callers
        # A nested agent's steps are within the call of the agent.
        self._around = callers.get(task)
        callers[task] = self._request.key
        return self._entry

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        task, callers = self._request.scope.task, self._journal._callers
        try:
            await self._journal._leave(self._request, self._entry, error)
        finally:
            if self._around is None:
                callers.pop(task, None)
            else:
                callers[task] = self._around
