"""The one client that all screens use, and what they need to know of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from axtui.ui.actions import WRITING

if TYPE_CHECKING:
    from axtui.client import Client


# What actions call of a client; all others that write answer a question.
_SAME = ("resume", "pause", "cancel", "fork", "delete", "search")
_METHODS = {"new": "start", "write": "start", "message": "tell"} | dict(
    zip(_SAME, _SAME, strict=True)
)


class Desk:
    """`client` is there once it is open, and `refusals` says which of its methods are no use, and
    why. Runs are never driven by this process: before the first change a process in the background
    is joined, so that a terminal which stalls, or goes away, stalls nothing."""

    client: Client

    def __init__(self, connect: Callable[[], Client], server: str) -> None:
        self._connect = connect
        self.server = server
        self.refusals: Mapping[str, str] = {}

    async def open(self) -> None:
        """Connect. Raises what `connect` does. What it has to import is imported beside the UI."""
        client = await asyncio.to_thread(self._connect)
        try:
            if not self.server:
                await client.join(start=False)
            self.refusals = await client.refusals()
        except BaseException:
            await client.close()
            raise
        self.client = client

    async def writer(self) -> Client:
        """The client, with somebody to drive what is started with it."""
        if not self.server:
            await self.client.join(start=True)
        return self.client

    @property
    def may_only_look(self) -> bool:
        """Whether nothing can be changed."""
        return "start" in self.refusals

    def why_not(self, action: str) -> str:
        """Why an action, by its name, can't be taken here; empty if it can."""
        method = _METHODS.get(action, "answer" if action in WRITING else "")
        return self.refusals.get(method, "")

    def connection(self, controller_pid: int) -> str:
        """The connection in a few words."""
        lost, role = (getattr(self.client, name, "") for name in ("connection", "role"))
        if self.server:
            there = "lost, connecting again …" if lost else "connected"
            return f"{self.server}{f' as {role}' if role else ''} · {there}"
        return f"local · {f'controller {controller_pid}' if controller_pid else 'no controller'}"

    async def close(self) -> None:
        """Let go."""
        if hasattr(self, "client"):
            await self.client.close()
