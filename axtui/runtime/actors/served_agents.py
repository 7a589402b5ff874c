"""Agents that are served over gRPC: at an address, or by a command that is run for a while.

A call of the agent is a stream. One that can't be reached is tried again for some time, longer once
it has been there, then the fault says `unreachable`; one that is there, but isn't what is wanted,
gets no second chance.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio

from axtui.rpc import Stub
from axtui.runtime.actors import supervisor
from axtui.runtime.actors.agent_processes import ignore
from axtui.runtime.actors.agent_stream import (
    ADDRESS_VARIABLE,
    OPTIONS,
    VERSIONS,
    StreamLink,
    cause,
)
from axtui.runtime.actors.supervisor import Actor, Crashes, Spec
from axtui.runtime.actors.wire import Fault, Handler, Peer
from axtui.runtime.config import Agent, Tls
from axtui.v1 import agent_pb2 as pb

# An agent that was there comes back: it is started anew, or its host is.
RETURN_SECONDS = 60.0
ANSWER_SECONDS = 5.0
MAX_DESCRIPTION = 10_000
_FIRST_DELAY = 0.05
_MAX_DELAY = 2.0
_GRACE_SECONDS = 0.5
# The input of a guard is how it notices our end, and nobody else's.
_WITHOUT_INPUT = ("sh", "-c", 'exec "$@" < /dev/null', "sh")
_NOT_NOW = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_RECONNECT = (
    # Trying again is up to us, each time from the start.
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
# What can't be read is told as such; gRPC would print a traceback beside.
logging.getLogger("grpc._common").addFilter(lambda record: False)


class ServedAgent:
    """One such agent of one run: a `Home` of it."""

    def __init__(
        self,
        agent: Agent,
        handlers: Mapping[str, Handler],
        redact: Callable[[str], str],
        on_gone: Callable[[Peer], None],
        patience: float,
    ) -> None:
        self._agent = agent
        self._handlers = handlers
        self._redact = redact
        self._on_gone = on_gone
        self._why = ""
        self._is_lost = False
        self._losses = Crashes()
        self._patience = patience
        self._info: Any = None
        self._open: set[Peer] = set()
        self._channel: grpc.aio.Channel | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._actor = None
        if agent.command:
            spec = Spec(agent.id, "agent", (*_WITHOUT_INPUT, *agent.command), grace=_GRACE_SECONDS)
            self._actor = Actor(spec, ignore, {}, redact, greet=self._greet)

    @property
    def pid(self) -> int:
        """Of the command."""
        return self._actor.pid if self._actor else 0

    @property
    def why(self) -> str:
        """Why it was lost: by the end of the command, else what gRPC says."""
        return (self._actor.why if self._actor else "") or self._why

    @property
    def stderr(self) -> str:
        """The last of what the command wrote."""
        return self._actor.stderr if self._actor else ""

    async def ready(self) -> Any:
        """Have it there; gives back what it says of itself. Raises Fault."""
        if self._losses.too_many:
            code = "failed" if self._actor else "unreachable"
            why = f"lost {supervisor.MAX_CRASHES} times in a row, the last time by: {self._why}"
            raise Fault(code, f"agent {self._agent.id!r} was {why}")
        await self._losses.wait()
        if self._actor:
            self._have_address(self._actor)
            return await self._actor.ready()
        if self._info is None:
            self._info = await self._reached(time.monotonic() + self._patience)
            self._patience = RETURN_SECONDS
        return self._info

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Peer]:
        """A stream for one call. Raises Fault."""
        async with AsyncExitStack() as stack:
            await self.ready()
            if self._actor:
                await stack.enter_async_context(self._actor.use())
            stream = self._stub().attach()
            peer = Peer(StreamLink(stream, pb.ToAgent), self._handlers, self._ended)
            self._open.add(peer)
            reading = asyncio.create_task(peer.run())
            try:
                yield peer
            finally:
                self._open.discard(peer)
                peer.close()
                stream.cancel()
                reading.cancel()
                await asyncio.wait({reading})

    async def stop(self, why: str = "shutdown") -> None:
        """Hang up, and end the command."""
        self._info = None
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()
        if self._actor:
            if self._is_lost:
                await self._actor.ending(_GRACE_SECONDS)
                if self._actor.pid:
                    # It lives, and so the actor has no crash to count.
                    self._losses.add()
            await self._actor.stop(self._why if self._is_lost else why)
        self._is_lost = False
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    def _ended(self, peer: Peer) -> None:
        # Who has returned may hang up.
        if peer in self._open and peer.waits:
            self._why = self._redact(peer.gone)
            self._is_lost = True
            if self._info is not None:
                # The other calls that are under way there are lost by the same.
                self._info = None
                self._losses.add()
            self._on_gone(peer)

    def _have_address(self, actor: Actor) -> None:
        if self._folder is None:
            # Nobody else can reach what is in there.
            self._folder = tempfile.TemporaryDirectory(prefix="axtui-")
            # It is the user's own program.
            env = {**os.environ, ADDRESS_VARIABLE: self._address}
            actor.spec = replace(actor.spec, env=env)

    @property
    def _address(self) -> str:
        return f"unix:{self._folder.name}/agent" if self._folder else self._agent.address

    def _stub(self) -> Stub:
        if self._channel is None:
            self._channel = channel(self._address, self._agent.tls)
        return Stub(self._channel, pb.DESCRIPTOR.services_by_name["AgentService"])

    async def _greet(self, peer: Peer) -> Any:
        return await self._reached(math.inf, peer)

    async def _reached(self, until: float, process: Peer | None = None) -> Any:
        """What it says of itself, as soon as it says something. Gives up when the time is over, or
        the process."""
        delay = _FIRST_DELAY
        while True:
            try:
                return await self._described()
            except grpc.aio.AioRpcError as error:
                why = self._redact(cause(error))
                if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                    why = f"it doesn't serve agents as axtui calls them ({why})"
                if process and process.gone:
                    raise Fault("gone", process.gone) from None
                if error.code() not in _NOT_NOW or time.monotonic() + delay > until:
                    raise self._unreachable(why) from None
            except OSError as error:
                raise self._unreachable(f"{error.filename}: {error.strerror}") from None
            await asyncio.sleep(delay)
            delay = min(2 * delay, _MAX_DELAY)

    async def _described(self) -> Any:
        request = pb.DescribeAgentRequest(versions=VERSIONS, agent=self._agent.id)
        reply = await self._stub().describe(request, timeout=ANSWER_SECONDS)
        if reply.version not in VERSIONS:
            spoken = ", ".join(map(str, VERSIONS))
            raise self._unreachable(
                f"it speaks version {reply.version} of the protocol, and this axtui {spoken}"
            )
        timeout = reply.timeout if reply.HasField("timeout") else None
        return {"description": reply.description[:MAX_DESCRIPTION], "timeout": timeout}

    def _unreachable(self, why: str) -> Fault:
        self._why = why
        where = f"at {self._agent.address}" if self._agent.address else "of its command"
        return Fault("unreachable", f"agent {self._agent.id!r} {where} can't be reached: {why}")


def channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    """A connection to be. Raises OSError for a certificate that can't be read."""
    options: list[tuple[str, Any]] = [*OPTIONS, *_RECONNECT]
    if address.startswith("unix:"):
        # Else it is the path of the socket, which some servers take no call with.
        options.append(("grpc.default_authority", "localhost"))
    if tls is None:
        return grpc.aio.insecure_channel(address, tuple(options))
    credentials = grpc.ssl_channel_credentials(_read(tls.ca), _read(tls.key), _read(tls.cert))
    return grpc.aio.secure_channel(address, credentials, tuple(options))


def _read(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
