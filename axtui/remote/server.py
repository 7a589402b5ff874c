"""Serves a controller over gRPC."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from axtui import rpc
from axtui.host import Host
from axtui.local import LocalClient
from axtui.remote import messages as msg
from axtui.remote.ax.services import AX_SERVICES, ax_services
from axtui.remote.door import knock
from axtui.remote.service import Context, Controller
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import LeaseHeld
from axtui.v1 import service_pb2 as sv

GRACE_SECONDS = 0.5
# A run that is paused takes up to 1.3 of them.
GIVE_WAY_SECONDS = 10.0
OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", msg.MAX_MESSAGE),
    ("grpc.max_send_message_length", msg.MAX_MESSAGE),
    ("grpc.so_reuseport", 0),
    # Who is cut off without a word is noticed, and lets go of what was kept for him.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class Serving(NamedTuple):
    """A process that serves: where, and why some runs can't go on, by conversation."""

    host: Host
    addresses: list[str]
    failed: dict[str, Exception]


class Server:
    """Serves from `start` to `stop`."""

    def __init__(self, client: LocalClient) -> None:
        assert client.host is not None
        self._health = HealthServicer()
        self._service = Controller(client, client.host, _principal)
        self._server = grpc.aio.server(options=OPTIONS)
        described = sv.DESCRIPTOR.services_by_name["Controller"]
        self._server.add_generic_rpc_handlers(
            (rpc.service(described, self._service, self._service.guarded),)
        )
        self._server.add_generic_rpc_handlers(
            ax_services(lambda context: client.acting(_principal(context)))
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (described.full_name, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection(
            [*names, *AX_SERVICES, reflection.SERVICE_NAME], self._server
        )
        self._names = ("", "AX", described.full_name)

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Listen; gives back the addresses, with the ports that were chosen for 0. Raises
        Refused for one that can't be had."""
        bound = [self._bind(address) for address in addresses]
        await self._server.start()
        for name in self._names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return bound

    async def stop(self) -> None:
        """End the streams, and after a moment what else is under way."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(GRACE_SECONDS)

    def idle_seconds(self) -> float:
        """For how long nobody has asked for anything."""
        return self._service.idle_seconds()

    def _bind(self, address: str) -> str:
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            why = str(error).partition("; ")[0]
            raise Refused("usage", f"can't listen on {address}: {why}") from None
        host, colon, _ = address.rpartition(":")
        return address if address.startswith("unix:") else f"{host}{colon}{port}"


@asynccontextmanager
async def serving(config: Config, addresses: Sequence[str]) -> AsyncIterator[Serving]:
    """Hold the lease, drive every run that should be running, and serve. Raises LeaseHeld, or
    Refused for an address that can't be had."""
    client = LocalClient(config, serve)
    try:
        host = await _held(client)
        server = Server(client)
        bound = await server.start(addresses)
        try:
            failed = await host.controller.drive_all(getpass.getuser())
            yield Serving(host, bound, failed)
        finally:
            await server.stop()
    finally:
        await client.close()


async def _held(client: LocalClient) -> Host:
    """The lease, which a process in the background lets go of for this."""
    asked = False
    end = time.monotonic() + GIVE_WAY_SECONDS
    while True:
        try:
            return await client.hold()
        except LeaseHeld:
            log = client.config.log_path
            if not asked and not (await knock(log, "give way") or {}).get("gives_way"):
                raise
            asked = True
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)


async def serve(client: LocalClient, address: str) -> Server:
    """Serve the client's controller to the other processes of this machine."""
    server = Server(client)
    await server.start([address])
    return server


def _principal(context: Context) -> str:
    if str(context.peer()).startswith("unix:"):
        return getpass.getuser()
    return "anonymous"
