"""Decides when what happened reaches the agent: in the order of the log, live as in a replay.

An agent is a program whose course may depend on which of two steps ends first. So, once it does
several things at once, whatever gives control back to it (an outcome, an answer, a message that was
recorded) waits in one line, in the order of the log, until what went before has set off in the
agent all that it does. In a replay a recorded outcome joins the line once all has been asked for
that had been asked for before it; what is new begins when all that is recorded has been handed
over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from axtui.runtime.history import History

# The most turns of the event loop that an agent has for what an outcome sets off in it (a task
# ends, `gather` returns, another task goes on); each level of tasks takes three. Mostly the loop
# has nothing left to do long before, and then nobody waits.
TURNS = 48
STUCK_SECONDS = 15.0

Place = asyncio.Future[None]


class Elsewhere(Protocol):
    """The run's agents that aren't in this process."""

    @property
    def told(self) -> bool:
        """Whether any may be busy with what it was told."""
        ...

    async def quiet(self) -> None:
        """Wait until what they were told has set off all that it does, and that is known here."""
        ...

    async def answer(self) -> bool:
        """Whether there is none that computes, and so couldn't ask for anything."""
        ...


async def quiet(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until what is going on in the loop is over, or has had its turns."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
        if is_quiet(loop):
            return


def is_quiet(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop has nothing to do at the moment."""
    # CPython's loops keep what is ready to run in `_ready`; with others there is no knowing.
    ready = getattr(loop, "_ready", None)
    return ready is not None and not ready


class Replay:
    """The line before one run's agents."""

    def __init__(
        self, history: History, elsewhere: Elsewhere, on_stuck: Callable[[str], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._marks = history.marks
        self._next = 0
        self._asked: set[str] = set()
        self._skipped: set[str] = set()
        self._waiting: dict[str, Place] = {}
        self._newcomers: list[Place] = []
        self._open = not history.marks
        self._line: deque[Place] = deque()
        self._server: asyncio.Task[None] | None = None
        self._elsewhere = elsewhere
        self._doubt: asyncio.Task[None] | None = None
        self._on_stuck = on_stuck
        self._patience = STUCK_SECONDS
        self._moved = self._loop.time()
        self._alarm: asyncio.TimerHandle | None = None
        if not self.finished:
            self._alarm = self._loop.call_later(STUCK_SECONDS, self._check)
        # Whether the agent has begun to do several things at once.
        self.abreast = False

    @property
    def finished(self) -> bool:
        """Whether everything recorded has been asked for and released."""
        return self._next >= len(self._marks)

    def unasked(self) -> str:
        """The first recorded key that has not been asked for; empty if there is none."""
        rest = self._marks[self._next :]
        return next((mark.key for mark in rest if mark.key not in self._asked), "")

    def ask(self, key: str) -> None:
        """The agent asks for `key`."""
        self.abreast = self.abreast or "~" in key
        if not self.finished:
            self._asked.add(key)
            self._advance()

    def expect(self, seconds: float) -> None:
        """The agent took that long to give something up, and may do so again."""
        self._patience = max(self._patience, STUCK_SECONDS + seconds)

    def skip(self, key: str) -> None:
        """Nobody waits for the recorded outcome of `key` any more."""
        self._skipped.add(key)
        self._advance()

    async def released(self, key: str) -> None:
        """Wait until the recorded outcome of `key` may be handed over."""
        place = self._waiting[key] = self._loop.create_future()
        self._advance()
        await place

    async def live(self) -> None:
        """Wait until all that is recorded has been handed over."""
        if not self._open:
            place = self._loop.create_future()
            if self.finished:
                self.join(place)
            else:
                self._newcomers.append(place)
            await place

    async def turn(self) -> None:
        """Wait for one's turn to reach the agent."""
        if self.abreast:
            place = self._loop.create_future()
            self.join(place)
            await place

    def join(self, place: Place) -> None:
        """Take a place in the line; it has a result when it is its turn."""
        if not self.abreast:
            place.set_result(None)
            self._open = self._open or self.finished
            return
        if self._server is None:
            if is_quiet(self._loop) and not self._elsewhere.told:
                place.set_result(None)
            # Others have to wait until what this one sets off is over.
            self._server = asyncio.create_task(self._serve())
        if not place.done():
            self._line.append(place)

    def close(self) -> None:
        """Stop the timer and the tasks. Who still waits is left to be cancelled."""
        for going in (self._alarm, self._server, self._doubt):
            if going is not None:
                going.cancel()

    def _advance(self) -> None:
        if self.finished:
            return
        self._moved = self._loop.time()
        while not self.finished:
            key, is_outcome = self._marks[self._next]
            if not is_outcome:
                if key not in self._asked:
                    break
            elif key in self._waiting:
                place = self._waiting.pop(key)
                if not place.done():
                    self.join(place)
            elif key not in self._skipped:
                break
            self._next += 1
        if self.finished:
            for place in self._newcomers:
                if not place.done():
                    self.join(place)
            self._newcomers.clear()

    def _check(self) -> None:
        if self.finished:
            return
        left = self._moved + self._patience - self._loop.time()
        if left <= 0:
            self._doubt = asyncio.create_task(self._check_elsewhere())
        else:
            self._alarm = self._loop.call_later(left, self._check)

    async def _check_elsewhere(self) -> None:
        moved = self._moved
        if not await self._elsewhere.answer():
            self._moved = self._loop.time()
        await self._quiet()
        if self._moved != moved:
            self._check()
        elif not self.finished:
            self._on_stuck(self._marks[self._next].key)

    async def _serve(self) -> None:
        await self._quiet()
        while self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_result(None)
                await self._quiet()
        self._server = None
        self._open = self._open or self.finished

    async def _quiet(self) -> None:
        await quiet(self._loop)
        await self._elsewhere.quiet()
