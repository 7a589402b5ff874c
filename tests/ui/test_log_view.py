"""Any event of a log, wherever it comes from, and in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from axtui.client import Client, Delta
from axtui.model.events import Draft, Record
from axtui.ui import log_view
from axtui.ui.log_view import PAGE, LogView
from axtui.v1 import event_pb2 as pb
from tests.remote.harness import Serve
from tests.runtime.eventlog.drafts import notes, started, write

from .logs import ID, Shelf, one_run, records_of


async def waited(condition: Callable[[], Any]) -> None:
    """Until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


class Seen:
    """A view of a shelf, and what it has said."""

    def __init__(self, shelf: Any, head: int, name: str = ID) -> None:
        self.arrived: list[tuple[int, int]] = []
        self.failed: list[Exception] = []
        self.view = LogView(
            cast(Client, shelf),
            name,
            head,
            lambda first, last: self.arrived.append((first, last)),
            self.failed.append,
        )

    async def get(self, seq: int, **options: bool) -> Record:
        """An event as a list gets it: asked for again whenever something has arrived."""
        await waited(lambda: self.view.record(seq, **options))
        record = self.view.record(seq, **options)
        assert record is not None
        return record

    async def quiet(self) -> None:
        """Until it fetches nothing."""
        await waited(lambda: self.view._fetching is None or self.view._fetching.done())


@contextlib.asynccontextmanager
async def following(seen: Seen) -> AsyncIterator[None]:
    """While it follows the log."""
    task = asyncio.ensure_future(seen.view.follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await seen.view.close()


async def taken(shelf: Shelf, seen: Seen) -> None:
    """Until all that is there was taken."""
    await waited(lambda: shelf.told and seen.view.head >= shelf.records[-1].seq)


async def test_events_come_by_pages_and_once() -> None:
    shelf = Shelf(records_of(notes(2000)))
    seen = Seen(shelf, 2000)
    assert seen.view.record(0) is None
    assert seen.view.record(2001) is None
    assert seen.view.record(700) is None
    assert await seen.get(700) == shelf.records[699]
    await seen.quiet()
    calls = shelf.calls["read"]
    assert calls == 3, "the page, and the two beside it"
    for seq in range(PAGE + 1, 4 * PAGE + 1):
        assert seen.view.record(seq) == shelf.records[seq - 1]
    assert shelf.calls["read"] == calls
    assert await seen.view.fetch(2000) == shelf.records[-1]
    assert await seen.view.fetch(2001) is None


async def test_a_page_that_comes_in_portions_is_put_together() -> None:
    shelf = Shelf(records_of(notes(600)))
    shelf.portion = lambda limit: 7
    seen = Seen(shelf, 600)
    assert await seen.get(600) == shelf.records[599]
    assert await seen.get(256) == shelf.records[255]


async def test_what_was_scrolled_past_is_not_fetched() -> None:
    shelf = Shelf(records_of(notes(100 * PAGE)))
    seen = Seen(shelf, 100 * PAGE)
    for page in range(100):
        seen.view.record(page * PAGE + 1)
    await seen.quiet()
    assert shelf.calls["read"] <= 3 * log_view._MAX_WANTED_PAGES
    assert seen.view.record(99 * PAGE + 1) is not None


async def test_memory_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_view, "MAX_BYTES", 400_000)
    shelf = Shelf(records_of(notes(40 * PAGE)))
    seen = Seen(shelf, 40 * PAGE)
    for page in range(0, 40, 2):
        assert await seen.get(page * PAGE + 3) == shelf.records[page * PAGE + 2]
    await seen.quiet()
    kept = [record for page in seen.view._pages.values() for record in page]
    assert sum(map(log_view._size, kept)) == seen.view._bytes <= 400_000
    assert len(seen.view._pages) >= log_view._MIN_PAGES
    for seq in range(1, 4000, 2):
        seen.view.keep(shelf.records[seq - 1])
    assert len(seen.view._single) <= log_view._MAX_SINGLE
    assert await seen.get(5, single=True) == shelf.records[4]


async def test_what_cannot_be_read_is_told_and_not_asked_for_again() -> None:
    shelf = Shelf(records_of(notes(600)))
    shelf.damaged = {300}
    seen = Seen(shelf, 600)
    seen.view.record(300)
    await seen.quiet()
    assert [str(error) for error in seen.failed] == ["an event of conversation c is damaged"]
    assert seen.view.is_broken(300)
    calls = shelf.calls["read"]
    assert seen.view.record(301) is None
    assert shelf.calls["read"] == calls
    assert await seen.get(1) == shelf.records[0]
    assert await seen.get(301, single=True) == shelf.records[300]
    assert len(seen.failed) == 1


async def test_a_stream_ends_with_its_step() -> None:
    shelf = Shelf(records_of(one_run(3)[:-2]))
    seen = Seen(shelf, len(shelf.records))

    def step(kind: Any, **fields: Any) -> Draft:
        return Draft(kind(key="9", attempt=1, **fields), "run", "counter")

    delta = Delta(ID, "run", "counter", "9", 1, "text", 0, "hello")
    async with following(seen):
        shelf.append([step(pb.StepStarted, type="model", name="m")], delta)
        await taken(shelf, seen)
        assert seen.view.streams["9"].channels == {"text": "hello"}
        # What it put out last comes with its outcome.
        shelf.append([step(pb.StepCompleted)], delta)
        await taken(shelf, seen)
        assert not seen.view.streams


@settings(max_examples=60, deadline=None)
@given(
    start=some.integers(1, 700),
    actions=some.lists(
        some.one_of(
            some.tuples(some.just("append"), some.integers(1, 300)),
            some.tuples(some.just("look"), some.floats(0, 1)),
            some.tuples(some.just("answer"), some.integers(1, 4)),
        ),
        max_size=25,
    ),
    portion=some.integers(1, 300),
)
def test_pages_and_news_in_any_order_give_the_log(
    start: int, actions: list[tuple[str, Any]], portion: int
) -> None:
    """Answers come late, short and between new events; what is shown is always the log."""

    async def scenario() -> None:
        shelf = Shelf(records_of(notes(start)))
        shelf.portion = lambda limit: min(limit, portion)
        tickets = asyncio.Semaphore(0)
        shelf.gate = tickets.acquire
        seen = Seen(shelf, start)
        async with following(seen):
            for what, amount in actions:
                if what == "append":
                    shelf.append(notes(amount, "more"))
                    await taken(shelf, seen)
                elif what == "look":
                    seq = 1 + int(amount * (seen.view.head - 1))
                    record = seen.view.record(seq)
                    assert record in (None, shelf.records[seq - 1])
                else:
                    for _ in range(amount):
                        tickets.release()
                    for _ in range(5):
                        await asyncio.sleep(0)
            shelf.gate = None
            for _ in range(1000):
                tickets.release()
            for seq in range(1, seen.view.head + 1, 13):
                assert await seen.get(seq) == shelf.records[seq - 1]
            assert await seen.get(seen.view.head) == shelf.records[-1]

    asyncio.run(scenario())


async def test_a_server_gives_the_same(served: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the wire, where a page has a limit in bytes."""
    server = await served()
    client = server.client()
    writer = server.local.host
    assert writer is not None
    log = writer.controller.log
    big = "x" * 30_000
    await write(log, ID, started(), *notes(700, big))
    seen = Seen(client, 701)
    async with following(seen):
        await write(log, ID, *notes(3))
        assert (await seen.get(701)).seq == 701
        assert (await seen.get(1)).kind == "run.started"
        await waited(lambda: seen.view.head == 704)
        assert (await seen.get(704)).event().note.text == "note 3"
    assert not seen.failed


async def test_a_conversation_that_is_purged_is_told(served: Serve) -> None:
    server = await served()
    assert server.local.host is not None
    log = server.local.host.controller.log
    await write(log, ID, started(), *notes(600), Draft(pb.RunCanceled()))
    client = server.client()
    seen = Seen(client, 602)
    await client.purge(ID)
    assert seen.view.record(1) is None
    await seen.quiet()
    assert "no conversation" in str(seen.failed[0])
    with pytest.raises(Exception, match="no conversation"):
        await seen.view.follow()
