"""Where an agent is run: what the controller may take for quiet."""

from __future__ import annotations

import asyncio
from typing import Any

from axtui.agent import Context, agent
from axtui.runtime import replay
from axtui.runtime.actors.agent_host import Host
from axtui.runtime.actors.wire import Handler, Peer


class Slow:
    """A link that takes what is sent only once `taken` is set."""

    unsent = 0

    def __init__(self) -> None:
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.taken, self.more = asyncio.Event(), asyncio.Event()

    async def read(self) -> tuple[dict[str, Any], int]:
        return await self.frames.get(), 100

    def has_more(self) -> bool:
        return False

    def send(self, frame: dict[str, Any]) -> None:
        self.sent.append(frame)
        self.more.set()

    async def drain(self) -> None:
        await self.taken.wait()

    def close(self) -> None:
        """Nobody is told."""


def work(name: str) -> str:
    return name


@agent
async def racer(ctx: Context) -> list[str]:
    racers = {asyncio.create_task(ctx.step(work, name)) for name in "ab"}
    done, losers = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
    for loser in losers:
        loser.cancel()
    await asyncio.wait(losers)
    return [task.result() for task in done]


RUN = {
    "version": 1,
    "epoch": 1,
    "agent": "racer",
    "conversation": "c",
    "exec_id": "x",
    "path": "",
    "time_us": 1,
    "seed": "s",
    "workspace": "/",
    "changes": [],
    "input": "",
    "config": "null",
    "state": "",
}
QUIETED = {"reply": 2, "result": None}


async def test_who_has_yet_to_hear_of_an_answer_is_not_quiet() -> None:
    """He waits for what he asked for to be taken, and the answer to it is there already."""
    link = Slow()
    handlers: dict[str, Handler] = {}
    peer = Peer(link, handlers, lambda peer: None)
    host = Host(peer)
    host.agent = racer
    handlers.update(host.handlers())
    running = asyncio.create_task(peer.run())
    loop = asyncio.get_running_loop()
    link.frames.put_nowait({"call": 1, "method": "run", "params": RUN})
    await replay.quiet(loop)
    first, second = (frame["call"] for frame in link.sent)
    answer = {"value": '"a"', "time_us": 2}
    link.frames.put_nowait({"reply": first, "result": answer})
    link.frames.put_nowait({"call": 2, "method": "quiet", "params": None})
    await replay.quiet(loop)
    link.taken.set()
    async with asyncio.timeout(30):
        while QUIETED not in link.sent:
            link.more.clear()
            await link.more.wait()
    assert {"cancel": second} in link.sent[: link.sent.index(QUIETED)]
    running.cancel()
