"""Calls a tool, through the host or with the SDK's client alone; prints what a call costs here."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from axtui.runtime.actors.tools.host import ToolHost
from bench.children import ROOT, command

ECHO = command("tool_server")
WARM_UP = 50


@asynccontextmanager
async def bare() -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """The SDK."""
    program, *arguments = ECHO
    server = StdioServerParameters(command=program, args=arguments, cwd=ROOT)
    async with Client(server) as client:
        yield lambda text: client.call_tool("echo", {"text": text})


@asynccontextmanager
async def hosted() -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """The host."""

    async def ask(question: dict[str, Any]) -> dict[str, Any]:
        return {"action": "cancel"}

    host = ToolHost({"echo": {"command": ECHO}}, str(ROOT), str(ROOT), lambda name: None)
    yield lambda text: host.call(
        "echo.echo",
        {"text": text},
        timeout=60,
        on_progress=lambda text: None,
        ask=ask,
        meta={"axtui/idempotency-key": "key"},
    )
    await host.aclose()


async def main(kind: str, calls: int) -> None:
    """Call, one after another."""
    async with (hosted if kind == "hosted" else bare)() as call:
        for _ in range(WARM_UP):
            await call("hello")
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(calls):
            await call("hello")
        spent = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps([seconds / calls * 1000 for seconds in spent]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
