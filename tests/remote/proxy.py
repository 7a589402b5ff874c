"""A network that can't be relied on: a proxy that cuts, stalls, delays and resets at random."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from types import TracebackType

HOST = "127.0.0.1"


class Proxy:
    """Passes connections on to a port; each of them comes to grief sooner or later, after so many
    seconds on average."""

    def __init__(self, port: int, seed: int, seconds: float) -> None:
        self._target = port
        self._random = random.Random(seed)
        self._seconds = seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self.broken = 0
        self.port = 0

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            there = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.create_task(self._pass(reader, there[1])),
            asyncio.create_task(self._pass(there[0], writer)),
        ]
        try:
            with suppress(asyncio.CancelledError):
                await self._trouble(ways, (writer, there[1]))
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, there[1]):
                end.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._random.random() < 0.02:
                    await asyncio.sleep(self._random.uniform(0, 0.1))
                writer.write(data)
                await writer.drain()

    async def _trouble(
        self, ways: list[asyncio.Task[None]], ends: tuple[asyncio.StreamWriter, ...]
    ) -> None:
        """Return when the connection is over, by itself or by us."""
        while True:
            after = self._random.expovariate(1 / self._seconds)
            done, _ = await asyncio.wait(ways, timeout=after, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            self.broken += 1
            match self._random.choice(["cut", "reset", "half", "half", "stall", "silence"]):
                case "cut":
                    return
                case "reset":
                    for end in ends:
                        linger = struct.pack("ii", 1, 0)
                        end.get_extra_info("socket").setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, linger
                        )
                        end.transport.abort()
                    return
                case "half":
                    # What is under way in the other direction still arrives.
                    ways[self._random.randrange(2)].cancel()
                    with suppress(OSError):
                        ends[self._random.randrange(2)].write_eof()
                    await asyncio.sleep(self._random.uniform(0, 1))
                    return
                case "stall":
                    await self._stall(ends, self._random.uniform(0, 3))
                case "silence":
                    # For good: nobody is told, and who waits has to notice by himself.
                    await self._stall(ends, 60)
                    return

    async def _stall(self, ends: tuple[asyncio.StreamWriter, ...], seconds: float) -> None:
        for end in ends:
            end.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(seconds)
        for end in ends:
            with suppress(RuntimeError):
                end.transport.resume_reading()  # type: ignore[attr-defined]
