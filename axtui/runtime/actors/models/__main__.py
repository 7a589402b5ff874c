"""The process that asks the providers of models."""

from __future__ import annotations

import os
from typing import Any

from axtui.runtime.actors.models.faults import ModelFault
from axtui.runtime.actors.models.host import ModelHost
from axtui.runtime.actors.wire import Fault, Handler, Peer, Progress, serve
from axtui.runtime.config import ModelProvider, Models

_hosts: list[ModelHost] = []


def _start(peer: Peer) -> dict[str, Handler]:
    return {"start": _hello, "complete": _complete}


async def _hello(settings: Any, progress: Progress) -> Any:
    providers = {name: ModelProvider(**made) for name, made in settings["providers"].items()}
    _hosts.append(ModelHost(Models(settings["default"], providers), os.environ))


async def _complete(request: Any, progress: Progress) -> Any:
    try:
        return await _hosts[0].complete(
            request, lambda channel, text: progress({"channel": channel, "text": text})
        )
    except ModelFault as fault:
        raise Fault(
            fault.code, str(fault), retryable=fault.retryable, retry_after=fault.retry_after
        ) from None


async def _close() -> None:
    for host in _hosts:
        await host.aclose()


if __name__ == "__main__":
    serve(_start, _close)
