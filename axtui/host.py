"""A process that holds the lease of a log: its controller, and the door that others find it by."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from axtui.remote.background import start_background
from axtui.remote.door import Door, socket_path
from axtui.runtime.config import Config
from axtui.runtime.controller import Controller, should_run
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import LogError
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.registry import load_registry

_INDEX_SECONDS = 10.0
_INDEX_PAUSE_SECONDS = 1.0


class Server(Protocol):
    """What others are served by."""

    def idle_seconds(self) -> float:
        """For how long nobody has asked for anything."""
        ...

    async def stop(self) -> None:
        """Serve no more."""
        ...


class Host:
    """Found by others as soon as it is open. `listen` is called with an address once one of them
    wants to be served. If this one `gives_way`, `wanted` is set when another wants the lease. One
    that `hands_over` is there for a command of its own, and leaves the runs of others to a process
    in the background when it ends.
    """

    def __init__(
        self,
        config: Config,
        log: SqliteLog,
        controller: Controller,
        listen: Callable[[str], Awaitable[Server]],
    ) -> None:
        self.controller = controller
        self.log = log
        self.since_us = time.time_ns() // 1000
        self.gives_way = False
        self.hands_over = True
        self.wanted = asyncio.Event()
        self._last_busy = time.monotonic()
        self._left_to_us: set[str] = set()
        self._config = config
        self._listen = listen
        self._listening: asyncio.Future[Server] | None = None
        self._indexing: asyncio.Task[None] | None = None
        self._door = Door(config.log_path, self._answer)

    @classmethod
    async def open(cls, config: Config, listen: Callable[[str], Awaitable[Server]]) -> Host:
        """Take the lease. Raises LeaseHeld, Refused for a broken agent, or LogError."""
        registry = load_registry(config)
        log = SqliteLog.open_to_write(config.log_path)
        # What is there by now stays; looking through it costs a run a few hundredths of a second.
        gc.freeze()
        host = cls(config, log, Controller(log, config, registry), listen)
        # Without a door others are told that the log is held, and by whom: no reason to do nothing.
        with suppress(LogError):
            await host._door.open()
        host._indexing = asyncio.create_task(host._index())
        return host

    def leave(self, conversation_id: str) -> None:
        """Remember that its run isn't this command's own."""
        if self.hands_over:
            self._left_to_us.add(conversation_id)

    async def close(self, principal: str) -> None:
        """Pause what runs here, and let go of the lease."""
        if self._indexing is not None:
            self._indexing.cancel()
        self._door.close()
        if self._listening is not None:
            await (await self._listening).stop()
        await self.controller.suspend(principal)
        left = [name for name in self._left_to_us if await self._should_run(name)]
        await self.controller.close(principal)
        if left:
            start_background(self._config)

    async def _index(self) -> None:
        """Keep what a search has to read short, a little at a time and with long pauses, so that
        nobody who runs something waits for it."""
        left = 0
        while True:
            await asyncio.sleep(_INDEX_PAUSE_SECONDS if left else _INDEX_SECONDS)
            left = 0
            # Whoever searches is told of what is wrong.
            with suppress(LogError):
                left = await self.log.index()

    async def _should_run(self, conversation_id: str) -> bool:
        try:
            return should_run(await self.log.state(conversation_id))
        except LogError:
            # It is gone, or the log is.
            return False

    async def _answer(self, wanted: str) -> dict[str, Any]:
        match wanted:
            case "status":
                driving, calls = sorted(self.controller.driving()), self.controller.roster.calls()
                return {"pid": os.getpid(), "driving": driving, "calls": calls}
            case "serve":
                address = f"unix:{socket_path(self._config.log_path, '.grpc')}"
                if self._listening is None:
                    self._listening = asyncio.ensure_future(self._listen(address))
                try:
                    await asyncio.shield(self._listening)
                except (Refused, LogError) as error:
                    self._listening = None
                    return {"why": str(error)}
                return {"address": address}
            case "give way" if self.gives_way:
                self.wanted.set()
                return {"gives_way": True}
        return {}

    async def idle_seconds(self) -> float:
        """For how long nothing was driven here and nobody has asked for anything."""
        if self._listening is not None:
            self._last_busy = max(
                self._last_busy, time.monotonic() - (await self._listening).idle_seconds()
            )
        if self.controller.driving():
            self._last_busy = time.monotonic()
        return time.monotonic() - self._last_busy
