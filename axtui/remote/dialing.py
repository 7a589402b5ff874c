"""How a controller elsewhere is reached."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import grpc.aio

from axtui import rpc  # noqa: F401  (it keeps gRPC quiet)
from axtui.remote import messages as msg
from axtui.remote.addresses import server_address
from axtui.remote.background import Background, start_background
from axtui.remote.credentials import ANONYMOUS, Credentials, channel_credentials
from axtui.remote.diagnosis import diagnose
from axtui.remote.door import knock, socket_path
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused, Unreachable
from axtui.runtime.eventlog.base import LogError
from axtui.runtime.eventlog.lease import holder

OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", msg.MAX_MESSAGE),
    ("grpc.max_send_message_length", msg.MAX_MESSAGE),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Without this an unanswered ping takes a minute to be one.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Trying again is the client's business, which knows what it has already got.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Also how long a connection may take to be made.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.dns_ares_query_timeout", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]
_START_SECONDS = 15.0
_POLL_SECONDS = 0.05


class Elsewhere:
    """A server at an address that somebody has named."""

    was_there = False
    metadata: tuple[tuple[str, str], ...] = ()
    configuration = b""
    folder = ""

    def __init__(self, address: str, credentials: Credentials = ANONYMOUS) -> None:
        self.name = address
        self._address = server_address(address)
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None
        token = credentials.token
        in_the_clear = not self._address.tls and not self._address.is_local
        if token and in_the_clear and not credentials.insecure:
            raise Refused(
                "usage",
                f"the token would be sent to {address} in the clear",
                f"use https://{self._address.target}; or --insecure, whoever reads along",
            )
        if token:
            self.metadata = (("authorization", f"Bearer {token}"),)

    async def dial(self) -> grpc.aio.Channel:
        """The channel; it connects when it is used. Raises Refused for files of TLS that can't be
        used."""
        if self._channel is None:
            target, options = self._address.target, [*OPTIONS]
            if self._address.is_local:
                options.append(("grpc.enable_http_proxy", 0))
            if self._address.tls:
                tls = channel_credentials(self._credentials)
                self._channel = grpc.aio.secure_channel(target, tls, options)
            else:
                self._channel = grpc.aio.insecure_channel(target, options)
        return self._channel

    async def why(self) -> Unreachable | None:
        """Why it can't be reached, from what is at the address now; None if that looks well."""
        cause = await diagnose(self._address, self._credentials)
        return cause and Unreachable(*cause)

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()


class Neighbour:
    """Whatever process writes a log of this machine. If it is gone, one in the background is
    started in its place."""

    was_there = True
    metadata: tuple[tuple[str, str], ...] = ()

    def __init__(self, config: Config) -> None:
        self._config = config
        self._channel: grpc.aio.Channel | None = None
        self.name = f"the process that writes {config.log_path}"
        self.configuration = msg.digest(config)
        self.folder = os.getcwd()

    async def dial(self) -> grpc.aio.Channel:
        """The channel, once somebody serves. Raises Unreachable if nobody can be had."""
        address = await self._address()
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(address, OPTIONS)
        return self._channel

    async def why(self) -> Unreachable | None:
        """Nothing that its socket would tell."""
        return None

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()

    async def _address(self) -> str:
        log = self._config.log_path
        try:
            socket_path(log)
        except LogError as error:
            # Whoever it is has no door either.
            raise Unreachable(str(error), error.hint) from None
        end = time.monotonic() + _START_SECONDS
        started: Background | None = None
        while time.monotonic() < end:
            match await knock(log, "serve"):
                case {"address": str(address)}:
                    # The same for all processes that come to write this log.
                    return address
                case {"why": str(why)}:
                    raise Unreachable(f"{self.name} serves nobody: {why}")
            if holder(log)[0]:
                pass
            elif started is None:
                started = start_background(self._config)
            elif failure := started.failure():
                what, *hint = failure
                raise Unreachable(
                    f"no process in the background can write {log}: {what}", "\n".join(hint)
                )
            await asyncio.sleep(_POLL_SECONDS)
        raise Unreachable(f"{self.name} doesn't answer")
