"""One configured server: started when it is needed, and again after it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from mcp.client import Client

from axtui.runtime.actors.tools.calls import Ask, OnProgress
from axtui.runtime.actors.tools.connection import Connection
from axtui.runtime.actors.tools.faults import ToolFault
from axtui.runtime.actors.tools.http import HttpLink
from axtui.runtime.actors.tools.login import log_in
from axtui.runtime.actors.tools.results import result_of
from axtui.runtime.actors.tools.stdio import StdioLink
from axtui.runtime.config import ToolServer

# Failures in a row, after which nobody is kept waiting for a server any more.
MAX_FAILURES = 5
BACKOFF_SECONDS = 0.25
RETRY_SECONDS = 60.0
MAX_RETRY_SECONDS = 600.0
RECOVER_SECONDS = 10.0
REQUEST_SECONDS = 60.0

T = TypeVar("T")


class Server:
    """A server, whether it is there right now or not."""

    def __init__(
        self,
        name: str,
        config: ToolServer,
        workspace: str,
        login: Path,
        on_change: Callable[[str], None],
    ) -> None:
        self.max_output = config.max_output
        self._name = name
        self._config = config
        self._workspace = workspace
        self._login = login
        self._on_change = on_change
        self._connection: Connection | None = None
        self._leaving: Connection | None = None
        self._starting: asyncio.Task[None] | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._failures = 0
        self._error = ""
        self._not_before = 0.0
        self._told: str | None = None
        self._closed = False

    async def describe(self) -> tuple[dict[str, str], list[dict[str, Any]]]:
        """Its state, and its tools. Of one that has failed `on_change` tells once it works."""
        try:
            connection = await self._connected(patient=False)
            listing = await connection.tools()
        except ToolFault as fault:
            self._told = ""
            if self._recovering is None and not self._closed:
                self._recovering = asyncio.create_task(self._recover())
            unknown = dict.fromkeys(("name", "version", "protocol", "instructions", "digest"), "")
            error = fault.message.removeprefix(f"{self._name}: ")
            return {"state": "failed", "error": error, **unknown}, []
        about = connection.about()
        self._told = about["digest"]
        return {"state": "ready", "error": listing.error, **about}, list(listing.tools.values())

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        timeout: float | None,
        on_progress: OnProgress,
        ask: Ask,
        meta: dict[str, Any],
        pin: str,
    ) -> dict[str, Any]:
        """Call a tool by the server's own name for it. Raises ToolFault."""
        seconds = self._config.timeout if timeout is None else timeout
        for again in (True, False):
            connection = await self._connected()
            listing = await connection.tools()
            if tool not in listing.tools:
                raise ToolFault("unknown_tool", f"{self._name} has no tool {tool!r}")
            if pin not in ("", listing.tools[tool]["digest"]):
                what = f"{self._name} describes its tool {tool!r} otherwise by now"
                raise ToolFault("changed", what)
            try:
                result = await connection.call(tool, arguments, seconds, on_progress, ask, meta)
                break
            except ToolFault as fault:
                # Nothing was done, and a new connection may help: the server ended the session.
                if not (again and fault.code == "unavailable" and connection.lost):
                    raise
        return result_of(result, self.max_output)

    async def request(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        """What the server answers to something that changes nothing. Raises ToolFault."""
        connection = await self._connected()
        async with connection.request(self._config.timeout or REQUEST_SECONDS):
            return await ask(connection.client)

    async def log_in(self, show: Callable[[str], None]) -> None:
        """Have a person log in at it; `show` gets the address to open. Raises ToolFault."""
        await log_in(self._config, self._login, show)

    async def close(self) -> None:
        """Stop it, for good."""
        self._closed = True
        self._error = "it was stopped"
        for task in (self._recovering, self._starting):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        for connection in (self._connection, self._leaving):
            if connection is not None:
                await connection.close()

    async def _connected(self, patient: bool = True) -> Connection:
        self._notice_loss()
        if self._connection is None:
            too_soon = self._starting is None and self._now() < self._not_before
            if self._closed or (self._failures >= MAX_FAILURES and (too_soon or not patient)):
                raise self._unavailable()
            starting = self._starting = self._starting or asyncio.create_task(self._start())
            await asyncio.wait({starting})
            if not starting.cancelled():
                starting.result()
            self._notice_loss()
        if self._connection is None:
            raise self._unavailable()
        return self._connection

    async def _start(self) -> None:
        try:
            if self._leaving is not None:
                # Two of a kind at once could get in each other's way.
                await self._leaving.close()
                self._leaving = None
            await asyncio.sleep(self._not_before - self._now())
            connection = Connection(
                self._name, self._config, self._link(), lambda: self._on_change(self._name)
            )
            await connection.open()
        except ToolFault as fault:
            # Whoever asks for the tools would wait that long each time.
            least = MAX_FAILURES if fault.code == "timeout" else 0
            self._failed(fault.message, self._now(), max(self._failures + 1, least))
        else:
            self._connection = connection
            if self._told and self._told != connection.about()["digest"]:
                self._on_change(self._name)
        finally:
            self._starting = None

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(max(self._not_before - self._now(), RECOVER_SECONDS))
            try:
                connection = await self._connected()
                await connection.tools()
            except ToolFault:
                continue
            self._recovering = None
            self._on_change(self._name)
            return

    def _link(self) -> StdioLink | HttpLink:
        if self._config.url:
            return HttpLink(self._name, self._config, self._login)
        return StdioLink(self._config, self._workspace)

    def _notice_loss(self) -> None:
        connection = self._connection
        if connection is not None and connection.lost:
            self._connection, self._leaving = None, connection
            in_a_row = 1 if connection.proven else self._failures + 1
            self._failed(connection.lost, connection.lost_at, in_a_row)

    def _failed(self, error: str, at: float, in_a_row: int) -> None:
        self._error = error
        self._failures = in_a_row
        if in_a_row < MAX_FAILURES:
            wait = BACKOFF_SECONDS * 2 ** (in_a_row - 1)
        else:
            wait = min(RETRY_SECONDS * 2 ** min(in_a_row - MAX_FAILURES, 10), MAX_RETRY_SECONDS)
        self._not_before = at + wait

    def _unavailable(self) -> ToolFault:
        return ToolFault("unavailable", f"{self._name}: {self._error}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
