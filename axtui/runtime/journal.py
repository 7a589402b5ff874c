"""The journal of a run: does each step once, and knows from the log how earlier ones ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, NoReturn

from axtui.agent import Agent, Call, Context, ContinueRun, Request, Scope, StepFailed, _scope
from axtui.model.codec import dump_json
from axtui.model.events import Draft, message_text
from axtui.runtime.config import Policy
from axtui.runtime.effects import StepTimeout, describe, run_effect
from axtui.runtime.eventlog.base import EventLog
from axtui.runtime.eventlog.conversation import Conversation
from axtui.runtime.questions import Questions
from axtui.runtime.recorder import Recorder
from axtui.runtime.registry import Registry
from axtui.runtime.replay import ABANDONED, Entry, History, Replay, is_abandoned
from axtui.v1 import event_pb2 as pb

HARMLESS = ("readonly", "idempotent")
MAX_ABREAST = 100
# A step that takes the controller down with it each time is not retried for ever.
MAX_INTERRUPTIONS = 10


class Delta(NamedTuple):
    """Provisional text of a step in flight; nothing of it is kept."""

    conversation_id: str
    exec_id: str
    actor: str
    step: str
    attempt: int
    offset: int
    text: str


@dataclass(frozen=True)
class Services:
    """What every journal of a controller works with."""

    log: EventLog
    registry: Registry
    policy: Policy
    on_delta: Callable[[Delta], None]


class Journal:
    """Stands between one run's agents and the log. Made anew for each time the run is driven."""

    def __init__(
        self,
        services: Services,
        conversation: Conversation,
        history: History,
        fail: Callable[[str, str], None],
    ) -> None:
        self._services = services
        self._conversation = conversation
        self._entries = history.entries
        self._patches = history.patches
        self._fail = fail
        self._replay = Replay(history, self._stuck)
        self._recorder = Recorder(services.log, conversation)
        self._questions = Questions(self._recorder, services.policy, fail)
        self._abreast = asyncio.Semaphore(MAX_ABREAST)
        self._gate = asyncio.Event()
        self._gate.set()
        self._callers: set[asyncio.Task[Any] | None] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_flight = 0
        run = conversation.state.run
        self.seed = run.seed
        self.exec_id = run.exec_id
        self.workspace = run.workspace
        self._started_seq = run.started_seq
        self._started_us = run.started_us
        self.agent_states: dict[str, dict[str, Any]] = {}
        conversation.on_append.append(self._questions.on_event)

    # For the driver

    async def run_agent(self, agent: Agent, input: str, config: Any) -> Any:
        """The value that the run's agent returns."""
        scope = Scope("", agent.id, self.exec_id, self._started_us)
        return await self._run_agent(agent, scope, input, config)

    def unasked(self) -> Entry | None:
        """A recorded step that the agent, now at its end, never asked for."""
        return self._entries.get(self._replay.next_key)

    def hold(self) -> None:
        """Let no new step begin."""
        self._gate.clear()

    async def settled(self) -> None:
        """Wait until no step is in flight."""
        await self._idle.wait()

    def close(self) -> None:
        """Take nothing more from the run's agents, and end what they still wait for."""
        if self._recorder.closed:
            return
        self._recorder.closed = True
        self._replay.close()
        self._conversation.on_append.remove(self._questions.on_event)
        for task in self._callers:
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    # For contexts

    async def perform(self, request: Request) -> Any:
        """Do a function, tool or model step, or hand back how it ended."""
        with self._asked_for(request) as entry:
            if entry.outcome is not None:
                return await self._recorded(request, entry)
            await self._replay.live()
            return await self._perform_live(request, entry)

    async def call_agent(self, request: Request, input: str, config: Any) -> Any:
        """Run a nested agent in a scope of its own. After a crash it goes on at its own steps."""
        with self._asked_for(request) as entry:
            if entry.outcome is not None:
                return await self._recorded(request, entry)
            agent = self._services.registry.agents.get(request.name)
            if not entry.seq:
                await self._replay.live()
                self._recorder.append(request, self._started(request, 1))
            if agent is None:
                known = ", ".join(sorted(self._services.registry.agents))
                error = pb.Error(
                    code="unknown", message=f"there is no such agent; there are {known}"
                )
                return await self._give_up(request, 1, error)
            exec_id = f"{self.exec_id}/{request.key}"
            scope = Scope(f"{request.key}/", agent.id, exec_id, request.scope.time_us)
            try:
                value = await self._run_agent(agent, scope, input, config)
                result = dump_json(value)
            except (Exception, SystemExit, ContinueRun) as error:
                await self._replay.live()
                return await self._give_up(request, 1, describe(error))
            finally:
                _scope.set(request.scope)
            await self._replay.live()
            state = self._recorder.data(dump_json(self.agent_states[agent.id]))
            completed = pb.StepCompleted(
                key=request.key, attempt=1, result=self._recorder.data(result), agent_state=state
            )
            self._recorder.append(request, completed)
            await self._replay.turn()
            return _fresh(value, result)

    async def ask(self, request: Request, question: str, choices: Sequence[str]) -> str:
        """Put a question to a person, or the policy, and wait for the answer."""
        with self._asked_for(request) as entry:
            answer = entry.outcome
            if isinstance(answer, pb.ApprovalAnswered):
                if is_abandoned(answer):
                    await asyncio.Event().wait()
                await self._replay.released(request.key)
                request.scope.time_us = entry.time_us
            else:
                await self._replay.live()
                asked = entry.question
                if asked is None:
                    asked = self._questions.ask(
                        request,
                        request.type,
                        question,
                        choices,
                        subject=request.name,
                        key=request.key,
                    )
                answer = await self._questions.answer(request, asked)
                await self._replay.turn()
            return answer.choice or answer.text

    async def sleep(self, request: Request, seconds: float) -> None:
        """Wait until the time that was set when the wait first began."""
        with self._asked_for(request) as entry:
            if entry.outcome is not None:
                await self._recorded(request, entry)
                return
            due_us = entry.due_us
            if not entry.seq:
                await self._replay.live()
                due_us = time.time_ns() // 1000 + int(max(0.0, seconds) * 1e6)
                self._recorder.append(request, self._started(request, 1, due_us))
            await _sleep_until(due_us)
            await self._replay.live()
            self._recorder.append(request, pb.StepCompleted(key=request.key, attempt=1))
            await self._replay.turn()

    async def emit(self, request: Request, text: str, thought: bool, internal: bool) -> None:
        """Record a message, once."""
        with self._asked_for(request) as entry:
            if entry.seq:
                return
            await self._replay.live()
            data = self._recorder.data(text.encode(errors="replace").decode())
            content = pb.Content(thought=data) if thought else pb.Content(text=data)
            await self._gate.wait()
            said = pb.Message(
                role="assistant", content=[content], internal_only=internal, key=request.key
            )
            await self._recorder.not_too_far_ahead(self._recorder.append(request, said))

    async def history(self, limit: int) -> list[tuple[str, str]]:
        """Role and text of the last visible messages before this run, oldest first."""
        records = await self._services.log.read(
            self._conversation.id,
            before=self._started_seq,
            kinds=("message",),
            limit=limit,
            newest_first=True,
        )
        messages = [record.event().message for record in reversed(records)]
        return [(m.role, message_text(m)) for m in messages if not m.internal_only]

    def patched(self, scope: Scope, name: str) -> bool:
        """Whether the run takes the changed path. The answer is recorded where it is yes."""
        key = scope.peek_key()
        if key in self._patches:
            if self._patches[key] != name:
                self._diverge(key, f"change {self._patches[key]!r}", f"change {name!r}")
                return False
            scope.next_key()
            self._replay.ask(key)
            self._replay.outstanding -= 1
            return True
        if key in self._entries:
            return False
        scope.next_key()
        note = pb.Note(text=f"from here on with {name}", key=key, patch=name)
        self._conversation.append(Draft(note, scope.exec_id, scope.actor))
        return True

    # Recorded steps

    @contextmanager
    def _asked_for(self, request: Request) -> Iterator[Entry]:
        if self._recorder.closed:
            raise asyncio.CancelledError
        entry = self._entries.get(request.key)
        if entry is None:
            entry = Entry(request.key, request.type, request.name)
        elif not self._matches(request, entry):
            recorded = f"{entry.type} {entry.name!r}"
            wanted = f"{request.type} {request.name!r}"
            if recorded == wanted:
                wanted += " with other arguments"
            self._diverge(request.key, recorded, wanted)
            raise asyncio.CancelledError
        self._replay.ask(request.key)
        self._callers.add(task := asyncio.current_task())
        try:
            yield entry
        except asyncio.CancelledError:
            if not self._recorder.closed:
                self._abandon(request)
            raise
        finally:
            self._callers.discard(task)
            self._replay.outstanding -= 1

    def _matches(self, request: Request, entry: Entry) -> bool:
        if entry.fingerprint:
            return entry.fingerprint == request.fingerprint
        if entry.question is not None and entry.question.type == "permission":
            return entry.name == request.name
        return entry.type == request.type and (
            request.type == "message" or entry.name == request.name
        )

    def _diverge(self, key: str, recorded: str, wanted: str) -> None:
        entry = self._entries.get(key)
        before = f"{self._conversation.id}:{entry.seq - 1}" if entry and entry.seq > 1 else ""
        message = f"diverged at step {key}: recorded {recorded}, asked for {wanted}"
        if before:
            message += f"; the last event that matches is {before}, which can be forked"
        self._fail("diverged", message)

    def _stuck(self, key: str) -> None:
        entry = self._entries.get(key)
        recorded = f"{entry.type} {entry.name!r}" if entry is not None else "a change"
        self._diverge(key, recorded, "nothing there")

    async def _recorded(self, request: Request, entry: Entry) -> Any:
        outcome = entry.outcome
        if is_abandoned(outcome):
            await asyncio.Event().wait()
        await self._replay.released(request.key)
        request.scope.time_us = entry.time_us
        if isinstance(outcome, pb.StepFailed):
            raise _failure(request, outcome.error)
        assert isinstance(outcome, pb.StepCompleted)
        if outcome.HasField("agent_state"):
            self.agent_states[request.name] = await self._recorder.load(outcome.agent_state) or {}
        return await self._recorder.load(outcome.result)

    # Steps that are yet to end

    async def _perform_live(self, request: Request, entry: Entry) -> Any:
        function = self._resolve(request)
        attempt = entry.attempt
        if entry.failed is not None and entry.failed.next == "retry":
            await _sleep_until(entry.failed.retry_at_us)
        elif attempt:
            effect = entry.effect
            failed = entry.failed or pb.StepFailed(unknown=True, error=pb.Error(code="interrupted"))
            harmless = effect in HARMLESS and attempt < MAX_INTERRUPTIONS
            choice = (
                "retry" if harmless else await self._questions.decide(request, entry, failed.error)
            )
            if choice != "retry":
                return await self._decided(request, attempt, choice, failed.error)
        if function is None:
            known = "there is no such " + request.type
            return await self._give_up(request, attempt, pb.Error(code="unknown", message=known))
        if refusal := await self._questions.refusal(request, entry):
            return await self._give_up(request, attempt, refusal)
        async with self._abreast:
            return await self._attempts(request, function, attempt, entry.first_us)

    async def _attempts(
        self, request: Request, function: Callable[[], Any], attempt: int, first_us: int
    ) -> Any:
        first_us = first_us or time.time_ns() // 1000
        while True:
            attempt += 1
            await self._gate.wait()
            if attempt == 1:
                await self._questions.within_budget(request)
            commit = self._recorder.append(request, self._started(request, attempt))
            if request.effect == "readonly":
                await self._recorder.not_too_far_ahead(commit)
            else:
                await commit
            try:
                value = await self._in_flight_effect(request, function, attempt)
            except (Exception, SystemExit) as error:
                if await self._try_again(request, attempt, first_us, error):
                    continue
                return await self._after_failure(request, attempt, error)
            return await self._complete(request, attempt, value)

    async def _complete(self, request: Request, attempt: int, value: Any) -> Any:
        try:
            result = dump_json(value)
            data = self._recorder.data(result)
        except (TypeError, ValueError) as error:
            message = f"it returned what the log can't hold: {error}"
            return await self._give_up(request, attempt, pb.Error(code="result", message=message))
        self._recorder.append(
            request, pb.StepCompleted(key=request.key, attempt=attempt, result=data)
        )
        await self._replay.turn()
        return _fresh(value, result)

    async def _in_flight_effect(
        self, request: Request, function: Callable[[], Any], attempt: int
    ) -> Any:
        offset = 0

        def delta(text: str) -> None:
            nonlocal offset
            scope = request.scope
            self._services.on_delta(
                Delta(
                    self._conversation.id,
                    scope.exec_id,
                    scope.actor,
                    request.key,
                    attempt,
                    offset,
                    text,
                )
            )
            offset += len(text)

        key = f"{self._conversation.id}/{self.exec_id}/{request.key}"
        call = Call(key, attempt, self.workspace, delta)
        self._in_flight += 1
        self._idle.clear()
        try:
            return await run_effect(function, call, request.timeout)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def _try_again(
        self, request: Request, attempt: int, first_us: int, error: BaseException
    ) -> bool:
        unknown = isinstance(error, StepTimeout)
        if unknown and request.effect not in HARMLESS:
            return False
        retry = request.retry
        delay = min(retry.delay * retry.factor ** (attempt - 1), retry.max_delay)
        at_us = time.time_ns() // 1000 + int(delay * 1e6)
        if attempt >= retry.attempts or at_us - first_us > retry.total * 1e6:
            return False
        self._recorder.append(
            request,
            pb.StepFailed(
                key=request.key,
                attempt=attempt,
                error=describe(error),
                unknown=unknown,
                next="retry",
                retry_at_us=at_us,
            ),
        )
        await _sleep_until(at_us)
        return True

    async def _after_failure(self, request: Request, attempt: int, error: BaseException) -> Any:
        described = describe(error)
        if not isinstance(error, StepTimeout) or request.effect in HARMLESS:
            return await self._give_up(request, attempt, described)
        self._recorder.append(
            request,
            pb.StepFailed(
                key=request.key, attempt=attempt, error=described, unknown=True, next="decide"
            ),
        )
        entry = Entry(request.key, request.type, request.name, attempt=attempt)
        choice = await self._questions.decide(request, entry, described)
        if choice != "retry":
            return await self._decided(request, attempt, choice, described)
        function = self._resolve(request)
        assert function is not None
        return await self._attempts(request, function, attempt, 0)

    def _abandon(self, request: Request) -> None:
        """The agent itself stopped waiting, as for a race's loser. Its log must not stay open."""
        self._questions.abandon(request)
        step = self._conversation.state.open_steps.get(request.key)
        if step is not None:
            failed = pb.StepFailed(
                key=request.key,
                attempt=step.attempt,
                error=pb.Error(code=ABANDONED, message="its agent stopped waiting for it"),
                unknown=step.type not in ("agent", "timer"),
                next="end",
            )
            self._recorder.append(request, failed)

    async def _give_up(self, request: Request, attempt: int, error: pb.Error) -> NoReturn:
        unknown = error.code in ("timeout", "interrupted")
        self._recorder.append(
            request,
            pb.StepFailed(
                key=request.key, attempt=attempt, error=error, unknown=unknown, next="end"
            ),
        )
        await self._replay.turn()
        raise _failure(request, error)

    async def _decided(self, request: Request, attempt: int, choice: str, error: pb.Error) -> Any:
        if choice == "skip":
            self._recorder.append(
                request, pb.StepCompleted(key=request.key, attempt=attempt, skipped=True)
            )
            await self._replay.turn()
            return None
        return await self._give_up(request, attempt, error)

    # Below

    async def _run_agent(self, agent: Agent, scope: Scope, input: str, config: Any) -> Any:
        if agent.id not in self.agent_states:
            self.agent_states[agent.id] = await self._private_state(agent.id)
        context = Context(
            agent.id,
            self._conversation.id,
            input,
            config,
            self.agent_states[agent.id],
            self.workspace,
            self,
        )
        _scope.set(scope)
        value = await agent.function(context)
        self.agent_states[agent.id] = context.state
        return value

    async def _private_state(self, agent_id: str) -> dict[str, Any]:
        seq = self._conversation.state.agent_states.get(agent_id, 0)
        if not seq:
            return {}
        record = (await self._services.log.read(self._conversation.id, after=seq - 1, limit=1))[0]
        return await self._recorder.load(record.event().run_completed.agent_states[agent_id]) or {}

    def _resolve(self, request: Request) -> Callable[[], Any] | None:
        if request.function is not None:
            return request.function
        tool = self._services.registry.find(request.type, request.name)
        if tool is None:
            return None
        request.effect, request.timeout, request.retry = tool.effect, tool.timeout, tool.retry
        return partial(tool.function, **json.loads(request.arguments))

    def _started(self, request: Request, attempt: int, due_us: int = 0) -> pb.StepStarted:
        return pb.StepStarted(
            key=request.key,
            type=request.type,
            name=request.name,
            arguments=self._recorder.data(request.arguments),
            fingerprint=request.fingerprint,
            attempt=attempt,
            effect=request.effect,
            timeout_us=int((request.timeout or 0) * 1e6),
            due_us=due_us,
        )


def _fresh(value: Any, text: str) -> Any:
    """What a replay would give: the value as JSON has it, not the step's own object."""
    if value is None or isinstance(value, str | int | float):
        return value
    return json.loads(text)


def _failure(request: Request, error: pb.Error) -> StepFailed:
    return StepFailed(request.key, request.name, error.code, error.message)


async def _sleep_until(at_us: int) -> None:
    """Wait for a time of the wall clock, which may be set while we wait."""
    while (left := at_us - time.time_ns() // 1000) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left / 1e6, 60))
