"""All tool servers of a controller, behind one object."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mcp.client import Client

from axtui.runtime.actors.tools import offers
from axtui.runtime.actors.tools.calls import Ask, OnProgress
from axtui.runtime.actors.tools.faults import ToolFault
from axtui.runtime.actors.tools.server import Server
from axtui.runtime.config import OAuth, ToolServer

MAX_ARGUMENTS = 8 << 20


class ToolHost:
    """Calls the tools of servers, which it starts when they are needed, and stops.

    `servers` has the fields of `ToolServer` for each, as JSON; relative folders count from
    `workspace`. What people have logged in with is in the folder `logins`. `on_change` is called
    with the name of a server whose tools have changed. Tools, prompts and resources are named
    `SERVER.NAME`. To be made, used and closed in one event loop.
    """

    def __init__(
        self,
        servers: Mapping[str, dict[str, Any]],
        workspace: str,
        logins: str,
        on_change: Callable[[str], None],
    ) -> None:
        self._servers = {
            name: Server(name, _config(fields), workspace, Path(logins, f"{name}.json"), on_change)
            for name, fields in servers.items()
        }
        # What a server makes the SDK complain about would fill our own errors.
        for logger in ("mcp", "client"):
            logging.getLogger(logger).setLevel(logging.CRITICAL)

    async def tools(self) -> dict[str, Any]:
        """All tools, and the state of each server; those that aren't running are started.

        {"servers": {NAME: {"state": "ready" or "failed", "error", "name", "version", "protocol",
        "instructions", "digest"}}, "tools": [{"name", "description", "schema", "output_schema"?,
        "readonly", "idempotent", "destructive", "digest"}]}. A server that can't be started is
        "failed", and hinders no other.
        """
        found = await asyncio.gather(*(server.describe() for server in self._servers.values()))
        states = {name: state for name, (state, _) in zip(self._servers, found, strict=True)}
        return {"servers": states, "tools": [tool for _, tools in found for tool in tools]}

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        timeout: float | None,
        on_progress: OnProgress,
        ask: Ask,
        meta: dict[str, Any],
        pin: str = "",
    ) -> dict[str, Any]:
        """What a tool gives back: {"content": parts, "structured"?: JSON, "error": bool}.

        `timeout` is in seconds, without the time that `ask` takes; None means the server's own.
        `ask` gets {"message", "schema"}, or {"message", "url"} for something to be done in a
        browser, and gives {"action": "accept", "decline" or "cancel", "content"?}. `meta` goes
        along as the request's `_meta`. `pin` is the digest that the tool has to have; without one,
        any will do. Canceled, the request is taken back at the server.

        Raises ToolFault.
        """
        server, tool = self._find(name)
        try:
            size = len(json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise ToolFault("rejected", f"{name}: the arguments are no JSON: {error}") from None
        if size > MAX_ARGUMENTS:
            limit = f"{MAX_ARGUMENTS >> 20} MiB"
            raise ToolFault("rejected", f"{name}: the arguments are larger than {limit}")
        return await server.call(tool, arguments, timeout, on_progress, ask, meta, pin)

    async def resources(self) -> dict[str, Any]:
        """{"resources": [{"uri" or "template", "name", "description", "type"}], "errors": {SERVER:
        why it could not be asked}}."""
        return await self._collect("resources", offers.list_resources)

    async def read_resource(self, uri: str) -> dict[str, Any]:
        """What is at SERVER.URI: {"contents": parts}. Raises ToolFault."""
        server, name = self._find(uri)
        return await server.request(
            lambda client: offers.read_resource(client, name, server.max_output)
        )

    async def prompts(self) -> dict[str, Any]:
        """{"prompts": [{"name", "description", "arguments"}], "errors": {SERVER: why it could not
        be asked}}."""
        return await self._collect("prompts", offers.list_prompts)

    async def get_prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        """{"description", "messages": [{"role", "content": parts}]}. Raises ToolFault."""
        server, prompt = self._find(name)
        return await server.request(
            lambda client: offers.get_prompt(client, prompt, arguments, server.max_output)
        )

    async def log_in(self, server: str, show: Callable[[str], None]) -> None:
        """Have a person log in at a server; `show` gets the address to open. Raises ToolFault."""
        await self._servers[server].log_in(show)

    async def aclose(self) -> None:
        """Stop all servers. Calls in flight are lost."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    def _find(self, name: str) -> tuple[Server, str]:
        server, dot, rest = name.partition(".")
        if server not in self._servers or not dot:
            known = ", ".join(self._servers) or "none"
            raise ToolFault("unknown_tool", f"{name!r} is of no tool server; there are: {known}")
        return self._servers[server], rest

    async def _collect(
        self, what: str, list_all: Callable[[str, Client], Awaitable[list[Any]]]
    ) -> dict[str, Any]:
        found: list[Any] = []
        errors = {}

        async def collect(name: str, server: Server) -> None:
            try:
                found.extend(await server.request(partial(list_all, name)))
            except ToolFault as fault:
                errors[name] = fault.message

        await asyncio.gather(*(collect(*item) for item in self._servers.items()))
        return {what: found, "errors": errors}


def _config(fields: Mapping[str, Any]) -> ToolServer:
    oauth = fields.get("oauth")
    return ToolServer(**{**fields, "oauth": oauth and OAuth(**oauth)})
