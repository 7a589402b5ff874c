"""What an agent sees is the same each time it is run again, and edits of it are noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from axtui.agent import Agent, Context, agent
from axtui.runtime import replay
from axtui.runtime.registry import Registered
from tests.runtime.actors import agents_for_tests as agents
from tests.runtime.actors.agents_for_tests import work
from tests.runtime.conftest import (
    ID,
    Calls,
    CrashEverywhere,
    MakeWorld,
    Placed,
    World,
    in_process,
)

Version = Callable[[Agent], Registered]


@pytest.fixture(params=["inline", "process"])
def version(request: pytest.FixtureRequest) -> Version:
    """Makes an agent of a module a version of the agent `edited`."""
    if request.param == "process":
        return lambda agent: in_process(agent, "edited")
    return lambda agent: replace(agent, id="edited")


async def test_clock_and_chance_are_the_same_at_replay(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(agents.looks), placed(agents.sub))
    await world.start("looks")
    await world.waiting()
    await world.answer("yes")
    output = await world.output()
    again = await world.copy(len(await world.records()) - 1)
    await again.resume()
    assert await again.output() == output
    assert len({moment for moment, *_ in output}) > 6


async def test_chance_differs_between_runs_and_branches(make_world: MakeWorld) -> None:
    @agent
    async def rolls(ctx: Context) -> list[float]:
        async def branch() -> float:
            return ctx.random().random()

        return [ctx.random().random(), *await asyncio.gather(branch(), branch())]

    world = make_world(rolls)
    assert len({*await world.run(rolls), *await world.run(rolls)}) == 6


async def test_a_timer_survives_a_restart_and_does_not_begin_anew(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    @agent
    async def sleeps(ctx: Context) -> None:
        await ctx.sleep(3600)

    world = make_world(sleeps)
    await world.start(sleeps)
    await world.until(lambda state: state.open_steps)
    copy = await world.copy()
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3601 * 10**9)
    # An hour later it is over at once; begun anew it would take another.
    await copy.resume()
    await copy.output()
    kinds = [record.kind for record in await copy.records() if record.kind.startswith("step")]
    assert kinds == ["step.started", "step.completed"]


@pytest.mark.parametrize("seconds", [-5, 0, 1e-9])
async def test_a_timer_without_a_wait(make_world: MakeWorld, seconds: float) -> None:
    @agent
    async def sleeps(ctx: Context) -> None:
        await ctx.sleep(seconds)

    await make_world(sleeps).run(sleeps)


async def test_a_timer_of_a_thousand_years_is_one_of_a_hundred(make_world: MakeWorld) -> None:
    @agent
    async def sleeps(ctx: Context) -> None:
        await ctx.sleep(1e300)

    world = make_world(sleeps)
    await world.start(sleeps)
    await world.until(lambda state: state.open_steps)
    await world.controller.cancel(ID, "", "tester")


async def test_messages_are_not_said_twice(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere, placed: Placed
) -> None:
    world = make_world(placed(agents.talks))
    await crash_everywhere(world, placed(agents.talks), calls=Calls(world))
    said = [event["data"] for event in await world.events(kind="message")][1:]
    assert [message.get("internal_only", False) for message in said] == [False, False, True] + [
        False
    ] * 2
    assert said[1]["content"] == [{"thought": "a thought"}]
    assert said[4]["content"] == [{"text": "? lone"}]


# Edits of an agent


async def run_first(make_world: MakeWorld, first: Registered) -> World:
    world = make_world(first)
    await world.run("edited")
    Calls(world).clear()
    return world


async def edit(world: World, edited: Registered, events: int) -> World:
    """The run, crashed after so many events, under an edited agent."""
    copy = await world.copy(events, agents=[edited])
    await copy.resume()
    return copy


async def test_steps_may_be_appended(make_world: MakeWorld, version: Version) -> None:
    world = await run_first(make_world, version(agents.old))
    copy = await edit(world, version(agents.longer), 6)
    assert await copy.output() == ["a", "b", "c"]
    assert len(Calls(world)) == 1


@pytest.mark.parametrize(
    ("edited", "wanted"),
    [
        (agents.changed, "function 'work' with other arguments"),
        (agents.renamed, "function 'renamed'"),
        (agents.asks_instead, "question 'b?'"),
        (agents.ends_early, "the agent's end"),
        (agents.swallows, "function 'work' with other arguments"),
    ],
)
async def test_another_course_than_the_recorded_one_fails_and_says_where_to_fork(
    make_world: MakeWorld, version: Version, edited: Agent, wanted: str
) -> None:
    world = await run_first(make_world, version(agents.old))
    copy = await edit(world, version(edited), 6)
    error = await copy.error()
    assert error.code == "diverged"
    assert error.message == (
        f"diverged at step 2: recorded function 'work', asked for {wanted}; "
        f"the last event that matches is {ID}:4, which can be forked"
    )
    assert not Calls(world)
    await copy.check()
    # And there the mended agent really goes on.
    await copy.controller.fork(ID, 4, "fork", None, "tester")
    await copy.resume("fork")
    if edited is not agents.asks_instead:
        await copy.output("fork")
        assert len(Calls(world)) == (0 if edited is agents.ends_early else 1)
        await copy.check("fork")


async def test_a_recorded_question_that_is_another_one_now(make_world: MakeWorld) -> None:
    @agent(id="edited")
    async def first(ctx: Context) -> str:
        return await ctx.ask("One?")

    @agent(id="edited")
    async def second(ctx: Context) -> str:
        return await ctx.ask("Two?")

    world = make_world(first)
    await world.start("edited")
    await world.waiting()
    copy = await edit(world, second, 3)
    assert "recorded question 'One?', asked for question 'Two?'" in (await copy.error()).message


async def test_a_missing_agent_is_said_before_anything_is_written(make_world: MakeWorld) -> None:
    from axtui.runtime.errors import Refused

    world = await run_first(make_world, replace(agents.old, id="edited"))
    copy = await world.copy(4, agents=[])
    with pytest.raises(Refused, match="there is no agent 'edited'"):
        await copy.resume()
    assert len(await copy.records()) == 4


async def test_an_agent_that_hangs_before_its_first_recorded_step_is_stuck(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, version: Version
) -> None:
    monkeypatch.setattr(replay, "STUCK_SECONDS", 0.5)
    world = await run_first(make_world, version(agents.old))
    copy = await edit(world, version(agents.waits_for_ever), 4)
    assert "asked for nothing there" in (await copy.error()).message


async def test_one_that_computes_for_long_before_it_is_not(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, version: Version
) -> None:
    world = await run_first(make_world, version(agents.old))
    monkeypatch.setattr(replay, "STUCK_SECONDS", 0.2)
    copy = await edit(world, version(agents.computes), 4)
    assert await copy.output() == ["a", "b"]


async def test_what_an_agent_took_long_to_give_up_is_waited_for(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "STUCK_SECONDS", 0.05)

    @agent
    async def patient(ctx: Context) -> str:
        try:
            async with asyncio.timeout(0.15):
                await ctx.ask("Well?")
        except TimeoutError:
            pass
        return await ctx.step(work, "late")

    world = make_world(patient)
    assert await world.run(patient) == "late"
    copy = await world.copy(6)
    await copy.resume()
    assert await copy.output() == "late"


# patched


@pytest.mark.parametrize(
    ("events", "output"),
    [
        (2, ["a", "new", "b"]),
        (3, ["a", "new", "b"]),
        (4, ["a", "new", "b"]),
        (5, ["a", "b"]),
        (6, ["a", "b"]),
    ],
)
async def test_an_old_run_goes_on_as_it_began(
    make_world: MakeWorld, version: Version, events: int, output: list[str]
) -> None:
    world = await run_first(make_world, version(agents.old))
    copy = await world.copy(events, agents=[version(agents.patched)])
    await copy.resume(on_interrupted="retry")
    assert await copy.output() == output
    again = await copy.copy(len(await copy.records()) - 1)
    await again.resume()
    assert await again.output() == output


async def test_a_new_run_takes_the_new_path_after_any_crash(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere, version: Version
) -> None:
    edited = version(agents.patched)
    world = make_world(edited)
    await crash_everywhere(world, edited, calls=Calls(world))
    assert (await world.events())[-1]["data"]["output"] == ["a", "new", "b"]


async def test_an_old_run_that_went_on_in_branches_has_passed_the_change(
    make_world: MakeWorld, version: Version
) -> None:
    world = await run_first(make_world, version(agents.branches))
    copy = await edit(world, version(agents.patched_branches), 6)
    assert await copy.output() == ["x", "y"]
    fresh = make_world(version(agents.patched_branches))
    assert await fresh.run("edited") == ["new", "x", "y"]


async def test_a_change_that_is_taken_back_or_renamed_diverges(
    make_world: MakeWorld, version: Version
) -> None:
    world = await run_first(make_world, version(agents.only_patched))
    for edited, wanted in (
        (agents.repatched, "change 'd'"),
        (agents.ends_early, "the agent's end"),
    ):
        error = await (await edit(world, version(edited), 5)).error()
        assert f"recorded change 'c', asked for {wanted}" in error.message
    again = await edit(world, version(agents.only_patched), 5)
    assert await again.output() == []
