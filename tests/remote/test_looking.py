"""Who looks from elsewhere sees what is seen here."""

from __future__ import annotations

import pytest

from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import UnknownConversation

from .harness import Serve


async def test_lists_of_what_has_changed_and_of_what_is_hidden(served: Serve) -> None:
    server = await served()
    client = server.client()
    for name in ("a", "b", "c"):
        await client.start(name, "hello", "echo", RunOptions())
        async for _ in client.watch(name, 0):
            if not (await client.resolve(name)).open:
                break
    await client.delete("c", "")
    found = {listed.summary.id: listed for listed in await client.conversations(deleted=True)}
    assert list(found) == ["c", "b", "a"]
    assert [bool(listed.summary.deleted_us) for listed in found.values()] == [True, False, False]
    for wanted in (
        {},
        {"since_us": found["b"].updated_us},
        {"since_us": found["b"].updated_us, "deleted": True},
        {"since_us": found["c"].updated_us + 1, "deleted": True},
    ):
        assert await client.conversations(**wanted) == await server.local.conversations(**wanted)
    names = [
        listed.summary.id
        for listed in await client.conversations(since_us=found["b"].updated_us, deleted=True)
    ]
    assert names == ["c", "b"]


@pytest.mark.parametrize("since_us", [-1, 2**63 - 1])
async def test_of_no_time_that_has_been(served: Serve, since_us: int) -> None:
    server = await served()
    assert await server.client().conversations(since_us=since_us) == []


async def test_search_finds_what_is_found_there(served: Serve) -> None:
    server = await served()
    client = server.client()
    for name in ("a", "b"):
        await client.start(name, f"hello 世界 {name}", "echo", RunOptions())
        async for _ in client.watch(name, 0):
            if not (await client.resolve(name)).open:
                break
    for text, options in (
        ("hello", {}),
        ("世界", {"limit": 1}),
        ("hel*", {"conversation_id": "a"}),
        ("nowhere", {}),
    ):
        hits = await client.search(text, **options)
        assert hits == await server.local.search(text, **options)
        assert bool(hits) == (text != "nowhere")
    with pytest.raises(Refused, match="no word"):
        await client.search("-")
    with pytest.raises(UnknownConversation):
        await client.search("hello", conversation_id="none")
    with pytest.raises(Refused, match="isn't valid Unicode"):
        await client.search("\udcff")


async def test_who_may_look_may_search(served: Serve) -> None:
    server = await served()
    viewer = server.client(await server.token("viewer"))
    assert await viewer.search("hello") == []
