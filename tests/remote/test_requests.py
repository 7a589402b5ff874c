"""What is asked for over a network that breaks is done, and done once."""

from __future__ import annotations

import asyncio

import pytest

from axtui.remote import client as remote_client
from axtui.remote.client import RemoteClient
from axtui.remote.dialing import Elsewhere
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused, Unreachable

from .conftest import Server
from .proxy import Proxy


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch, quick_pings: None) -> None:
    monkeypatch.setattr(Elsewhere, "was_there", True)
    monkeypatch.setattr(remote_client, "_LONGEST_DELAY", 0.2)


@pytest.mark.parametrize(
    "conversations", [3, pytest.param(10, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_it_is_done_once(server: Server, conversations: int) -> None:
    direct = RemoteClient(Elsewhere(server.address))
    async with Proxy(server.port, 5, 0.02) as proxy:
        client = RemoteClient(Elsewhere(f"127.0.0.1:{proxy.port}"))

        async def several(number: int) -> None:
            name = f"c{number}"
            await client.start(name, "x", "emitter", RunOptions([10**6, 1.0]))
            await client.pause(name, "to see")
            await client.resume(name, RunOptions())
            assert await client.fork(name, 2, f"f{number}", None) == f"f{number}"
            await client.cancel(name, "seen")
            await client.delete(name, "seen")
            await client.purge(name)

        await asyncio.gather(*(several(number) for number in range(conversations)))
        assert proxy.broken > 2
        await client.close()
    names = {listed.summary.id for listed in await direct.conversations()}
    assert names == {f"f{number}" for number in range(conversations)}
    purged = [r.event().conversation_purged for r in await direct.read("$control")]
    assert len([p for p in purged if p.conversation_id]) == conversations
    # run.started, what was said, and where it was forked from.
    assert [len(await direct.read(name)) for name in sorted(names)] == [3] * conversations
    await direct.close()


async def test_each_change_is_in_the_log_once(server: Server) -> None:
    direct = RemoteClient(Elsewhere(server.address))
    async with Proxy(server.port, 6, 0.05) as proxy:
        client = RemoteClient(Elsewhere(f"127.0.0.1:{proxy.port}"))
        await client.start("c", "x", "emitter", RunOptions([10**6, 1.0]))
        for _ in range(20):
            await client.pause("c", "")
            await client.tell("c", "hello")
            await client.resume("c", RunOptions())
        await client.cancel("c", "")
        await client.close()
    records = await direct.read("c")
    assert len([record for record in records if record.event().message.to]) == 20
    events = [record.kind for record in records]
    counted = {kind: events.count(kind) for kind in ("run.started", "run.paused", "run.resumed")}
    assert counted == {"run.started": 1, "run.paused": 20, "run.resumed": 20}
    assert events.count("run.canceled") == 1
    await direct.close()


async def test_events_are_read_from_either_end(server: Server) -> None:
    client = RemoteClient(Elsewhere(server.address))
    await client.start("c", "x", "emitter", RunOptions([20, 0.0]))
    async for page in client.watch("c", 0):
        if any(getattr(item, "kind", "") == "run.completed" for item in page):
            break
    everything = await client.read("c")
    assert [r.seq for r in everything] == list(range(1, len(everything) + 1))
    assert await client.read("c", newest_first=True, limit=3) == everything[:-4:-1]
    assert await client.read("c", after=2, before=5) == everything[2:4]
    assert await client.read("c", before=3, newest_first=True) == everything[1::-1]
    assert await client.read("c", before=1) == []
    await client.close()


async def test_what_is_refused_is_refused_at_once(server: Server) -> None:
    client = RemoteClient(Elsewhere(server.address))
    with pytest.raises(Refused, match="there is no agent 'nobody'"):
        await client.start("c", "x", "nobody", RunOptions())
    with pytest.raises(Refused, match="isn't valid Unicode"):
        await client.start("c", "\udcff", "echo", RunOptions())
    await client.close()


async def test_a_server_that_was_never_there(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Elsewhere, "was_there", False)
    server.kill()
    client = RemoteClient(Elsewhere(server.address))
    with pytest.raises(Unreachable, match=server.address):
        await client.conversations()
    await client.close()
