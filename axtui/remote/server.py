"""Serves a controller over gRPC."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
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
from axtui.remote.access import Access
from axtui.remote.addresses import Address, bind_error, listen_address
from axtui.remote.ax.services import AX_SERVICES, ax_services
from axtui.remote.certificates import Certificates
from axtui.remote.door import knock
from axtui.remote.gate import Gate, caller
from axtui.remote.limits import Limits
from axtui.remote.service import Controller
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import LeaseHeld
from axtui.v1 import service_pb2 as sv

GRACE_SECONDS = 0.5
# A run that is paused takes up to 1.3 of them.
GIVE_WAY_SECONDS = 10.0
OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_send_message_length", msg.MAX_MESSAGE),
    ("grpc.so_reuseport", 0),
    # Who is cut off without a word is noticed, and lets go of what was kept for him.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    # Who connects and then says nothing is soon forgotten.
    ("grpc.server_handshake_timeout_ms", 10_000),
)


class Serving(NamedTuple):
    """A process that serves: where, why some runs can't go on, by conversation, and what there is
    to be warned of."""

    host: Host
    addresses: list[str]
    failed: dict[str, Exception]
    warnings: list[str]


class Server:
    """Serves from `start` to `stop`, the neighbours alone unless it is `public`. With `insecure` it
    lets in whoever comes."""

    def __init__(
        self, client: LocalClient, *, public: bool = False, insecure: bool = False
    ) -> None:
        assert client.host is not None
        self._client = client
        self._controller = client.host.controller
        self._config = client.config
        self._insecure = insecure
        self._tls = self._config.server_tls if public else None
        self._certificates = Certificates(self._tls) if self._tls else None
        settings = self._config.server.limits
        self._limits = Limits(settings, self._controller.driving) if public else None
        self._health = HealthServicer()
        self._service = Controller(client, client.host, self._client_for)
        access = Access(self._controller.tokens, self._tls, getpass.getuser(), open=insecure)
        self._server = grpc.aio.server(
            interceptors=[Gate(access, self._limits, settings.message)],
            options=[
                *OPTIONS,
                # Beyond that nothing is read; up to it, the gate can say what the limit is.
                ("grpc.max_receive_message_length", 2 * settings.message),
                ("grpc.max_concurrent_streams", 2 * settings.calls),
            ],
        )
        described = sv.DESCRIPTOR.services_by_name["Controller"]
        self._server.add_generic_rpc_handlers(
            (rpc.service(described, self._service, self._service.guarded),)
        )
        self._server.add_generic_rpc_handlers(ax_services(lambda context: self._client_for("")))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (described.full_name, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection(
            [*names, *AX_SERVICES, reflection.SERVICE_NAME], self._server
        )
        self._names = ("", "AX", described.full_name)

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Listen; gives back the addresses, with the ports that were chosen for 0. Raises
        Refused for one that can't be had."""
        await self._controller.tokens.load()
        bound = [self._bind(address) for address in map(listen_address, addresses)]
        await self._server.start()
        for name in self._names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return bound

    async def stop(self) -> None:
        """End the streams, and after a moment what else is under way."""
        await self._health.enter_graceful_shutdown()
        self._service.drain()
        await self._server.stop(GRACE_SECONDS)

    def idle_seconds(self) -> float:
        """For how long nobody has asked for anything."""
        return self._service.idle_seconds()

    def warnings(self, addresses: Sequence[str]) -> list[str]:
        """What whoever started the server should know of where it listens."""
        return [
            f"{address}: {danger}"
            for address in addresses
            if (danger := self._danger(listen_address(address)))
        ]

    # Below

    def _client_for(self, request_id: str) -> LocalClient:
        """The client that acts for whoever makes the call that is being served."""
        who = caller()
        admitting = partial(self._limits.run, who.client) if self._limits else None
        return self._client.acting(who.name, request_id, admitting)

    def _danger(self, address: Address) -> str:
        """What is wrong with listening there; empty if nothing is."""
        if address.is_local:
            return ""
        known = self._controller.tokens or (self._tls and self._tls.client_ca)
        if not known:
            return "whoever reaches it may do everything, run commands included"
        return "" if self._tls else "all is sent in the clear, tokens included"

    def _bind(self, address: Address) -> str:
        danger = self._danger(address)
        if danger and not self._insecure:
            raise Refused(
                "usage",
                f"listening on {address.target} takes TLS, and tokens or client certificates",
                "see server.tls and `axtui token create`; or --insecure, whatever comes of it",
            )
        try:
            if address.path:
                return self._bind_socket(address)
            if self._certificates is None:
                port = self._server.add_insecure_port(address.target)
            else:
                port = self._server.add_secure_port(
                    address.target, self._certificates.credentials()
                )
        except RuntimeError:
            why = bind_error(address)
            raise Refused("usage", f"can't listen on {address.target}: {why}") from None
        return address._replace(port=port).target

    def _bind_socket(self, address: Address) -> str:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                taken = not probe.connect_ex(address.path)
            except OSError as error:
                # It is too long to be one.
                raise Refused("usage", f"can't listen on {address.target}: {error}") from None
            if taken:
                raise Refused("usage", f"somebody listens on {address.target} already")
        before = os.umask(0o177)
        try:
            self._server.add_insecure_port(address.target)
        finally:
            os.umask(before)
        return address.target


@asynccontextmanager
async def serving(
    config: Config, addresses: Sequence[str], *, insecure: bool
) -> AsyncIterator[Serving]:
    """Hold the lease, drive every run that should be running, and serve. Raises LeaseHeld, or
    Refused for an address that can't be had, or isn't safe and `insecure` isn't wanted."""
    client = LocalClient(config, serve)
    try:
        host = await _held(client)
        host.hands_over = False
        server = Server(client, public=True, insecure=insecure)
        bound = await server.start(addresses)
        try:
            failed = await host.controller.drive_all(getpass.getuser())
            yield Serving(host, bound, failed, server.warnings(bound))
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
