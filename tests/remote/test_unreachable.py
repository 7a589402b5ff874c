"""Servers that can't be reached: the error names the cause, soon."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import grpc
import grpc.aio
import pytest

from axtui.remote import client as remote_client
from axtui.remote.client import RemoteClient
from axtui.remote.credentials import Credentials
from axtui.remote.dialing import Elsewhere
from axtui.runtime.config import ServerTls
from axtui.runtime.errors import Unreachable
from axtui.v1 import service_pb2 as sv

from .authority import Authority
from .harness import CONTROLLER, Serve

# Everything is told within a few seconds; a busy machine gets some more.
MOST_SECONDS = 20.0
Talk: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def told(address: str, **credentials: str) -> Unreachable:
    """What is said of a server that can't be reached."""
    client = RemoteClient(Elsewhere(address, Credentials(**credentials)))  # type: ignore[arg-type]
    began = time.monotonic()
    try:
        with pytest.raises(Unreachable) as caught:
            await client.conversations()
    finally:
        await client.close()
    assert time.monotonic() - began < MOST_SECONDS
    assert "\n" not in str(caught.value)
    return caught.value


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A port at which something else is spoken."""
    talking: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            await talk(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            talking.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for task in [*talking]:
            task.cancel()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.org ESMTP\r\n")
    await writer.drain()
    await reader.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_nothing_listens() -> None:
    port = free_port()
    error = await told(f"127.0.0.1:{port}")
    assert str(error) == f"nothing listens at 127.0.0.1:{port}"
    assert "axtui serve" in error.hint
    assert str(await told(f"https://localhost:{port}")) == f"nothing listens at localhost:{port}"


async def test_a_machine_that_nobody_knows() -> None:
    error = await told("nobody.invalid:1")
    assert str(error) == "nobody knows a machine 'nobody.invalid'"


async def test_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert str(await told(f"unix:{path}")) == f"there is no socket {path}"
    path.touch()
    assert str(await told(f"unix:{path}")) == f"{path} is no socket"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert str(await told(f"unix:{path}")) == f"nobody listens at {path} any more"


@pytest.mark.parametrize(
    ("talk", "said"),
    [
        (silent, "takes connections, but says nothing"),
        (rude, "speaks no gRPC"),
        (web, "is a web server, and speaks no gRPC"),
        (chatty, "speaks no gRPC"),
    ],
)
async def test_another_kind_of_server(talk: Talk, said: str) -> None:
    async with listening(talk) as address:
        assert said in str(await told(address))


@pytest.mark.parametrize(
    ("talk", "said"),
    [
        (silent, "nothing answers at"),
        (rude, "speaks no TLS"),
        (web, "speaks no TLS"),
        (chatty, "speaks no TLS"),
    ],
)
async def test_another_kind_of_server_that_tls_is_spoken_to(talk: Talk, said: str) -> None:
    async with listening(talk) as address:
        assert said in str(await told(f"https://{address}"))


async def test_a_web_server_behind_tls(authority: Authority) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.pair())
    async with listening(web, context) as address:
        assert "is a web server" in str(await told(f"https://{address}", ca=authority.ca))


async def test_tls_on_one_side_alone(served: Serve, authority: Authority) -> None:
    server = await served(tls=ServerTls(*authority.pair()))
    error = await told(server.address)
    assert str(error) == f"{server.address} speaks TLS"
    assert f"https://{server.address}" in error.hint


async def test_tls_on_the_other_side_alone(served: Serve) -> None:
    server = await served()
    error = await told(f"https://{server.address}")
    assert str(error) == f"{server.address} speaks no TLS"
    assert error.hint == f"write {server.address} without https://"


class TestCertificatesThatDontVerify:
    async def test_somebody_else_has_signed_it(self, served: Serve, authority: Authority) -> None:
        server = await served(tls=ServerTls(*authority.pair()))
        error = await told(f"https://{server.address}")
        assert f"nobody we know has signed the certificate of {server.address}" in str(error)
        assert "--ca" in error.hint

    async def test_it_is_of_another_name(self, served: Serve, authority: Authority) -> None:
        server = await served(tls=ServerTls(*authority.pair("far.example", addresses=())))
        for host in ("127.0.0.1", "localhost"):
            address = f"https://{host}:{server.address.rpartition(':')[2]}"
            error = await told(address, ca=authority.ca)
            assert f"is for another name than {host!r}" in str(error)

    async def test_it_has_expired(self, served: Serve, authority: Authority) -> None:
        server = await served(tls=ServerTls(*authority.pair(days=0)))
        error = await told(f"https://{server.address}", ca=authority.ca)
        assert str(error) == f"the certificate of {server.address} has expired"


class TestServersOfAnotherAge:
    async def test_a_grpc_server_of_something_else(self) -> None:
        async with _grpc_server() as address:
            error = await told(address)
            assert str(error) == f"{address} speaks gRPC, but is no server of axtui"

    async def test_one_that_doesn_t_know_what_is_asked(self) -> None:
        async def get_server(request: sv.GetServerRequest, context: object) -> sv.Server:
            return sv.Server(version="0.0.7")

        method = grpc.unary_unary_rpc_method_handler(
            get_server,
            request_deserializer=sv.GetServerRequest.FromString,
            response_serializer=sv.Server.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(CONTROLLER.full_name, {"GetServer": method})
        async with _grpc_server(handler) as address:
            error = await told(address)
            assert str(error) == f"{address} is a server of axtui 0.0.7, which can't do this"

    async def test_one_that_speaks_another_version(
        self, served: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = await served()
        monkeypatch.setattr(remote_client.msg, "API", "2")
        elsewhere = Elsewhere(server.address, Credentials())
        client = RemoteClient(elsewhere)
        monkeypatch.setattr(remote_client.msg, "API", "1")
        with pytest.raises(Unreachable, match="the client speaks version '2' of the protocol"):
            await client.conversations()
        await client.close()


@asynccontextmanager
async def _grpc_server(*handlers: grpc.GenericRpcHandler) -> AsyncIterator[str]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)
