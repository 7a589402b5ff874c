"""What those who watch a conversation are sent: encoded once for all of them.

Who is as far as the others gets the same bytes as they do. Who is behind, because he came later or
reads slowly, gets pages of the log until he has caught up; provisional text isn't kept for him.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NamedTuple

from axtui.model.records import pack, portions
from axtui.remote.messages import PAGE_BYTES, delta
from axtui.runtime.controller import Controller
from axtui.v1 import service_pb2 as sv

# Bytes of a message while catching up.
CATCH_UP = 256 * 1024
# What is kept for those who are a little behind.
MAX_FRAMES = 256
MAX_BYTES = 8 << 20


class Frame(NamedTuple):
    """A message with the events after `after` up to `last`; none if these are the same."""

    after: int
    last: int
    data: bytes


class Feed:
    """Of one conversation. `pause` says how long to wait between two frames, in seconds: the more
    there are who watch, the more goes into one.
    """

    def __init__(
        self, controller: Controller, conversation_id: str, pause: Callable[[], float]
    ) -> None:
        self._controller = controller
        self._id = conversation_id
        self._pause = pause
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        # Frames that there ever were, and the seq after the last of them.
        self._count = 0
        self._seq = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closed = False
        self.watchers = 0

    async def watch(self, after: int) -> AsyncGenerator[tuple[bytes, int], None]:
        """Messages with everything after `after`, each with its last seq; an empty one says that
        there is nothing more for now. It ends when this is closed, or the log."""
        self.watchers += 1
        try:
            if self._task is None:
                self._task = asyncio.create_task(self._run())
            await self._ready.wait()
            async for data, last in self._watch(after):
                yield data, last
        finally:
            self.watchers -= 1
            if not self.watchers:
                self.close()

    def close(self) -> None:
        """End what is watched."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        self._tell()

    async def _watch(self, after: int) -> AsyncIterator[tuple[bytes, int]]:
        at = self._count
        told = False
        while True:
            news = self._news
            at = max(at, self._count - len(self._frames))
            if self._closed:
                return
            if at < self._count:
                frame = self._frames[at - self._count]
                at += 1
                if frame.after == after:
                    after = frame.last
                    yield frame.data, after
            elif after < self._seq:
                async for data, last in self._catch_up(after):
                    yield data, last
                    after = last
            elif self._task is None or self._task.done():
                await self._ended()
                return
            elif not told:
                told = True
                yield b"", after
            else:
                await news.wait()

    async def _catch_up(self, after: int) -> AsyncIterator[tuple[bytes, int]]:
        """Messages up to where the feed was, each with its last seq; while one is sent, the next
        page is read."""
        read = self._controller.log.packed
        end = self._seq
        reading = asyncio.ensure_future(read(self._id, after=after, last=end, size=CATCH_UP))
        try:
            while blocks := await reading:
                last = blocks[-1].last
                reading = asyncio.ensure_future(read(self._id, after=last, last=end, size=CATCH_UP))
                yield sv.Page(records=[block.data for block in blocks]).SerializeToString(), last
        finally:
            reading.cancel()

    async def _ended(self) -> None:
        """Raise what the log, or the driver of the run, has failed with."""
        if self._task is not None and not self._task.cancelled():
            await self._task

    async def _run(self) -> None:
        try:
            self._seq = (await self._controller.log.head(self._id)).seq
            self._ready.set()
            with self._controller.watching(self._id) as watcher:
                async for records in self._controller.log.tail(self._id, self._seq, watcher.wake):
                    deltas = watcher.take_deltas()
                    for portion in portions(records, PAGE_BYTES):
                        self._publish(portion[-1].seq, sv.Page(records=[pack(portion)]))
                    if deltas:
                        self._publish(self._seq, sv.Page(deltas=map(delta, deltas)))
                    if records or deltas:
                        await asyncio.sleep(self._pause())
        finally:
            self._ready.set()
            self._tell()

    def _publish(self, last: int, page: sv.Page) -> None:
        data = page.SerializeToString()
        self._frames.append(Frame(self._seq, last, data))
        self._bytes += len(data)
        self._count += 1
        self._seq = last
        while len(self._frames) > MAX_FRAMES or (self._bytes > MAX_BYTES and len(self._frames) > 1):
            self._bytes -= len(self._frames.popleft().data)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
