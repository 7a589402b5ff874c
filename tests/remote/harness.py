"""A server of a data directory, and clients of it, over real sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc.aio

from axtui import rpc
from axtui.local import LocalClient
from axtui.model.events import Record
from axtui.model.tokens import new_secret, secret_hash
from axtui.remote import messages as msg
from axtui.remote.client import RemoteClient
from axtui.remote.credentials import Credentials
from axtui.remote.dialing import Elsewhere
from axtui.remote.server import Server, serve
from axtui.runtime.config import Config
from axtui.runtime.eventlog.base import CONTROL_LOG
from axtui.v1 import service_pb2 as sv

CONTROLLER = sv.DESCRIPTOR.services_by_name["Controller"]


class Served:
    """A data directory that is served at an address; `local` writes it from this side."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.local = LocalClient(config, serve)
        self.address = ""
        self.server: Server | None = None
        self._clients: list[RemoteClient] = []
        self._channels: list[grpc.aio.Channel] = []

    async def start(self, address: str = "127.0.0.1:0", **options: Any) -> None:
        """Listen."""
        await self.local.hold()
        self.server = Server(self.local, public=True, **options)
        (self.address,) = await self.server.start([address])

    def client(self, token: str = "", address: str = "", **credentials: Any) -> RemoteClient:
        """A client of it."""
        elsewhere = Elsewhere(address or self.address, Credentials(token, **credentials))
        self._clients.append(RemoteClient(elsewhere))
        return self._clients[-1]

    def stub(self, token: str = "") -> Stub:
        """The bare methods, for requests that our client wouldn't make."""
        self._channels.append(grpc.aio.insecure_channel(self.address))
        return Stub(self._channels[-1], token)

    async def token(self, role: str, name: str = "") -> str:
        """A new token."""
        secret = new_secret()
        await self.local.create_token(name or role, role, secret_hash(secret), 0)
        return secret

    async def records(self, conversation_id: str = CONTROL_LOG) -> list[Record]:
        """The log."""
        return await self.local.read(conversation_id)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        for channel in self._channels:
            await channel.close()
        if self.server is not None:
            await self.server.stop()
        await self.local.close()


class Stub:
    """Calls a method with a message or bytes, as somebody with a token."""

    def __init__(self, channel: grpc.aio.Channel, token: str, api: str = msg.API) -> None:
        self.channel = channel
        self.made = rpc.Stub(channel, CONTROLLER)
        metadata = [("axtui-api", api)]
        if token:
            metadata.append(("authorization", f"Bearer {token}"))
        self.metadata = tuple(metadata)

    async def __call__(self, method: str, request: Any) -> Any:
        return await getattr(self.made, method)(request, metadata=self.metadata)


Serve: TypeAlias = Callable[..., Awaitable[Served]]
