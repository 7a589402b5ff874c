"""Whoever watches gets every event, each once and in order, whatever the network does."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest

from axtui import rpc
from axtui.model.events import Record
from axtui.remote import client as remote_client
from axtui.remote import messages as msg
from axtui.remote.client import RemoteClient
from axtui.remote.dialing import Elsewhere
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Unreachable
from axtui.v1 import service_pb2 as sv

from .conftest import Server
from .proxy import Proxy


async def watched(address: str, name: str, after: int) -> list[Record]:
    """Everything after `after` up to the end of the run."""
    client = RemoteClient(Elsewhere(address))
    found: list[Record] = []
    try:
        async with aclosing(client.watch(name, after)) as pages:
            async for page in pages:
                found += [item for item in page if isinstance(item, Record)]
                if found and found[-1].kind == "run.completed":
                    return found
    finally:
        await client.close()
    raise AssertionError("it ended before the run")


async def the_log(client: RemoteClient, name: str) -> list[Record]:
    found: list[Record] = []
    while page := await client.read(name, after=len(found)):
        found += page
    return found


async def through_a_bad_network(
    server: Server, runs: int, watchers: int, messages: int, trouble: float, seed: int
) -> int:
    chance = random.Random(seed)
    direct = RemoteClient(Elsewhere(server.address))
    names = [f"run{number}" for number in range(runs)]
    async with Proxy(server.port, seed, trouble) as proxy:
        for name in names:
            options = RunOptions([messages, 0.01])
            await direct.start(name, "", "emitter", options)
        # A connection has to be there once before it may be lost.
        tasks = []
        for number in range(watchers):
            after = chance.choice([0, 0, 1, 2])
            watching = watched(f"127.0.0.1:{proxy.port}", names[number % runs], after)
            tasks.append((names[number % runs], after, asyncio.create_task(watching)))
        logs = {}
        for name, after, task in tasks:
            found = await task
            logs[name] = logs.get(name) or await the_log(direct, name)
            assert found == logs[name][after:]
            assert [record.seq for record in found] == list(range(after + 1, messages + 4))
    await direct.close()
    return proxy.broken


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch, quick_pings: None) -> None:
    # The proxy may break the very first connection.
    monkeypatch.setattr(Elsewhere, "was_there", True)
    monkeypatch.setattr(remote_client, "_LONGEST_DELAY", 1.0)


async def test_nothing_is_missing_and_nothing_doubled(server: Server) -> None:
    broken = await through_a_bad_network(
        server, runs=4, watchers=12, messages=300, trouble=0.4, seed=1
    )
    assert broken > 20
    assert server.errors.read_text() == ""


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_nor_with_many_for_long(server: Server) -> None:
    broken = await through_a_bad_network(
        server, runs=50, watchers=200, messages=18_000, trouble=10, seed=2
    )
    print(f"{broken} connections were broken")
    assert broken > 200
    assert server.errors.read_text() == ""


async def test_a_server_that_is_killed_and_comes_back(server: Server) -> None:
    client = RemoteClient(Elsewhere(server.address))
    await client.start("c", "", "emitter", RunOptions([200, 0.01]))
    watching = [asyncio.create_task(watched(server.address, "c", 0)) for _ in range(3)]
    async with aclosing(client.watch("c", 0)) as pages:
        async for page in pages:
            if page and page[-1].seq > 50:  # type: ignore[union-attr]
                break
    server.kill()
    asking = asyncio.create_task(client.state("c"))
    while not client.connection:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    server.start()
    await asking
    assert not client.connection
    for task in watching:
        found = await task
        assert [record.seq for record in found] == list(range(1, len(found) + 1))
    assert found == await the_log(client, "c")
    lost, back = client.take_warning(), client.take_warning()
    assert lost is not None
    assert back is not None
    assert (lost.code, back.code) == ("connection", "connection")
    assert server.address in lost.text
    await client.close()


async def test_a_command_says_that_the_connection_is_lost_and_there_again(server: Server) -> None:
    client = RemoteClient(Elsewhere(server.address))
    await client.start("c", "", "emitter", RunOptions([1, 0.0]))
    await client.close()
    line = [sys.executable, "-m", "axtui", "events", "c", "--follow", "--server", server.address]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*line, stdout=pipe, stderr=pipe)
    assert process.stdout
    assert process.stderr
    await process.stdout.readline()
    server.kill()
    assert b"axtui: warning: the connection is lost" in await process.stderr.readline()
    server.start()
    assert b"is there again" in await process.stderr.readline()
    process.terminate()
    await process.communicate()


async def test_patience_begins_with_the_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it, a run may have had nothing to say for longer than that."""
    now = 0.0
    monkeypatch.setattr(remote_client, "time", SimpleNamespace(monotonic=lambda: now))
    client = RemoteClient(Elsewhere("localhost:1"))
    client._was_there = True
    tries = remote_client._Tries(client)
    gone = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), None, "gone")
    now = 2 * remote_client.PATIENCE_SECONDS
    assert await tries.delay(gone) > 0
    now += remote_client.PATIENCE_SECONDS
    assert await tries.delay(gone) > 0
    now += 1
    with pytest.raises(Unreachable):
        await tries.delay(gone)
    await client.close()


async def test_one_who_reads_slowly_gets_all_of_it_and_slows_nobody(server: Server) -> None:
    client = RemoteClient(Elsewhere(server.address))
    await client.start("c", "", "emitter", RunOptions([3000, 0.0]))
    slow: list[Record] = []
    async with aclosing(client.watch("c", 0)) as pages:
        async for page in pages:
            slow += [item for item in page if isinstance(item, Record)]
            if slow and slow[-1].kind == "run.completed":
                break
            if len(slow) < 1000:
                fast = await watched(server.address, "c", 0)
                assert len(fast) == 3003
                await asyncio.sleep(0)
    assert slow == await the_log(client, "c")
    await client.close()


async def to_the_end(pages: Any) -> None:
    """Read what is left, if only the page that says that these were all events."""
    while await pages.read() is not grpc.aio.EOF:
        pass


async def test_a_server_that_shuts_down_says_where_to_go_on(server: Server) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        client = RemoteClient(Elsewhere(server.address))
        await client.start("c", "x", "echo", RunOptions())
        stub = rpc.Stub(channel, sv.DESCRIPTOR.services_by_name["Controller"])
        pages = stub.watch(sv.WatchRequest(conversation_id="c"), metadata=(("axtui-api", msg.API),))
        seen = 0
        while seen < 4:
            seen += len(msg.records_of(await pages.read()))
        assert server.stop() == 0
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await to_the_end(pages)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert error.value.details() == "the server shuts down; it goes on after event 4"
        await client.close()


async def test_many_who_come_at_the_same_moment(server: Server) -> None:
    client = RemoteClient(Elsewhere(server.address))
    await client.start("c", "", "emitter", RunOptions([400, 0.001]))
    for found in await asyncio.gather(*(watched(server.address, "c", 0) for _ in range(20))):
        assert [record.seq for record in found] == list(range(1, 404))
    await client.close()
