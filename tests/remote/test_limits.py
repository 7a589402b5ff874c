"""What one client may use of a server, and what all of them may."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc.aio
import pytest

from axtui.remote import limits, server
from axtui.runtime.config import ServerLimits, ServerTls
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from axtui.v1 import service_pb2 as sv

from .authority import Authority
from .harness import Serve, Served, Stub


async def exhausted(stub: Stub, method: str, request: object) -> sv.Problem:
    """Why a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub(method, request)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    told = dict(caught.value.trailing_metadata())["axtui-problem-bin"]
    problem = sv.Problem.FromString(told)
    assert problem.code == "limit"
    return problem


async def watching(stub: Stub, conversation_id: str = "c") -> object:
    """A stream that is open and has begun."""
    request = sv.WatchRequest(conversation_id=conversation_id)
    call = stub.made.watch(request, metadata=stub.metadata)
    await call.read()
    return call


class TestCalls:
    async def test_of_one_client(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(calls=2))
        await server.local.start("c", "", "asker", RunOptions())
        ann = server.stub(await server.token("viewer", "ann"))
        bob = server.stub(await server.token("viewer", "bob"))
        open_ = [await watching(ann), await watching(ann)]
        problem = await exhausted(ann, "list", sv.ListRequest())
        assert problem.message == "too much: 2 calls of token ann are under way"
        assert problem.hint == "the server's limit is server.limits.calls"
        await bob("list", sv.ListRequest())
        open_[0].cancel()  # type: ignore[attr-defined]
        await _until_served(ann)

    async def test_who_stops_watching_has_none_under_way(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(calls=20))
        await server.local.start("c", "", "asker", RunOptions())
        client = server.client(await server.token("viewer", "ann"))
        for _ in range(60):
            async for _page in client.watch("c", 0):
                break
        await client.close()

    async def test_of_all(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(all_calls=2))
        await server.local.start("c", "", "asker", RunOptions())
        stubs = [server.stub(await server.token("viewer", name)) for name in "abc"]
        open_ = [await watching(stub) for stub in stubs[:2]]
        problem = await exhausted(stubs[2], "list", sv.ListRequest())
        assert problem.hint == "the server's limit is server.limits.all_calls"
        del open_


async def _until_served(stub: Stub) -> None:
    """The end of a call takes a moment to arrive."""
    async with asyncio.timeout(30):
        while True:
            try:
                await stub("list", sv.ListRequest())
                return
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.01)


class TestRequests:
    async def test_in_a_second(self, served: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0
        monkeypatch.setattr(limits, "monotonic", lambda: now)
        server = await served(limits=ServerLimits(requests=3))
        stub = server.stub()
        for _ in range(3):
            await stub("list", sv.ListRequest())
        problem = await exhausted(stub, "list", sv.ListRequest())
        assert problem.message == "too much: more than 3 requests of 127.0.0.1 in a second"
        assert problem.hint == "the server's limit is server.limits.requests"
        now = 0.4
        await stub("list", sv.ListRequest())
        await exhausted(stub, "list", sv.ListRequest())

    async def test_of_all(self, served: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "monotonic", lambda: 0.0)
        server = await served(limits=ServerLimits(all_requests=2))
        stubs = [server.stub(await server.token("viewer", name)) for name in "abc"]
        for stub in stubs[:2]:
            await stub("list", sv.ListRequest())
        problem = await exhausted(stubs[2], "list", sv.ListRequest())
        assert problem.hint == "the server's limit is server.limits.all_requests"


class TestRuns:
    async def test_of_one_client(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(runs=2))
        ann = server.client(await server.token("operator", "ann"))
        bob = server.client(await server.token("operator", "bob"))
        for name in ("a", "b"):
            await ann.start(name, "", "asker", RunOptions())
        with pytest.raises(Refused, match="2 runs of token ann are in flight") as caught:
            await ann.start("c", "", "asker", RunOptions())
        assert caught.value.code == "limit"
        assert await ann.find("c") is None
        await bob.start("d", "", "asker", RunOptions())
        await ann.cancel("a", "")
        await ann.start("c", "", "asker", RunOptions())

    async def test_that_are_resumed_count_too(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(runs=1))
        client = server.client()
        await client.start("a", "", "asker", RunOptions())
        await client.pause("a", "")
        await client.start("b", "", "asker", RunOptions())
        with pytest.raises(Refused, match="1 runs of"):
            await client.resume("a", RunOptions())
        # What is in flight is no more because of it.
        await client.resume("b", RunOptions())

    async def test_that_are_started_at_the_same_time(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(all_runs=3))
        client = server.client()
        outcomes = await asyncio.gather(
            *(client.start(f"c{n}", "", "asker", RunOptions()) for n in range(10)),
            return_exceptions=True,
        )
        refused = [found for found in outcomes if isinstance(found, Refused)]
        assert (len(outcomes) - len(refused), {error.code for error in refused}) == (3, {"limit"})
        assert len(await client.conversations()) == 3

    async def test_that_were_refused_leave_no_folder(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(runs=1))
        client = server.client()
        await client.start("a", "", "asker", RunOptions())
        for name, agent in (("b", "asker"), ("b c", "echo"), ("..", "nobody")):
            with pytest.raises(Refused):
                await client.start(name, "", agent, RunOptions())
        assert _folders(server) == ["a"]


def _folders(server: Served) -> list[str]:
    work = Path(str(server.config.environment.workspace))
    return sorted(found.name for found in work.iterdir())


class TestMessages:
    async def test_that_are_too_long(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(message=10_000))
        stub = server.stub()
        request = sv.StartRequest(conversation_id="c", input="x" * 10_000, agent="echo")
        problem = await exhausted(stub, "start", request)
        assert problem.message.startswith("a message has at most 10,000 bytes, not 10,")
        assert problem.hint == "the server's limit is server.limits.message"

    async def test_that_are_far_too_long(self, served: Serve) -> None:
        server = await served(limits=ServerLimits(message=10_000))
        client = server.client()
        with pytest.raises(Refused, match="larger than max") as caught:
            await client.start("c", "x" * 100_000, "echo", RunOptions())
        assert caught.value.code == "limit"
        await client.start("c", "x" * 1000, "echo", RunOptions())

    async def test_that_stop_in_the_middle(
        self, served: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("axtui.remote.gate.REQUEST_SECONDS", 0.1)
        server = await served()
        stub = server.stub()
        call = stub.channel.stream_unary("/axtui.v1.Controller/List")(metadata=stub.metadata)
        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "hasn't come in time" in str(await call.details())


class TestConnections:
    async def test_many_that_say_nothing_are_in_nobodys_way(
        self, served: Serve, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = [(name, value) for name, value in server.OPTIONS if "handshake" not in name]
        options.append(("grpc.server_handshake_timeout_ms", 500))
        monkeypatch.setattr(server, "OPTIONS", options)
        made = await served(tls=ServerTls(*authority.pair()))
        port = int(made.address.rpartition(":")[2])
        address = f"https://localhost:{port}"
        with _connections(port, 200) as sockets:
            assert await made.client(address=address, ca=authority.ca).conversations() == []
            # And they are sent away.
            await asyncio.to_thread(_sent_away, sockets)

    async def test_that_trickle(self, served: Serve, authority: Authority) -> None:
        made = await served(tls=ServerTls(*authority.pair()))
        port = int(made.address.rpartition(":")[2])
        context = ssl.create_default_context(cafile=authority.ca)
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(("localhost", port)) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as trickle,
        ):
            trickle.sendall(b"PRI * HTTP")
            client = made.client(address=f"https://localhost:{port}", ca=authority.ca)
            assert await client.conversations() == []


@contextmanager
def _connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    sockets = [socket.create_connection(("localhost", port)) for _ in range(count)]
    yield sockets
    for found in sockets:
        found.close()


def _sent_away(sockets: list[socket.socket]) -> None:
    end = time.monotonic() + 60
    for found in sockets:
        found.settimeout(max(0.1, end - time.monotonic()))
        with suppress(ConnectionResetError):
            assert found.recv(1) == b""
