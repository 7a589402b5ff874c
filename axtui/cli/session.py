"""One conversation that somebody follows from his terminal."""

from __future__ import annotations

import argparse
import asyncio
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from axtui.cli.follow import Follower, whole
from axtui.cli.interrupt import Interrupt
from axtui.cli.prompt import can_ask
from axtui.cli.render import Renderer
from axtui.client import RunOptions
from axtui.model.fold import TERMINAL, status
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.client import Client

_CAN_GO_ON, _UNREACHABLE = 3, 5
_STATUS = {"completed": 0, "failed": 1, "canceled": 6}


@dataclass
class Session:
    """A conversation, how it is shown, and what new runs of it are run with."""

    client: Client
    args: argparse.Namespace
    renderer: Renderer
    interrupt: Interrupt
    conversation_id: str
    options: RunOptions = field(default_factory=RunOptions)


async def follow(session: Session, after: int) -> tuple[int, int]:
    """Follow the run until it ends, waits for somebody, or we are told to stop.

    Gives back the exit status and the last seq.
    """
    client, known = session.client, session.conversation_id
    state = await client.state(known, after) if after else st.State()
    follower = Follower(client, known, state, session.renderer)
    head = (await client.state(known)).seq
    asks = session.args.output == "text" and can_ask()
    following = asyncio.create_task(follower.run(head, asks))
    await _wait(session, following)
    number = session.interrupt.signal
    if client.hosts and (not following.done() or number):
        # Who presses Ctrl+C doesn't want it to go on behind his back.
        stopped = known if number == signal.SIGINT else ""
        await client.suspend(f"signal {number}" if number else "--timeout", stopped)
    following.cancel()
    await asyncio.wait({following})
    await follower.catch_up()
    state = follower.state
    session.renderer.end(state, await whole(client, state.run.output), not client.hosts)
    now = status(state)
    # A run that ended before the signal could pause it has its own status.
    if number and now not in TERMINAL:
        return 128 + number, state.seq
    if now == "paused" and state.run.cause == "unreachable":
        return _UNREACHABLE, state.seq
    return _STATUS.get(now, _CAN_GO_ON), state.seq


async def _wait(session: Session, following: asyncio.Task[None]) -> None:
    stop = asyncio.create_task(session.interrupt.wait())
    try:
        await asyncio.wait(
            {following, stop}, timeout=session.args.timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if following.done():
            await following
        elif stop.done() and session.client.hosts:
            session.renderer.note("Interrupted; pausing the run …")
    finally:
        stop.cancel()
        session.renderer.pause()
