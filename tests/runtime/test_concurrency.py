"""Agents that do several things at once: a replay decides every race as it was decided."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as hs

from axtui.agent import Agent, Context, agent
from axtui.runtime import replay
from axtui.runtime.config import Policy
from axtui.runtime.registry import Registered
from tests.runtime.actors.agents_for_tests import (
    as_they_come,
    fails_in_a_group,
    first_wins,
    gathers,
    grouped,
    many,
    nested_gathers,
    program,
    queued,
    races_questions,
    speaks_abreast,
    tasks_in_tasks,
    work,
)
from tests.runtime.conftest import (
    ID,
    Calls,
    CrashEverywhere,
    MakeWorld,
    Placed,
    World,
    drive_to_end,
    in_process,
)

RACES = [
    gathers,
    as_they_come,
    grouped,
    first_wins,
    nested_gathers,
    tasks_in_tasks,
    queued,
    fails_in_a_group,
    speaks_abreast,
]


@pytest.mark.parametrize("racer", RACES, ids=lambda racer: racer.id)
async def test_an_agent_that_does_several_things_at_once_survives_a_crash_at_any_event(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere, placed: Placed, racer: Agent
) -> None:
    world = make_world(placed(racer))
    # What isn't decided in the log yet may be decided in another way.
    assert await crash_everywhere(world, placed(racer), calls=Calls(world), same=False)


@pytest.mark.parametrize("racer", RACES, ids=lambda racer: racer.id)
async def test_a_finished_race_is_decided_as_it_was(
    make_world: MakeWorld, placed: Placed, racer: Agent
) -> None:
    world = make_world(placed(racer))
    output = await world.run(racer)
    count = len(await world.records())
    again = await world.copy(count - (2 if isinstance(output, str) else 1))
    Calls(world).clear()
    await again.resume()
    assert await again.output() == output
    assert not Calls(world)


async def test_questions_that_lose_a_race_are_closed(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere, placed: Placed
) -> None:
    racer = placed(races_questions)
    world = make_world(racer)
    await crash_everywhere(world, racer, calls=Calls(world), same=False)
    answered = await world.events(kind="approval.answered")
    assert [event["data"].get("rule", "") for event in answered][-1] in ("", "abandoned")


async def test_a_loser_that_takes_long_to_clean_up_is_waited_for_at_replay_too(
    make_world: MakeWorld,
) -> None:
    """What happened while it cleaned up happened before it was gone, and does again."""
    cleaning, cleaned = asyncio.Event(), asyncio.Event()

    async def cleans_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await cleaned.wait()

    async def meanwhile() -> str:
        await cleaning.wait()
        return "meanwhile"

    @agent
    async def canceler(ctx: Context) -> list[str]:
        seen: list[str] = []

        async def other() -> None:
            seen.append(await ctx.step(meanwhile))
            cleaned.set()

        task = asyncio.create_task(ctx.step(cleans_up))
        beside = asyncio.create_task(other())
        await ctx.step(work, "x")
        task.cancel()
        await asyncio.wait({task})
        seen.append(await ctx.step(work, f"saw {len(seen)}"))
        await beside
        return seen

    world = make_world(canceler)
    output = await world.run(canceler)
    assert output == ["meanwhile", "saw 1"]
    again = await world.copy(len(await world.records()) - 1)
    await again.resume()
    assert await again.output() == output


async def test_a_blob_takes_no_longer_to_arrive_than_a_word(make_world: MakeWorld) -> None:
    async def big() -> str:
        return "x" * 100_000

    @agent
    async def racer(ctx: Context) -> list[int]:
        order: list[int] = []

        async def branch(function: Any) -> None:
            order.append(len(await ctx.step(function)))

        async def small() -> str:
            return "y"

        await asyncio.gather(branch(big), branch(small), branch(big), branch(small))
        await ctx.step(work, str(order))
        return order

    world = make_world(racer)
    output = await world.run(racer)
    again = await world.copy(len(await world.records()) - 1)
    await again.resume()
    assert await again.output() == output


async def test_an_answer_and_an_outcome_of_one_moment_keep_their_order(
    make_world: MakeWorld,
) -> None:
    ready: asyncio.Event

    async def waits() -> str:
        await ready.wait()
        return "step"

    @agent
    async def both(ctx: Context) -> list[str]:
        order: list[str] = []

        async def asks() -> None:
            order.append(await ctx.ask("Well?"))

        async def steps() -> None:
            order.append(await ctx.step(waits))

        await asyncio.gather(asks(), steps())
        await ctx.step(work, str(order))
        return order

    for answer_first in (True, False):
        ready = asyncio.Event()
        world = make_world(both)
        await world.start(both)
        await world.until(lambda state: state.questions and state.open_steps)
        await world.settled()
        if answer_first:
            waiting = asyncio.create_task(world.answer("ask"))
            await asyncio.sleep(0)
            ready.set()
            await waiting
        else:
            ready.set()
            await world.answer("ask")
        output = await world.output()
        again = await world.copy(len(await world.records()) - 1)
        await again.resume()
        assert await again.output() == output


async def test_more_than_a_hundred_steps_and_questions_abreast(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(many))
    await world.start(many)
    state = await drive_to_end(world, lambda question: "yes")
    assert state.run.state == "completed"
    assert (await world.events())[-1]["data"]["output"] == [100, 300]


# Programs that nobody thought of


leaves = hs.sampled_from([("step", ()), ("step", ()), ("say", ())])
trees = hs.recursive(
    leaves,
    lambda inner: hs.tuples(
        hs.sampled_from(["sequence", "gather", "race"]), hs.lists(inner, min_size=1, max_size=4)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("placed", "examples"),
    [
        pytest.param(program, 15, id="inline"),
        pytest.param(in_process(program), 2, id="process"),
        pytest.param(
            *(in_process(program), 15),
            id="process-long",
            marks=[pytest.mark.long, pytest.mark.timeout(600)],
        ),
    ],
)
def test_any_agent_takes_the_same_course_again_after_a_crash_anywhere(
    placed: Registered, examples: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        tree=hs.tuples(hs.sampled_from(["gather", "race"]), hs.lists(trees, min_size=2, max_size=4))
    )
    def check(tree: Any) -> None:
        asyncio.run(_check_program(placed, tmp_path_factory.mktemp("program"), tree))

    check()


async def _check_program(placed: Registered, folder: Path, tree: Any) -> None:
    world = World(folder, [placed], Policy())
    try:
        await world.start("program", config=tree, on_interrupted="retry")
        output = await world.output()
        length = len(await world.records())
        await _replays(world, length - 1, output)
        chance = random.Random(length)
        for place in sorted({chance.randrange(2, length) for _ in range(4)}):
            copy = await world.copy(place)
            await copy.resume()
            output = await copy.output()
            await copy.check()
            await _replays(copy, len(await copy.records()) - 1, output)
    finally:
        await world.close()


async def _replays(world: World, events: int, output: Any) -> None:
    """Run again on what the log says; nothing is left to be decided in another way."""
    again = await world.copy(events)
    await again.resume()
    assert await again.output() == output
    assert (await again.kinds())[events:] == ["run.resumed", "run.completed"]


async def test_an_agent_that_waits_for_what_never_comes_again_is_told(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "STUCK_SECONDS", 0.5)

    def branches(count: int) -> Callable[[Context], Any]:
        async def body(ctx: Context) -> list[str]:
            return await asyncio.gather(*(ctx.step(work, str(n)) for n in range(count)))

        return body

    world = make_world(agent(id="shrinks")(branches(3)))
    await world.run("shrinks")
    copy = await world.copy(8, agents=[agent(id="shrinks")(branches(2))])
    await copy.resume()
    error = await copy.error()
    assert error.code == "diverged"
    assert "diverged at step ~3/1: recorded function 'work', asked for" in error.message
    assert f"{ID}:" in error.message
