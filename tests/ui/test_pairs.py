"""Steps and their outcomes, questions and their answers, paired while the log is looked through
backwards and grows."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as some

from axtui.client import Client
from axtui.model.events import Draft, Payload, Record
from axtui.ui.filters import Filter, parse_filter
from axtui.ui.log_view import LogView
from axtui.ui.pairs import PAIRED_KINDS, Pairs
from axtui.v1 import event_pb2 as pb

from .logs import ID, Shelf, one_run, records_of
from .test_log_view import Seen, following, taken


def run_of(seed: int, size: int, *, ends: bool = True) -> list[Draft]:
    """A run with steps side by side, retries, questions, refusals, and some never ended."""
    dice = random.Random(seed)
    drafts: list[Payload] = [pb.RunStarted(agent="a")]
    running: list[tuple[str, int]] = []
    asked: list[str] = []
    for number in range(size):
        match dice.randrange(6):
            case 0 | 1:
                running.append((str(number), 1))
                drafts.append(pb.StepStarted(key=str(number), type="tool", name="t", attempt=1))
            case 2 if running:
                key, attempt = running.pop(dice.randrange(len(running)))
                drafts.append(pb.StepCompleted(key=key, attempt=attempt))
            case 3 if running:
                key, attempt = running.pop(dice.randrange(len(running)))
                drafts.append(pb.StepFailed(key=key, attempt=attempt, next="retry"))
                drafts.append(pb.StepStarted(key=key, type="tool", name="t", attempt=attempt + 1))
                running.append((key, attempt + 1))
            case 4:
                if asked and dice.random() < 0.6:
                    drafts.append(pb.ApprovalAnswered(id=asked.pop(), choice="yes"))
                else:
                    asked.append(f"q{number}")
                    drafts.append(pb.ApprovalRequested(id=f"q{number}", question="?"))
            case 5:
                drafts.append(pb.StepFailed(key=f"no{number}", attempt=1, next="end"))
            case _:
                drafts.append(pb.Note(text="n"))
    if ends:
        drafts.append(pb.RunCanceled())
    return [Draft(payload, "x", "a") for payload in drafts]


def paired(records: list[Record], *, paired_only: bool = False) -> list[tuple[int, int]]:
    """The same, forwards and with all of the log at hand."""
    found: dict[int, int] = {}
    open_: dict[Any, int] = {}
    for record in records:
        event = record.event()
        match event.kind:
            case "step.started":
                open_[event.step_started.key, event.step_started.attempt] = event.seq
                found[event.seq] = 0
            case "approval.requested":
                open_[event.approval_requested.id] = event.seq
                found[event.seq] = 0
            case "step.completed":
                key = event.step_completed.key, event.step_completed.attempt
                found[open_.pop(key, event.seq)] = event.seq
            case "step.failed":
                key = event.step_failed.key, event.step_failed.attempt
                found[open_.pop(key, event.seq)] = event.seq
            case "approval.answered":
                found[open_.pop(event.approval_answered.id, event.seq)] = event.seq
            case _:
                if not paired_only:
                    found[event.seq] = event.seq
                if event.kind == "run.canceled":
                    for begun in open_.values():
                        found[begun] = event.seq
                    open_.clear()
    return sorted(found.items())


@settings(max_examples=50, deadline=None, report_multiple_bugs=False)
@given(
    runs=some.lists(
        some.tuples(some.integers(0, 1000), some.integers(0, 40)), min_size=1, max_size=4
    ),
    news=some.lists(some.tuples(some.integers(1, 40), some.integers(0, 3)), max_size=8),
    portion=some.integers(1, 50),
    paired_only=some.booleans(),
)
def test_backwards_while_it_grows_is_forwards(
    runs: list[tuple[int, int]], news: list[tuple[int, int]], portion: int, paired_only: bool
) -> None:
    async def scenario() -> None:
        *before, last = [run_of(seed, size) for seed, size in runs]
        live = [*last, *run_of(len(runs), 30, ends=False)]
        shelf = Shelf(records_of([draft for run in before for draft in run] + live[:1]))
        live = live[1:]
        shelf.portion = lambda limit: min(limit, portion)
        tickets = asyncio.Semaphore(0)
        shelf.gate = tickets.acquire
        seen = Seen(shelf, len(shelf.records))
        grown: list[int] = []
        kinds = PAIRED_KINDS if paired_only else ()
        async with following(seen):
            pairs = Pairs(seen.view, Filter(), grown.append, kinds)
            scan = asyncio.ensure_future(pairs.more(10**6))
            for amount, answers in news:
                part, live = live[:amount], live[amount:]
                if part:
                    shelf.append(part)
                    await taken(shelf, seen)
                for _ in range(answers):
                    tickets.release()
                await asyncio.sleep(0)
            shelf.gate = None
            for _ in range(10_000):
                tickets.release()
            await scan
            found = [pairs[index] for index in range(len(pairs))]
            assert [pair[:2] for pair in found] == paired(shelf.records, paired_only=paired_only)
            for index, pair in enumerate(found):
                assert pair.start_us == shelf.records[pair.seq - 1].event().time_us
                if pair.end:
                    assert pair.end_us == shelf.records[pair.end - 1].event().time_us
                assert pairs.index(pair.seq) == index
            pairs.close()

    asyncio.run(scenario())


async def test_only_as_much_is_read_as_is_wanted() -> None:
    shelf = Shelf(records_of(one_run(20_000)))
    view = LogView(cast(Client, shelf), ID, len(shelf.records), lambda *_: None, lambda _: None)
    pairs = Pairs(view, Filter(), lambda _: None)
    await pairs.more(1000)
    assert shelf.calls["read"] <= 5
    assert 1000 <= len(pairs) < 2000
    assert pairs.left > 30_000


async def test_the_filter_is_about_beginnings() -> None:
    shelf = Shelf(records_of([*one_run(10, "a"), *one_run(10, "b")]))
    view = LogView(cast(Client, shelf), ID, len(shelf.records), lambda *_: None, lambda _: None)
    pairs = Pairs(view, parse_filter("actor:b kind:tool"), lambda _: None)
    await pairs.more(1000)
    rows = [pairs[index] for index in range(len(pairs))]
    assert [row.seq for row in rows] == [27, 31, 35, 39, 43]
    assert [row.end for row in rows] == [28, 32, 36, 40, 44]


async def test_damage_is_told() -> None:
    shelf = Shelf(records_of(one_run(1000)))
    shelf.damaged = {900}
    view = LogView(cast(Client, shelf), ID, len(shelf.records), lambda *_: None, lambda _: None)
    pairs = Pairs(view, Filter(), lambda _: None)
    await pairs.more(10_000)
    assert "damaged" in str(pairs.problem)
    assert len(pairs) > 0
