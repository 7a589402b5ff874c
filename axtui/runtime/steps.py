"""Doing the function, tool and model steps of a run: permission, attempts, and how they end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from axtui.agent import ActorError, Call, ContinueRun, Request, StepFailed
from axtui.model.codec import dump_json
from axtui.model.commands import command_of
from axtui.model.events import Payload
from axtui.model.fold import MAX_INT
from axtui.runtime.actors.tools.actor import ToolChanged
from axtui.runtime.config_values import MAX_SECONDS
from axtui.runtime.effects import Deltas, NotKept, is_unknown, run_effect
from axtui.runtime.history import Entry
from axtui.runtime.policy import subject
from axtui.runtime.questions import Questions
from axtui.runtime.recorder import Recorder
from axtui.runtime.redaction import Redactor, Stream
from axtui.runtime.replay import Replay
from axtui.runtime.toolbox import Toolbox
from axtui.v1 import event_pb2 as pb

HARMLESS = ("readonly", "idempotent")
MAX_ABREAST = 100
# A step that takes the controller down with it each time is not retried for ever.
MAX_INTERRUPTIONS = 10
# Nor one of a tool that is described otherwise each time.
MAX_CHANGES = 10

Show = Callable[[Request, int, str, int, str], None]


class Steps:
    """The steps of one run that are yet to end."""

    def __init__(
        self,
        toolbox: Toolbox,
        recorder: Recorder,
        replay: Replay,
        questions: Questions,
        show: Show,
    ) -> None:
        self._toolbox = toolbox
        self._recorder = recorder
        self._replay = replay
        self._questions = questions
        self._show = show
        run = recorder.conversation.state.run
        self._owner = f"{recorder.conversation.id}/{run.exec_id}"
        self._workspace = run.workspace
        self._abreast = asyncio.Semaphore(MAX_ABREAST)
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._released = asyncio.Event()
        self._released.set()

    def hold(self) -> None:
        """Let nothing begin from now on."""
        self._released.clear()

    async def not_held(self) -> None:
        """Wait for ever if nothing may begin any more."""
        await self._released.wait()

    async def may_begin(self, request: Request) -> None:
        """Wait until a new step may begin."""
        await self._replay.live()
        await self._released.wait()
        await self._questions.within_budget(request)

    async def settled(self) -> None:
        """Wait until no step is in flight."""
        await self._idle.wait()

    async def perform(self, request: Request, entry: Entry) -> Any:
        """Do a step that has no outcome yet, though it may have begun in an earlier life."""
        if entry.permitted is not None:
            request.edited = await self._recorder.text(entry.permitted.edited)
        try:
            function = await self._resolve(request)
        except ActorError as error:
            return await self.give_up(request, entry.attempt, self._recorder.error(error))
        if entry.question is not None and entry.question.type == "elicitation":
            self._close_elicitations(request)
        attempt, first_us = entry.attempt, entry.first_us
        if entry.failed is not None and entry.failed.next == "retry":
            await sleep_until(entry.failed.retry_at_us)
        elif attempt:
            failed = entry.failed or pb.StepFailed(unknown=True, error=pb.Error(code="interrupted"))
            harmless = entry.effect in HARMLESS and entry.interruptions < MAX_INTERRUPTIONS
            if not harmless:
                choice = await self._questions.decide(request, entry, failed.error)
                if choice != "retry":
                    return await self._decided(request, attempt, choice, failed.error)
                first_us = 0
        if function is None:
            unknown = pb.Error(code="unknown", message=f"there is no such {request.type}")
            return await self.give_up(request, attempt, unknown)
        if refusal := await self._questions.refusal(request, entry):
            return await self.give_up(request, attempt, refusal)
        if request.edited and isinstance(function, partial):
            function = partial(function.func, *function.args, **json.loads(request.edited))
        return await self._attempts(request, function, attempt, first_us)

    async def deliver(self, request: Request, outcome: Payload) -> None:
        """Record what the agent is to get, and wait until it is its turn."""
        self._recorder.append(request.scope, outcome)
        time_us = self._recorder.conversation.head.time_us
        await self._replay.turn()
        request.scope.time_us = time_us

    async def give_up(
        self, request: Request, attempt: int, error: pb.Error, unknown: bool = False
    ) -> NoReturn:
        """Record that a step has failed, and tell the agent. `unknown` if its effect is."""
        failed = pb.StepFailed(
            key=request.key, attempt=attempt, error=error, unknown=unknown, next="end"
        )
        await self.deliver(request, failed)
        raise failure(request, error)

    def started(self, request: Request, attempt: int, due_us: int = 0) -> pb.StepStarted:
        """What is recorded of a step before it is done."""
        return pb.StepStarted(
            key=request.key,
            type=request.type,
            name=request.name,
            arguments=self._recorder.data(request.called_with),
            fingerprint=request.fingerprint,
            attempt=attempt,
            effect=request.effect,
            timeout_us=_microseconds(request.timeout or 0),
            due_us=due_us,
            by_model=request.by_model,
        )

    async def _attempts(
        self, request: Request, function: Callable[[], Any], attempt: int, first_us: int
    ) -> Any:
        first_us = first_us or time.time_ns() // 1000
        while True:
            attempt += 1
            try:
                value = await self._attempt(request, function, attempt)
            except ToolChanged as error:
                function = await self._again(request, attempt, error)
                continue
            except NotKept as error:
                return await self.give_up(request, attempt, self._recorder.error(error))
            except (Exception, SystemExit, ContinueRun) as error:
                unknown = is_unknown(error)
                if unknown and request.effect not in HARMLESS:
                    if await self._decide(request, attempt, error) != "retry":
                        return None
                    first_us = time.time_ns() // 1000
                elif not await self._try_again(request, attempt, first_us, error):
                    return await self.give_up(
                        request, attempt, self._recorder.error(error), unknown
                    )
                continue
            return await self._complete(request, attempt, value)

    async def _again(self, request: Request, attempt: int, error: ToolChanged) -> Callable[[], Any]:
        """The function of a tool that has changed since it was found, permitted as it is now."""
        described = self._recorder.error(error)
        # What a person has changed in the call was meant for the tool as it was.
        if request.edited or attempt >= MAX_CHANGES:
            await self.give_up(request, attempt, described)
        failed = pb.StepFailed(
            key=request.key,
            attempt=attempt,
            error=described,
            next="retry",
            retry_at_us=time.time_ns() // 1000,
        )
        self._recorder.append(request.scope, failed)
        try:
            function = await self._resolve(request)
        except ActorError as unlisted:
            await self.give_up(request, attempt, self._recorder.error(unlisted))
        if function is None:
            await self.give_up(request, attempt, described)
        entry = Entry(request.key, request.type, request.name, attempt=attempt)
        if refusal := await self._questions.refusal(request, entry):
            await self.give_up(request, attempt, refusal)
        return function

    async def _attempt(self, request: Request, function: Callable[[], Any], attempt: int) -> Any:
        async with self._abreast:
            await self._released.wait()
            if attempt == 1:
                await self._questions.within_budget(request)
            commit = self._recorder.append(request.scope, self.started(request, attempt))
            if request.effect == "readonly":
                await self._recorder.not_too_far_ahead()
            else:
                await commit
            return await self._effect(request, function, attempt)

    async def _effect(self, request: Request, function: Callable[[], Any], attempt: int) -> Any:
        key = f"{self._owner}/{request.key}"
        shown = _Shown(self._recorder.redactor, partial(self._show, request, attempt))
        deltas = Deltas(shown.feed)
        call = Call(
            key,
            attempt,
            self._workspace,
            deltas.add,
            partial(self._elicit, request),
            self._toolbox.environment,
        )
        self._in_flight += 1
        self._idle.clear()
        try:
            return await run_effect(function, call, request.timeout, request.scope.task)
        finally:
            deltas.end()
            shown.end()
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def _elicit(
        self, request: Request, question: str, choices: Sequence[str], about: Any
    ) -> str:
        """What a person says to a tool that asks in the middle of a call."""
        asking = replace(request, arguments=dump_json(about))
        try:
            event = await self._questions.put(asking, None, "elicitation", question, choices)
        except asyncio.CancelledError:
            self._close_elicitations(request)
            raise
        return self._questions.said(event.approval_answered, choices)

    def _close_elicitations(self, request: Request) -> None:
        # The call that asked is over, or gone.
        if not self._recorder.closed:
            self._questions.abandon(request)

    async def _complete(self, request: Request, attempt: int, value: Any) -> Any:
        if request.edited and request.by_model:
            value = _of_edited(value, request.edited)
        try:
            data, given = self._recorder.taken(value)
        except (TypeError, ValueError, RecursionError) as error:
            failed = self._recorder.error(NotKept(str(error)))
            return await self.give_up(request, attempt, failed)
        completed = pb.StepCompleted(key=request.key, attempt=attempt, result=data)
        if request.type == "model":
            set_usage(completed, value)
        await self.deliver(request, completed)
        return given

    async def _try_again(
        self, request: Request, attempt: int, first_us: int, error: BaseException
    ) -> bool:
        retry = request.retry
        # More doublings than that no float can hold.
        delay = min(retry.delay * retry.factor ** min(attempt - 1, 500), retry.max_delay)
        if isinstance(error, ActorError):
            if not error.retryable:
                return False
            delay = max(delay, error.retry_after)
        at_us = time.time_ns() // 1000 + _microseconds(delay)
        if attempt >= retry.attempts or at_us - first_us > retry.total * 1e6:
            return False
        failed = pb.StepFailed(
            key=request.key,
            attempt=attempt,
            error=self._recorder.error(error),
            unknown=is_unknown(error),
            next="retry",
            retry_at_us=at_us,
        )
        self._recorder.append(request.scope, failed)
        await sleep_until(at_us)
        return True

    async def _decide(self, request: Request, attempt: int, error: BaseException) -> str:
        """Have somebody decide on an attempt of which nobody knows how it ended.

        Gives back "retry" or "skip".
        """
        described = self._recorder.error(error)
        failed = pb.StepFailed(
            key=request.key, attempt=attempt, error=described, unknown=True, next="decide"
        )
        self._recorder.append(request.scope, failed)
        entry = Entry(request.key, request.type, request.name, attempt=attempt)
        choice = await self._questions.decide(request, entry, described)
        if choice != "retry":
            await self._decided(request, attempt, choice, described)
        return choice

    async def _decided(self, request: Request, attempt: int, choice: str, error: pb.Error) -> None:
        if choice != "skip":
            await self.give_up(request, attempt, error, unknown=True)
        await self.deliver(
            request, pb.StepCompleted(key=request.key, attempt=attempt, skipped=True)
        )

    async def _resolve(self, request: Request) -> Callable[[], Any] | None:
        if request.function is not None:
            if command := command_of(request.name, request.called_with):
                request.subject = subject(request.name, {"command": command.text}, "")
            return request.function
        tool = await self._toolbox.find(request.type, request.name)
        if tool is None:
            return None
        request.effect, request.timeout, request.retry = tool.effect, tool.timeout, tool.retry
        body = json.loads(request.called_with) if request.body is None else request.body
        request.subject, request.pin = subject(request.name, body, tool.pin), tool.pin
        request.unprotected = tool.unprotected
        if tool.diff is not None:
            request.diff = partial(tool.diff, body, self._workspace)
        return partial(tool.function, **body)


class _Shown:
    """What is shown of one attempt's provisional text: all but the secrets in it."""

    def __init__(self, redactor: Redactor, show: Callable[[str, int, str], None]) -> None:
        self._redactor = redactor
        self._show = show
        self._streams: dict[str, Stream] = {}
        self._offsets: dict[str, int] = {}

    def feed(self, channel: str, text: str) -> None:
        if channel not in self._streams:
            self._streams[channel] = self._redactor.stream()
        self._tell(channel, self._streams[channel].feed(text))

    def end(self) -> None:
        for channel, stream in self._streams.items():
            self._tell(channel, stream.end())

    def _tell(self, channel: str, text: str) -> None:
        if text:
            offset = self._offsets.get(channel, 0)
            self._show(channel, offset, text)
            self._offsets[channel] = offset + len(text)


def _of_edited(value: Any, arguments: str) -> Any:
    """A result with a word to the model that it isn't that of the call it made."""
    word = f"Before this was approved, a person changed the arguments to {arguments}"
    match value:
        case str():
            return f"{word}\n{value}"
        case {"content": list(content)}:
            return {**value, "content": [{"text": word}, *content]}
    return {"note": word, "result": value}


def set_usage(completed: pb.StepCompleted, reply: Any) -> None:
    """Record what a model call used, if its reply says so. What can be no usage isn't known: some
    models are what a user wrote."""
    if not isinstance(reply, dict) or not isinstance(reply.get("usage"), dict):
        return
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        tokens = reply["usage"].get(name)
        if isinstance(tokens, int) and 0 <= tokens <= MAX_INT:
            setattr(completed.usage, name, tokens)
    cost = reply.get("cost_usd")
    if isinstance(cost, int | float) and 0 <= cost <= MAX_INT / 1e10:
        completed.usage.cost_nusd = round(cost * 1e9)
    else:
        completed.usage.unpriced_calls = 1


def failure(request: Request, error: pb.Error) -> StepFailed:
    """What the agent is told of a step that has failed."""
    return StepFailed(request.key, request.name, error.code, error.message)


def _microseconds(seconds: float) -> int:
    # Of what has no end, or none that an event has room for, as much as there is room for.
    return int(min(seconds, MAX_SECONDS) * 1e6)


async def sleep_until(at_us: int) -> None:
    """Wait for a time of the wall clock, which may be set while we wait."""
    while (left := at_us - time.time_ns() // 1000) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left / 1e6, 60))
