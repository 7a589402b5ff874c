"""Agents that call agents."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from axtui.agent import Agent, Context, StepFailed, agent
from tests.runtime.actors import agents_for_tests as agents
from tests.runtime.actors.agents_for_tests import helper, parent, work
from tests.runtime.conftest import ID, Calls, CrashEverywhere, MakeWorld, Placed, in_process


async def test_nested_agents_survive_a_crash_at_any_event(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere, placed: Placed
) -> None:
    world = make_world(placed(parent), placed(helper))
    await crash_everywhere(world, placed(parent), calls=Calls(world))
    assert (await world.events())[-1]["data"]["output"] == [
        "one 1, 1",
        "two 1, 2",
        "three 1, 2",
        "end",
    ]


async def test_nested_agents_have_exec_ids_of_their_own(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(parent), placed(helper))
    exec_id = await world.start(parent)
    await world.output()
    started = [e for e in await world.events(kind="step.started") if e["data"]["name"] == "work"]
    assert {event["exec_id"] for event in started} == {
        exec_id,
        f"{exec_id}/1",
        f"{exec_id}/~1/1",
        f"{exec_id}/~2/1",
    }
    assert {event["actor"] for event in started} == {"parent", "helper"}


async def test_a_finished_nested_agent_is_not_run_again(make_world: MakeWorld) -> None:
    ran: list[str] = []

    @agent(id="helper")
    async def counted(ctx: Context) -> str:
        ran.append(ctx.input)
        return await ctx.step(work, ctx.input)

    world = make_world(parent, counted)
    await world.run(parent)
    copy = await world.copy(len(await world.records()) - 1)
    assert ran == ["one", "two", "three"]
    ran.clear()
    await copy.resume()
    await copy.output()
    assert ran == []


async def test_a_failure_becomes_a_failed_step_of_the_parent(
    make_world: MakeWorld, placed: Placed
) -> None:
    named = ("catches", "breaks", "exits", "odd", "hoards", "leaves")
    world = make_world(*(placed(getattr(agents, name)) for name in named))
    found = await world.run("catches")
    assert [line.split(":")[:2] for line in found] == [
        ["breaks", " exception"],
        ["exits", " exception"],
        ["odd", " result"],
        ["hoards", " exception"],
        ["leaves", " exception"],
        ["nobody", " unknown"],
    ]
    assert "private state can't be kept" in found[3]
    assert "there are breaks, catches" in found[5]
    await world.check()
    copy = await world.copy(len(await world.records()) - 1)
    await copy.resume()
    assert await copy.output() == found


async def test_private_state_is_each_agents_own_and_kept_between_runs(
    make_world: MakeWorld,
) -> None:
    @agent
    async def counts(ctx: Context) -> list[Any]:
        ctx.state["runs"] = ctx.state.get("runs", 0) + 1
        await ctx.agent("helper", "x")
        return [ctx.state["runs"], sorted(ctx.state)]

    world = make_world(counts, helper)
    assert await world.run(counts) == [1, ["runs"]]
    assert await world.run(counts) == [2, ["runs"]]
    completed = (await world.events(kind="run.completed"))[-1]["data"]["agent_states"]
    assert completed == {"counts": {"runs": 2}, "helper": {"calls": ["x", "x"]}}


async def test_private_state_of_a_failed_agent_is_dropped(make_world: MakeWorld) -> None:
    @agent
    async def spoils(ctx: Context) -> None:
        if ctx.state:
            return
        ctx.state["spoiled"] = True
        if ctx.input == "fail":
            raise ValueError

    @agent
    async def caller(ctx: Context) -> list[str]:
        with contextlib.suppress(StepFailed):
            await ctx.agent("spoils", "fail")
        await ctx.agent("spoils")
        return []

    world = make_world(caller, spoils)
    await world.run(caller)
    states = (await world.events(kind="run.completed"))[-1]["data"]["agent_states"]
    assert states["spoils"] == {"spoiled": True}
    await world.start(spoils, "fail", "other")
    await world.ended("other")
    await world.start(spoils, "fail", "other")
    assert (await world.error("other")).code == "exception"


async def test_concurrent_calls_of_one_agent_do_not_share_a_state(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere, placed: Placed
) -> None:
    caller = placed(agents.two_lines)
    world = make_world(caller, placed(agents.adds))
    await crash_everywhere(world, caller, calls=Calls(world), same=False)
    output = (await world.events())[-1]["data"]["output"]
    again = await world.copy(len(await world.records()) - 1)
    await again.resume()
    assert await again.output() == output


async def test_what_a_nested_agent_leaves_behind_ends_with_it(make_world: MakeWorld) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()
    left: list[asyncio.Task[Any]] = []

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    @agent
    async def careless(ctx: Context) -> str:
        left.append(asyncio.create_task(ctx.step(hang)))
        await ctx.step(begun.wait, name="wait")
        return await ctx.step(work, "x")

    @agent
    async def caller(ctx: Context) -> str:
        found = await ctx.agent("careless")
        await ctx.step(gone.wait, name="wait")
        return found

    world = make_world(caller, careless)
    assert await world.run(caller) == "x"
    await world.check()


@agent
async def untidy(ctx: Context) -> str:
    """Leaves a step, a question, and somebody who goes on asking for more."""

    async def more() -> None:
        await ctx.agent("dawdler")
        await ctx.step(work, "too late")

    left.extend(asyncio.create_task(it) for it in (ctx.step(_hang), ctx.ask("Hm?"), more()))
    found = await ctx.step(work, "x")
    if ctx.input == "stay":
        await asyncio.Event().wait()
    return str(found)


@agent
async def dawdler(ctx: Context) -> None:
    """Is between two steps when it isn't wanted any more."""
    await ctx.step(work, "first")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    await ctx.step(work, "too late")


@agent
async def tidy(ctx: Context) -> str:
    found = str(await ctx.agent("untidy"))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await ctx.agent("untidy", "stay")
    return found + await ctx.ask("Yes?")


async def _hang() -> None:
    await asyncio.Event().wait()


left: list[asyncio.Task[Any]] = []


async def test_nothing_that_an_agent_leaves_behind_outlives_it_in_the_log(
    make_world: MakeWorld,
) -> None:
    world = make_world(tidy, untidy, dawdler)
    await world.start(tidy, on_interrupted="retry")
    await world.until(lambda state: any(q.key == "3" for q in state.questions.values()))
    (question,) = await world.waiting()
    for events in range(2, question.seq + 1):
        copy = await world.copy(events)
        await copy.resume()
        await copy.until(lambda state: any(q.key == "3" for q in state.questions.values()))
        (question,) = await copy.waiting()
        await copy.answer("!")
        assert await copy.output() == "x!"
        await copy.check()
    assert "too late" not in str(await world.events())
    left.clear()


async def test_agents_three_deep_with_the_loser_of_a_race(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    # Not in processes: how far the loser gets is then a matter of how long each takes to start.
    world = make_world(agents.top, agents.races, agents.slow, agents.quick)
    await crash_everywhere(world, agents.top, calls=Calls(world))
    assert (await world.events())[-1]["data"]["output"] == ["quicker!", "quicker!"]


async def test_agents_here_and_in_processes_call_each_other(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    in_turn = (agents.top, in_process(agents.races), agents.slow, in_process(agents.quick))
    world = make_world(*in_turn)
    await crash_everywhere(world, agents.top, calls=Calls(world))
    assert (await world.events())[-1]["data"]["output"] == ["quicker!", "quicker!"]


async def test_an_endless_recursion_meets_the_budget(make_world: MakeWorld) -> None:
    from axtui.runtime.config import Budget, Policy

    @agent
    async def again(ctx: Context) -> Any:
        return await ctx.agent("again")

    world = make_world(again, policy=Policy(budget=Budget(steps=20)))
    await world.start(again)
    (question,) = await world.waiting()
    assert question.type == "budget"
    await world.answer("stop")
    assert (await world.error()).code == "budget"


async def test_an_agent_is_known_by_its_function_or_by_what_is_said(make_world: MakeWorld) -> None:
    assert (helper.id, helper.description) == ("helper", "")

    @agent(id="other", description="Does it.", timeout=5)
    async def named(ctx: Context) -> None:
        """Not this."""

    assert named == Agent("other", named.function, "Does it.", (), (), 5)

    @agent
    async def documented(ctx: Context) -> None:
        """Says so.

        And more."""

    assert documented.description == "Says so."
    assert ID
