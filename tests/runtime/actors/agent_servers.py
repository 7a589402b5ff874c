"""Processes that serve agents, to be killed and started again, and servers that are no good."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio

import axtui
from axtui.rpc import service
from axtui.v1 import agent_pb2 as pb
from tests.runtime.conftest import serving

ROOT = Path(axtui.__file__).parents[1]
SERVICE = pb.DESCRIPTOR.services_by_name["AgentService"]


class AgentProcess:
    """Serves the agents of some modules at an address that stays the same."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self.address = "localhost:0"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, again perhaps."""
        command = serving(*self._modules, address=self.address)
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().rpartition(" ")[2].strip()

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGKILL) -> int:
        """End it with a signal (0: none), and wait for that; its status."""
        if self._process is None:
            return 0
        with self._process as process:
            process.send_signal(number)
            return process.wait(60)


class Agent:
    """A service of agents that says `description`, and does with a stream what `course` does."""

    def __init__(
        self,
        course: Callable[[Any], Awaitable[None]],
        description: pb.DescribeAgentResponse | None = None,
    ) -> None:
        self._course = course
        self._description = description or pb.DescribeAgentResponse(version=1)

    async def describe(self, request: pb.DescribeAgentRequest, context: Any) -> Any:
        return self._description

    async def attach(self, requests: Any, stream: Any) -> None:
        await self._course(stream)


@asynccontextmanager
async def at(agent: object) -> AsyncIterator[str]:
    """Where a service of agents is to be had."""
    # Without the probe what is on its way, and never read, has a limit.
    server = grpc.aio.server(options=(("grpc.http2.bdp_probe", 0),))
    server.add_generic_rpc_handlers((service(SERVICE, agent),))
    port = server.add_insecure_port("localhost:0")
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(None)
