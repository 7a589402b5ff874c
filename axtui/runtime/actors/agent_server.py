"""Serves agents over gRPC to controllers elsewhere: what `Agent.serve` runs.

One process serves any number of calls, of several controllers, side by side in one event loop. Each
is a stream with a `Host` of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import grpc.aio

from axtui.agent import Agent
from axtui.rpc import service
from axtui.runtime.actors.agent_host import Host
from axtui.runtime.actors.agent_stream import ADDRESS_VARIABLE, OPTIONS, VERSIONS, StreamLink
from axtui.runtime.actors.wire import CLOSED, Fault, Handler, Peer, Progress
from axtui.v1 import agent_pb2 as pb

# Calls of agents that are under way at a time.
MAX_CALLS = 1000
# How long steps that are being done may take to end when the server is to.
GRACE_SECONDS = 10.0
_OPTIONS = (
    *OPTIONS,
    # Nobody else listens at the same port and takes half of the calls.
    ("grpc.so_reuseport", 0),
    # Controllers make sure now and then that we are still there.
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
)


# Why a stream is ended from here.
Over: TypeAlias = asyncio.Future[tuple[grpc.StatusCode, str]]


class Served(NamedTuple):
    """A call that is under way, and how to end the stream that it came on."""

    epoch: int
    over: Over


class AgentServer:
    """The service, for these agents."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._agents = {agent.id: agent for agent in agents}
        # By conversation, exec_id and path.
        self._under_way: dict[tuple[str, str, str], Served] = {}
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Give up each call as soon as no step of it is being done here."""
        self._leaving.set()

    async def describe(self, request: pb.DescribeAgentRequest, context: Any) -> Any:
        """What an agent says of itself."""
        version = max({*VERSIONS} & {*request.versions}, default=0)
        if not version:
            spoken, wanted = (", ".join(map(str, them)) for them in (VERSIONS, request.versions))
            why = f"it speaks version {spoken} of the protocol, the controller {wanted or 'none'}"
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, why)
        try:
            agent = self._find(request.agent)
        except Fault as fault:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(fault))
        return pb.DescribeAgentResponse(
            version=version, description=agent.description, timeout=agent.timeout
        )

    async def attach(self, requests: Any, context: Any) -> None:
        """One call of an agent."""
        handlers: dict[str, Handler] = {}
        link = StreamLink(context, pb.FromAgent)
        peer = Peer(link, handlers, lambda peer: None)
        host = Host(peer)
        over: Over = asyncio.get_running_loop().create_future()

        async def run(params: Any, progress: Progress) -> Any:
            host.agent = self._find(params["agent"])
            return await self._run(host, over, params, progress)

        handlers |= {**host.handlers(), "run": run}
        reading = asyncio.create_task(peer.run())
        leaving = asyncio.create_task(self._leave(host, link, over))
        try:
            ends: set[asyncio.Future[Any]] = {reading, over}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not over.done() and reading.result() != CLOSED:
                over.set_result((grpc.StatusCode.INVALID_ARGUMENT, reading.result()))
        finally:
            leaving.cancel()
            peer.close()
            reading.cancel()
        if over.done():
            await context.abort(*over.result())

    async def _run(self, host: Host, over: Over, params: Any, progress: Progress) -> Any:
        if params["version"] not in VERSIONS:
            raise Fault("version", f"version {params['version']} of the protocol isn't spoken here")
        call = params["conversation"], params["exec_id"], params["path"]
        served = Served(params["epoch"], over)
        known = self._under_way.get(call)
        if known is not None:
            if known.epoch >= served.epoch:
                raise Fault("stale", f"this call is under way here, as of epoch {known.epoch}")
            if not known.over.done():
                why = f"the call is made again, as of epoch {served.epoch}"
                known.over.set_result((grpc.StatusCode.ABORTED, why))
        self._under_way[call] = served
        try:
            return await host.run(params, progress)
        finally:
            if self._under_way.get(call) is served:
                del self._under_way[call]

    async def _leave(self, host: Host, link: StreamLink, over: Over) -> None:
        await self._leaving.wait()
        await host.idle.wait()
        await link.drain()
        if not over.done():
            over.set_result((grpc.StatusCode.UNAVAILABLE, "the agent is shutting down"))

    def _find(self, name: str) -> Agent:
        # Who serves one agent needn't know how others call it.
        only = next(iter(self._agents.values())) if len(self._agents) == 1 else None
        agent = self._agents.get(name, only)
        if agent is None:
            known = ", ".join(sorted(self._agents))
            raise Fault("unknown", f"there is no agent {name!r} here; there are {known}")
        return agent


def serve(
    agents: Sequence[Agent], address: str, cert: str | None, key: str | None, client_ca: str | None
) -> None:
    """See `Agent.serve`."""
    credentials = None
    if bool(cert) != bool(key) or (client_ca and not cert):
        # Whoever gives one of them doesn't want to be reached by all.
        raise ValueError("TLS needs both `cert` and `key`; `client_ca` needs them too")
    if handed := os.environ.get(ADDRESS_VARIABLE):
        # Whoever has started us knows where, and is the only one who can get there.
        address = handed
    elif cert and key:
        pair = Path(key).read_bytes(), Path(cert).read_bytes()
        ca = Path(client_ca).read_bytes() if client_ca else None
        credentials = grpc.ssl_server_credentials([pair], ca, require_client_auth=ca is not None)
    asyncio.run(_serve(agents, address, credentials))


async def _serve(
    agents: Sequence[Agent], address: str, credentials: grpc.ServerCredentials | None
) -> None:
    served = AgentServer(agents)
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
    handler = service(pb.DESCRIPTOR.services_by_name["AgentService"], served)
    server.add_generic_rpc_handlers((handler,))
    bound = _bind(server, address, credentials)
    await server.start()
    signals: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, None)
    if address != os.environ.get(ADDRESS_VARIABLE):
        print(f"{', '.join(agent.id for agent in agents)}: served at {bound}", flush=True)
    await signals.get()
    served.leave()
    stopping = asyncio.create_task(server.stop(GRACE_SECONDS))
    # Once more: at once.
    hurried = asyncio.create_task(signals.get())
    await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
    await server.stop(None)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    """Where it listens. Raises OSError."""
    # A socket in the file system is for whoever has started this.
    before = os.umask(0o177)
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"can't listen at {address}: {error}") from None
    finally:
        os.umask(before)
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
