"""One call of Exec: what it asks for is done, and followed until the run ends or waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol, cast

from axtui.ax import ax_pb2 as ax
from axtui.local import LocalClient
from axtui.model.events import Record
from axtui.model.fold import TERMINAL, is_open, status
from axtui.model.summary import Listed
from axtui.remote.ax import questions
from axtui.remote.ax.reader import Reader
from axtui.remote.ax.view import OutOfRange, Seen, View
from axtui.remote.messages import json_of
from axtui.remote.unharmed import unharmed
from axtui.remote.workspaces import workspace_for
from axtui.runtime.acting import check_new_id
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import UnknownConversation
from axtui.runtime.journal import Delta
from axtui.v1 import state_pb2 as st

# Between two steps of agents that work side by side a run seems to wait for a moment.
_SETTLE_SECONDS = 0.1


class Asked(Protocol):
    """What a request to exec says, in all generations of the protocol."""

    conversation_id: str
    agent_id: str
    agent_config: bytes
    last_seq: int

    @property
    def inputs(self) -> Sequence[ax.Message]: ...


class Ended(Exception):
    """The run has failed or was canceled, which is told once all else has been."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


class _Begun(NamedTuple):
    """From which seq on a call is shown its conversation, where the log ended before, and what it
    has said itself: the seq of its input, and the questions that it has answered."""

    after: int
    head: int
    own: int = 0
    answered: tuple[str, ...] = ()


async def turn(client: LocalClient, asked: Asked) -> AsyncGenerator[Seen, None]:
    """What is sent to whoever asked. Raises Refused, OutOfRange and LogError, and Ended at the end.

    Whether anybody still listens changes nothing for the run.
    """
    known = asked.conversation_id
    # Cut short in the middle, it could leave a run that is accepted and that nobody drives.
    begun = await unharmed(_begin(client, asked))
    state = await client.state(known, begun.after) if begun.after else st.State()
    view = View(state, Reader(client, known, begun.head), begun.own, begun.answered)
    if not asked.inputs and not asked.last_seq:
        for seen in view.open_questions():
            yield seen
    async with aclosing(_follow(client, view, known, begun)) as following:
        async for seen in following:
            yield seen
    if view.state.seq > begun.head:
        yield Seen(view.state.seq, [])
    _tell_end(view.state)


async def _begin(client: LocalClient, asked: Asked) -> _Begun:
    """Do what is asked for, and say what is to be shown of it."""
    known = asked.conversation_id
    text, confirmations = _split(asked.inputs)
    listed = await _found(client, asked)
    head = listed.seq if listed else 0
    after = asked.last_seq or head
    state = await client.state(known) if listed else st.State()
    if text is not None and not (is_open(state) and state.questions):
        return _Begun(after, head, own=await _start(client, asked, text))
    if listed is None:
        raise UnknownConversation(known)
    answers = [questions.confirmed(state, given) for given in confirmations]
    if text is not None:
        answers = [questions.said(state, text)]
    for answer in answers:
        await client.answer(known, answer.question_id, answer.choice, answer.text)
    if is_open(state):
        # Somebody may have to take it up again, after a crash say.
        await client.resume(known, RunOptions())
        _leave(client, known)
    elif not state.run.state:
        raise Refused("state", f"conversation {known} has no run to go on with")
    return _Begun(after, head, answered=tuple(answer.question_id for answer in answers))


async def _found(client: LocalClient, asked: Asked) -> Listed | None:
    """The conversation, if there is one yet. Raises Refused or OutOfRange."""
    known, last = asked.conversation_id, asked.last_seq
    if not known:
        raise Refused("usage", "the conversation has no id")
    listed = await client.find(known)
    if listed is None:
        check_new_id(known)
    elif listed.summary.deleted_us:
        raise Refused("unknown", f"conversation {known} was deleted")
    if last < 0:
        raise Refused("usage", f"last_seq is {last}; it counts from 1, and 0 is none")
    if last > (head := listed.seq if listed else 0):
        raise OutOfRange(f"last_seq {last} is beyond the log, whose last event is {head}")
    return listed


async def _start(client: LocalClient, asked: Asked, text: str) -> int:
    """Start a run; the seq of what is said."""
    known = asked.conversation_id
    config = _config(asked.agent_config)
    async with workspace_for(client, known) as folder:
        options = RunOptions(config, workspace=folder)
        accepted = await client.start(known, text, asked.agent_id, options)
    _leave(client, known)
    # What starts the run, and what is said, are one commit.
    return accepted.seq + 1


def _leave(client: LocalClient, known: str) -> None:
    """Have the run go on when this process ends: whoever asked for it may be anywhere."""
    assert client.host is not None
    client.host.leave(known)


def _split(inputs: Sequence[ax.Message]) -> tuple[str | None, list[Any]]:
    """The text that is said, None if there is none, and the confirmations. Raises Refused."""
    texts, confirmations = [], []
    for message in inputs:
        kind = message.content.WhichOneof("type")
        if message.role not in ("", "user") or message.internal_only:
            raise Refused("usage", "inputs are what a user says, for everybody to see")
        if kind == "text":
            texts.append(message.content.text.text)
        elif kind == "confirmation":
            confirmations.append(message.content.confirmation)
        else:
            raise Refused(
                "usage", f"an input is a text or a confirmation, not {kind or 'without content'}"
            )
    if texts and confirmations:
        raise Refused("usage", "an answer goes alone; new input comes after it")
    return "\n".join(texts) if texts else None, confirmations


def _config(given: bytes) -> Any:
    what = "the agent's configuration"
    try:
        text = given.decode()
    except UnicodeDecodeError as error:
        raise Refused("usage", f"{what} isn't JSON: {error}") from None
    return json_of(text, what)


async def _follow(
    client: LocalClient, view: View, known: str, begun: _Begun
) -> AsyncGenerator[Seen, None]:
    """All that is seen until the run ends, pauses or waits."""
    pages = client.watch(known, begun.after)
    async with aclosing(cast("AsyncGenerator[list[Record | Delta], None]", pages)) as watching:
        async for page in watching:
            fresh = False
            for item in page:
                if isinstance(item, Delta):
                    delta = view.delta(item)
                    if delta is not None:
                        yield delta
                    continue
                fresh = True
                for seen in await view.take(item.event()):
                    yield seen
            if fresh or view.state.seq < begun.head:
                continue
            for seen in view.flush():
                yield seen
            if await _is_over(client, known, view.state):
                return


async def _is_over(client: LocalClient, known: str, state: st.State) -> bool:
    now = status(state)
    if now != "waiting":
        return now in TERMINAL or now in ("paused", "idle")
    await asyncio.sleep(_SETTLE_SECONDS)
    return (await client.state(known)).seq == state.seq


def _tell_end(state: st.State) -> None:
    run = state.run
    if run.state == "failed":
        raise Ended("failed", f"the run failed ({run.error.code}): {run.error.message}")
    if run.state == "canceled":
        by = f" by {run.cause}" if run.cause else ""
        why = f": {run.reason}" if run.reason else ""
        raise Ended("canceled", f"the run was canceled{by}{why}")
    if run.state == "paused" and run.cause in ("shutdown", "unreachable"):
        why = run.reason or "the controller shuts down"
        raise Ended("paused", f"the run is paused: {why}; Exec without input goes on with it")
