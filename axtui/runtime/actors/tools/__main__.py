"""The process that speaks MCP with the tool servers."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from axtui.runtime.actors.tools.faults import ToolFault
from axtui.runtime.actors.tools.host import ToolHost
from axtui.runtime.actors.wire import Fault, Handler, Peer, Progress, serve

_hosts: list[ToolHost] = []
_telling: set[asyncio.Task[Any]] = set()


def _start(peer: Peer) -> dict[str, Handler]:
    def changed(server: str) -> None:
        task = asyncio.create_task(peer.call("changed", server))
        _telling.add(task)
        task.add_done_callback(_telling.discard)

    async def hello(params: Any, progress: Progress) -> Any:
        _hosts.append(ToolHost(**params, on_change=changed))

    async def tools(params: Any, progress: Progress) -> Any:
        return await _hosts[0].tools()

    async def call(params: Any, progress: Progress) -> Any:
        async def ask(question: dict[str, Any]) -> Any:
            return await peer.call("ask", {"call": params["call"], **question})

        try:
            return await _hosts[0].call(
                params["name"],
                params["arguments"],
                timeout=params["timeout"],
                on_progress=progress,
                ask=ask,
                meta=params["meta"],
                pin=params["pin"],
            )
        except ToolFault as fault:
            raise Fault(fault.code, fault.message, unknown=fault.unknown) from None

    async def log_in(server: Any, progress: Progress) -> Any:
        try:
            await _hosts[0].log_in(server, progress)
        except ToolFault as fault:
            raise Fault(fault.code, f"{server}: {fault.message}") from None

    async def look(method: str, params: Any, progress: Progress) -> Any:
        try:
            return await getattr(_hosts[0], method)(**(params or {}))
        except ToolFault as fault:
            raise Fault(fault.code, fault.message) from None

    looks = ("resources", "read_resource", "prompts", "get_prompt")
    return {
        "start": hello,
        "tools": tools,
        "call": call,
        "log_in": log_in,
        **{method: partial(look, method) for method in looks},
    }


async def _close() -> None:
    for host in _hosts:
        await host.aclose()


if __name__ == "__main__":
    serve(_start, _close)
