"""Run an agent and follow it to its end, or go on with a run that was interrupted.

Kill it at any moment: `axtui exec --conversation ID --resume` goes on from the last finished step.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from axtui.cli.common import UsageError, json_argument, read_argument
from axtui.cli.follow import Follower
from axtui.cli.interrupt import Interrupt
from axtui.cli.render import Renderer, make_renderer
from axtui.model.fold import TERMINAL, is_open, status
from axtui.model.ids import new_id
from axtui.runtime.config import parse_duration
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import UnknownConversation
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.client import Client

_STATUS = {"completed": 0, "failed": 1, "canceled": 6, "waiting": 3, "paused": 3}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of exec."""
    add = parser.add_argument
    add("--input", metavar="TEXT|-|@FILE", help="what the agent is told; - is standard input")
    add("--conversation", metavar="ID", help="the conversation to go on with")
    add("--agent", metavar="ID", default="", help="the agent that is to run")
    add("--agent-config", metavar="JSON|@FILE", help="what the agent is set up with")
    add("--resume", action="store_true", help="go on with the run that didn't end")
    add("--last-seq", type=int, metavar="N", help="show every event after N first")
    add("--approve", choices=("policy", "ask", "all", "deny"), default="")
    add("--on-interrupted", choices=("ask", "retry", "skip", "fail"), default="")
    add("--timeout", metavar="DUR", help="how long to wait for the run, such as 90s or 5m")
    add("--interactive", action="store_true", help="ask for the next input after each run")


@dataclass
class _Session:
    """One conversation that is being talked to."""

    client: Client
    args: argparse.Namespace
    renderer: Renderer
    interrupt: Interrupt
    conversation_id: str
    options: RunOptions
    timeout: float | None
    can_ask: bool


async def run(client: Client, args: argparse.Namespace) -> int:
    """Start or resume a run and follow it."""
    _check(args)
    options = RunOptions(
        None if args.agent_config is None else json_argument(args.agent_config, "--agent-config"),
        args.approve,
        args.on_interrupted,
    )
    can_ask = args.output == "text" and sys.stdin.isatty()
    session = _Session(
        client,
        args,
        make_renderer(args),
        Interrupt(args),
        args.conversation or new_id(),
        options,
        None if args.timeout is None else _duration(args.timeout),
        can_ask,
    )
    with session.interrupt:
        return await _resume(session) if args.resume else await _start(session)


def _check(args: argparse.Namespace) -> None:
    if args.resume and args.input is not None:
        raise UsageError("--resume goes on with a run as it is; it takes no --input")
    if not args.conversation and (args.resume or args.last_seq is not None):
        option = "--resume" if args.resume else "--last-seq"
        raise UsageError(f"{option} needs --conversation ID", "`axtui list` shows the ids")
    if args.last_seq is not None and args.last_seq < 0:
        raise UsageError("--last-seq can't be negative")
    if args.input is None and not args.resume and not args.interactive:
        raise UsageError("there is nothing to do", "give --input TEXT, or --conversation --resume")
    if args.interactive and args.output == "json":
        raise UsageError("--interactive is for people; it doesn't go with --output json")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None


async def _resume(session: _Session) -> int:
    name = session.conversation_id
    listed = await session.client.find(name) if session.args.resume else None
    if listed is None or listed.summary.deleted_us:
        raise UnknownConversation(name)
    state = await session.client.state(name)
    after = _after(session, state)
    if status(state) == "idle":
        raise Refused("state", f"conversation {name} has no run to resume")
    if is_open(state):
        session.interrupt.conversation_id = name
        await session.client.resume(name, session.options)
    session.renderer.conversation(name)
    return await _follow(session, await _state_at(session, after))


async def _start(session: _Session) -> int:
    name = session.conversation_id
    after = 0
    known = await session.client.find(name) if session.args.conversation else None
    if known is not None:
        after = _after(session, await session.client.state(name))
    elif session.args.last_seq:
        raise UsageError(f"--last-seq {session.args.last_seq} is beyond the log, which is empty")
    text = session.args.input
    input = await _prompt(session) if text is None else read_argument(text, "--input")
    if input is None:
        return 0
    first = True
    while True:
        await session.client.start(name, input, session.args.agent, session.options)
        session.interrupt.conversation_id = name
        if first:
            session.renderer.conversation(name)
        first = False
        code = await _follow(session, await _state_at(session, after))
        if not session.args.interactive or code not in (0, 1):
            return code
        following = await _prompt(session)
        if following is None:
            return code
        input, after = following, (await session.client.state(name)).seq


def _after(session: _Session, state: st.State) -> int:
    wanted: int | None = session.args.last_seq
    if wanted is None:
        return state.seq
    if wanted > state.seq:
        raise UsageError(f"--last-seq {wanted} is beyond the log, whose last event is {state.seq}")
    return wanted


async def _state_at(session: _Session, seq: int) -> st.State:
    return await session.client.state(session.conversation_id, seq) if seq else st.State()


async def _follow(session: _Session, state: st.State) -> int:
    """Follow the run until it ends, waits for somebody, or we are told to stop."""
    follower = Follower(session.client, session.conversation_id, state, session.renderer)
    head = await session.client.state(session.conversation_id)
    following = asyncio.create_task(follower.run(head.seq, session.can_ask))
    stop = asyncio.create_task(session.interrupt.wait())
    try:
        await asyncio.wait(
            {following, stop}, timeout=session.timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if following.done():
            await following
        elif stop.done():
            session.renderer.note("Interrupted; pausing the run …")
    finally:
        for task in (following, stop):
            task.cancel()
        session.renderer.pause()
    signal = session.interrupt.signal
    if not following.done() or signal:
        await session.client.suspend(f"signal {signal}" if signal else "--timeout")
    state = await session.client.state(session.conversation_id)
    session.renderer.end(state)
    # A run that ended before the signal could pause it has its own status.
    return 128 + signal if signal and status(state) not in TERMINAL else _STATUS[status(state)]


async def _prompt(session: _Session) -> str | None:
    """The next input of an interactive session; None at the end of it."""
    line = await session.renderer.ask_line("> ", session.interrupt)
    return line if line and line.strip() else None
