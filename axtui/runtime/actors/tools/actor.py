"""The tool servers of a controller: its side of the process that speaks MCP with them."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

from axtui.agent import ONCE, ActorError, Call, Effect, Retry, Tool, ToolError, call
from axtui.programs import program
from axtui.runtime.actors.roster import Roster, ask
from axtui.runtime.actors.supervisor import Spec
from axtui.runtime.actors.tools.elicitation import question, reply
from axtui.runtime.actors.wire import Fault, Progress
from axtui.runtime.config import Config

TIMEOUT = 300.0
# The process bounds a call by itself; if it doesn't, it hangs. Beside the call it may have to end
# the server, to start it and to list its tools, and all that twice.
PATIENCE = 300.0


class ToolChanged(ActorError):
    """A tool is described otherwise than it was when it was found; it wasn't called."""


class _InFlight(NamedTuple):
    tool: str
    call: Call
    limit: asyncio.Timeout


class ToolServers:
    """What `Context.tool` finds on MCP servers, as `SERVER.TOOL`."""

    def __init__(self, roster: Roster, config: Config) -> None:
        servers = config.tools
        command = program("axtui.runtime.actors.tools")
        hello = {
            "servers": {name: asdict(server) for name, server in servers.items()},
            "workspace": os.getcwd(),
            "logins": str(config.logins),
        }
        handlers = {"changed": self._changed, "ask": self._asked}
        self._servers = servers
        self._actor = roster.add(Spec("tools", "tools", command, hello, os.environ), handlers)
        self._tools: dict[str, Tool] | None = None
        self._changes = 0
        self.states: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._calls: dict[int, _InFlight] = {}

    async def all(self) -> list[Tool]:
        """The tools of all servers that can be reached; `states` tells of the others."""
        return list((await self._known()).values()) if self._servers else []

    async def resources(self) -> dict[str, Any]:
        """See `ToolHost.resources`."""
        return await self._look("resources")

    async def prompts(self) -> dict[str, Any]:
        """See `ToolHost.prompts`."""
        return await self._look("prompts")

    async def find(self, name: str) -> Tool | None:
        """The tool of that name."""
        if name.partition(".")[0] not in self._servers:
            return None
        return (await self._known()).get(name)

    async def log_in(self, server: str, show: Callable[[str], None]) -> None:
        """Have a person log in at a server; `show` gets the address to open in a browser."""
        await ask(self._actor, "log_in", server, show)

    async def _known(self) -> dict[str, Tool]:
        if self._tools is not None:
            return self._tools
        changes = self._changes
        listed = await ask(self._actor, "tools", None)
        self.states = listed["servers"]
        tools = {entry["name"]: self._tool(entry) for entry in listed["tools"]}
        # A server may have changed while others were still being listed; it says so once.
        if changes == self._changes:
            self._tools = tools
        return tools

    async def _look(self, what: str) -> dict[str, Any]:
        found: dict[str, Any] = {what: [], "errors": {}}
        if self._servers:
            found = await ask(self._actor, what, None)
        return found

    def _tool(self, entry: Mapping[str, Any]) -> Tool:
        effect: Effect = "readonly" if entry["readonly"] else ""
        if not effect and entry["idempotent"]:
            effect = "idempotent"
        return Tool(
            entry["name"],
            partial(self._call, entry["name"], entry["digest"]),
            effect=effect,
            retry=Retry() if effect else ONCE,
            description=entry["description"],
            schema=entry["schema"],
            pin=entry["digest"],
        )

    async def _call(self, tool: str, pin: str, /, **arguments: Any) -> Any:
        this = call()
        number = next(self._numbers)
        seconds = self._servers[tool.partition(".")[0]].timeout or TIMEOUT
        asked = {
            "call": number,
            "name": tool,
            "arguments": arguments,
            "timeout": seconds,
            "pin": pin,
            "meta": {"axtui/idempotency-key": this.idempotency_key},
        }
        while True:
            try:
                result = await self._once(tool, asked, seconds)
                break
            except ActorError as error:
                if error.code == "changed":
                    self._tools = None
                    raise ToolChanged(error.code, str(error)) from None
                # Its server is started again; whether it may be asked again the step knows.
                error.retryable = error.retryable or error.code == "lost"
                # It did nothing, and will once somebody has done what the message says.
                if error.code != "login":
                    raise
                question = f"{error}, and then answer. Go on?"
                if await this.ask(question, ("retry", "fail"), None) == "fail":
                    raise
        if result["error"]:
            raise ToolError(_text(result) or f"{tool} failed and doesn't say why")
        return result

    async def _once(self, tool: str, asked: Mapping[str, Any], seconds: float) -> Any:
        this, number = call(), asked["call"]
        try:
            async with asyncio.timeout(seconds + PATIENCE) as limit:
                self._calls[number] = _InFlight(tool, this, limit)
                return await ask(self._actor, "call", asked, lambda line: this.delta(f"{line}\n"))
        except TimeoutError:
            await self._actor.stop("hung")
            raise ActorError("timeout", "the tool process hung", unknown=True) from None
        finally:
            del self._calls[number]

    async def _asked(self, params: Any, progress: Progress) -> Any:
        """A tool asks in the middle of a call; what it wants to know becomes a question."""
        flight = self._calls.get(params["call"])
        if flight is None:
            raise Fault("gone", "nobody waits for that call any more")
        loop, left = asyncio.get_running_loop(), flight.limit.when()
        before = loop.time()
        # A person may take days.
        flight.limit.reschedule(None)
        try:
            answer = await flight.call.ask(*question(flight.tool, params))
        finally:
            flight.limit.reschedule(left and left + loop.time() - before)
        return reply(params, answer)

    async def _changed(self, params: Any, progress: Progress) -> Any:
        """A server's tools are others now."""
        self._tools = None
        self._changes += 1


def _text(result: Mapping[str, Any]) -> str:
    return "\n".join(part["text"] for part in result["content"] if "text" in part)
