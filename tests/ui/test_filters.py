"""What a filter lets through, found backwards while the log grows."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from axtui.client import Client
from axtui.model.events import Draft, Record
from axtui.ui.filters import Filter, Matches, parse_filter
from axtui.ui.log_view import LogView
from axtui.v1 import event_pb2 as pb

from .logs import ID, Shelf, one_run, records_of
from .test_log_view import Seen, following, taken


def fitting(text: str, records: list[Record]) -> list[int]:
    wanted = parse_filter(text)
    return [record.seq for record in records if wanted.matches(record)]


def test_what_is_typed() -> None:
    assert parse_filter("") == Filter()
    found = parse_filter("kind:Tool  actor:A actor:b step:2/1 Words more:than")
    assert found == Filter(("tool",), ("a", "b"), ("2/1",), ("words", "more:than"))


def test_what_fits() -> None:
    records = records_of(
        [
            *one_run(10),
            Draft(pb.Note(text="Überall ist ES laut"), "", "Ärger"),
            Draft(pb.Note(text="tool"), "", "coder"),
        ]
    )
    assert fitting("", records) == [record.seq for record in records]
    assert fitting("kind:run.", records) == [1, 24]
    assert fitting("kind:tool", records) == [3, 7, 11, 15, 19], "a step of that type"
    assert fitting("step:2", records) == [5, 6]
    assert fitting("step:2 step:4 kind:completed", records) == [6, 10]
    assert fitting("über es", records) == [25]
    assert fitting("ärger", records) == [25]
    assert fitting("coder", records) == [26]
    assert fitting("actor:cod", records) == []
    assert fitting("BROKE", records) == [22]


def test_damaged_bytes_fit_nothing_and_do_no_harm() -> None:
    odd = Record(1, "step.completed", b"\xff\xff", b"\xff\xffwords")
    assert fitting("actor:x", [odd]) == []
    assert fitting("step:1", [odd]) == []
    assert fitting("words kind:step", [odd]) == [1]


@settings(max_examples=60, deadline=None)
@given(
    text=some.sampled_from(
        ["", "kind:failed", "kind:tool", "actor:b", "step:3", "work1", "nothing", "kind:model n"]
    ),
    runs=some.lists(some.tuples(some.integers(0, 25), some.sampled_from("ab")), min_size=1),
    news=some.lists(some.tuples(some.integers(0, 8), some.integers(1, 3)), max_size=8),
    portion=some.integers(1, 60),
)
def test_backwards_while_it_grows_is_forwards(
    text: str, runs: list[tuple[int, str]], news: list[tuple[int, int]], portion: int
) -> None:
    async def scenario() -> None:
        shelf = Shelf(records_of(draft for steps, actor in runs for draft in one_run(steps, actor)))
        shelf.portion = lambda limit: min(limit, portion)
        tickets = asyncio.Semaphore(0)
        shelf.gate = tickets.acquire
        seen = Seen(shelf, len(shelf.records))
        grown: list[int] = []
        async with following(seen):
            matches = Matches(seen.view, parse_filter(text), grown.append)
            scan = asyncio.ensure_future(matches.scan())
            for steps, answers in news:
                shelf.append(one_run(steps, "b"))
                await taken(shelf, seen)
                for _ in range(answers):
                    tickets.release()
                await asyncio.sleep(0)
            shelf.gate = None
            for _ in range(10_000):
                tickets.release()
            await scan
            expected = fitting(text, shelf.records)
            assert [matches[index] for index in range(len(matches))] == expected
            assert sum(grown) + len(matches._newer) == len(expected)
            assert [matches.index(seq) for seq in expected] == list(range(len(expected)))
            matches.close()
            shelf.append(one_run(1))
            await taken(shelf, seen)
            assert len(matches) == len(expected)

    asyncio.run(scenario())


async def test_a_scan_ends_where_it_cannot_go_on() -> None:
    shelf = Shelf(records_of(one_run(1000)))
    shelf.damaged = {700}
    view = LogView(cast(Client, shelf), ID, len(shelf.records), lambda *_: None, lambda _: None)
    grown: list[Any] = []
    matches = Matches(view, parse_filter("kind:failed"), grown.append)
    await matches.scan()
    assert "damaged" in str(matches.problem)
    assert matches.left >= 700
    assert len(matches) > 0


async def test_what_was_found_first_needs_no_second_look() -> None:
    shelf = Shelf(records_of(one_run(1000)))
    view = LogView(cast(Client, shelf), ID, len(shelf.records), lambda *_: None, lambda _: None)
    matches = Matches(view, parse_filter("kind:failed"), lambda _: None)
    await matches.scan()
    calls = shelf.calls["read"]
    assert view.record(matches[len(matches) - 1], single=True) is not None
    assert shelf.calls["read"] == calls
    with pytest.raises(IndexError):
        matches[len(matches)]
