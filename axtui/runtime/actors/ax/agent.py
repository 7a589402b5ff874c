"""An agent elsewhere that speaks the protocol of Google AX.

It can't journal, so that each call of it is one step that isn't idempotent. What it says is
committed as it comes; a new attempt, of which it is sent nothing that an earlier one has said,
supersedes that. It keeps private state in messages that are internal: those it is sent again in
later executions of the conversation, and nobody else is.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from axtui.agent import ActorError, Call, Context, Retry, Scope, call
from axtui.ax import ax_pb2 as ax
from axtui.ax import content_pb2 as axc
from axtui.model.codec import dump_json
from axtui.runtime.actors.ax import content
from axtui.runtime.config import Agent
from axtui.runtime.errors import Refused
from axtui.runtime.transcript import Transcript

if TYPE_CHECKING:
    from axtui.runtime.journal import Journal

# What a server takes at once, if nobody has told it otherwise, is 4 MiB.
MAX_HISTORY = 3 << 20
MAX_MESSAGES = 10_000
MAX_OUTPUT = 64 << 20
_DELTAS = {"text_delta": "text", "thought_summary_delta": "thought"}
# While nobody answers, nothing was sent.
_RETRY = Retry(attempts=3, delay=0.5)
PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.5


class _Answer(NamedTuple):
    """What a person says to a confirmation."""

    id: str
    question: str
    approved: bool


async def run(
    agent: Agent, journal: Journal, scope: Scope, input: str, config: Any, state: str
) -> tuple[str | None, str]:
    """What the agent has said since it was last asked for more, None if that was skipped, and its
    private state as it was. Raises StepFailed."""
    context = Context(
        agent.id, journal.conversation_id, input, config, {}, journal.workspace, journal
    )
    # What a run is begun with is in the log already.
    spoken = None if not scope.path else input
    execution = _Execution(agent, journal.transcript(scope), scope, config, spoken)
    answers: list[_Answer] = []
    while True:
        if scope.peek_key() not in journal.changes(scope.path):
            await _wait_for(agent, journal, scope)
        connect = partial(execution.connect, context.conversation_id, scope.peek_key(), answers)
        done = await context.step(connect, name="connect", retry=_RETRY)
        if done is None or not done["asks"]:
            return done and done["text"], state or "{}"
        answers = [
            _Answer(id, question, await context.approve(question, detail={"confirmation": id}))
            for id, question in done["asks"].items()
        ]


async def _wait_for(agent: Agent, journal: Journal, scope: Scope) -> None:
    """Wait a while for an agent that can't be reached, then pause the run that is its own. One
    that has called it as another agent is told."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_SECONDS
    while True:
        try:
            return await check(agent)
        except (ActorError, Refused) as error:
            if loop.time() < end:
                await asyncio.sleep(_PAUSE_SECONDS)
            elif scope.path:
                return None
            else:
                journal.pause(ActorError("unreachable", str(error)))
                # The driver has been told, and cancels us.
                await loop.create_future()


async def check(agent: Agent) -> None:
    """Raises ActorError if an agent can't be reached, and Refused if it says that it is ill."""
    from axtui.runtime.actors.ax import connection

    await connection.check(agent)


class _Execution:
    """One call of the agent by whoever wants something of it."""

    def __init__(
        self, agent: Agent, transcript: Transcript, scope: Scope, config: Any, input: str | None
    ) -> None:
        self._agent = agent
        self._transcript = transcript
        self._exec_id = scope.exec_id
        self._config = b"" if config is None else dump_json(config).encode()
        self._input = input

    async def connect(
        self, conversation_id: str, step: str, answers: list[_Answer]
    ) -> dict[str, Any]:
        """Have the agent do its work, or go on with it. Raises ActorError."""
        from axtui.runtime.actors.ax import connection

        output = _Output(self._transcript, step, call())
        for answer in answers:
            part = content.confirmation(answer.id, answer.question, answer.approved)
            await output.say("user", part, internal=True)
        messages = await self._history(step, answers)
        wanted = connection.Execution(conversation_id, self._exec_id, self._config, messages)
        try:
            async with asyncio.timeout(self._agent.timeout) as limit:
                said = connection.outputs(self._agent, wanted, limit.expired)
                async with aclosing(said):
                    async for message in said:
                        await output.take(message)
        except TimeoutError:
            late = f"{self._agent.id} has not ended within {self._agent.timeout:g} s"
            raise ActorError("timeout", late, unknown=True) from None
        return {"text": "\n".join(output.texts), "asks": output.asks}

    async def _history(self, step: str, answers: list[_Answer]) -> list[ax.Message]:
        """What is sent: the newest part of it, if it is too much."""
        before: list[ax.Message] = []
        now = [_said("user", content.confirmation(*answer), internal=True) for answer in answers]
        now.reverse()
        size = 0
        async with aclosing(self._transcript.newest_first(step)) as told:
            async for said, is_now in told:
                for part in reversed(said.content):
                    found = await content.to_ax(part, self._transcript.text)
                    message = _said(said.role, found, internal=said.internal_only)
                    size += message.ByteSize()
                    (now if is_now else before).append(message)
                if size > MAX_HISTORY:
                    await self._transcript.note(
                        f"{self._agent.id} is not sent what was said before event {said.seq}"
                    )
                    break
        if self._input is not None:
            now.append(_said("user", content.text(self._input)))
        return [*before[::-1], *now[::-1]]


class _Output:
    """What the agent says in one attempt."""

    def __init__(self, transcript: Transcript, step: str, this: Call) -> None:
        self._transcript = transcript
        self._step = step
        self._call = this
        self._messages = 0
        self._size = 0
        self.texts: list[str] = []
        self.asks: dict[str, str] = {}
        """The confirmations that it waits for: their questions, by their ids."""

    async def take(self, message: ax.Message) -> None:
        """Commit a message, or show it if it is provisional. Raises ActorError."""
        part, internal = message.content, message.internal_only
        kind = part.WhichOneof("type")
        if kind in _DELTAS and not internal:
            self._call.delta(getattr(part, kind).text, _DELTAS[kind])
        if kind is None or kind in _DELTAS:
            return
        if kind == "confirmation" and not part.confirmation.WhichOneof("decision"):
            # What is shown of it is the question that is made of it.
            self.asks[part.confirmation.id] = part.confirmation.question
            internal = True
        elif kind == "text" and not internal:
            self.texts.append(part.text.text)
        self._bound(part)
        role = "user" if message.role == "user" else "assistant"
        await self.say(role, part, internal=internal)

    async def say(self, role: str, part: axc.Content, *, internal: bool) -> None:
        """Commit a message. Raises ActorError if it is too long for a log."""
        keep = partial(content.from_ax, part)
        try:
            await self._transcript.say(
                self._step, self._call.attempt, role, keep, internal=internal
            )
        except ValueError as error:
            raise ActorError("flood", str(error), unknown=True) from None

    def _bound(self, part: axc.Content) -> None:
        self._messages += 1
        self._size += part.ByteSize()
        if self._messages > MAX_MESSAGES or self._size > MAX_OUTPUT:
            raise ActorError(
                "flood",
                f"it said more than {MAX_MESSAGES:,} messages or {MAX_OUTPUT:,} bytes at once",
                unknown=True,
            )


def _said(role: str, part: axc.Content, *, internal: bool = False) -> ax.Message:
    return ax.Message(role=role, content=part, internal_only=internal)
