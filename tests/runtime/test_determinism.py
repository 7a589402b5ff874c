"""What an agent sees is the same each time it is run again, and edits of it are noticed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from axtui.agent import Agent, Context, agent, call
from axtui.runtime import replay
from tests.runtime.conftest import ID, CrashEverywhere, MakeWorld, World

calls: list[str] = []


async def work(name: str) -> str:
    calls.append(call().idempotency_key)
    return name


def reviewed(body: Any) -> Agent:
    """A version of the agent `edited`."""
    return agent(id="edited")(body)


async def test_clock_and_chance_are_the_same_at_replay(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    @agent
    async def sub(ctx: Context) -> list[Any]:
        before = [str(ctx.now()), ctx.random().random()]
        await ctx.step(work, "sub")
        return [*before, str(ctx.now())]

    @agent
    async def looks(ctx: Context) -> list[Any]:
        seen: list[Any] = []

        def look() -> None:
            seen.append([str(ctx.now()), ctx.random().random()])

        async def branch(name: str) -> None:
            look()
            await ctx.step(work, name)
            look()

        look()
        await ctx.emit("hello")
        look()
        await ctx.sleep(0.002)
        look()
        await ctx.ask("Well?")
        look()
        await asyncio.gather(branch("a"), branch("b"))
        flight = asyncio.create_task(ctx.step(work, "in flight"))
        late = asyncio.create_task(branch("late"))
        await asyncio.wait({flight, late})
        look()
        try:
            async with asyncio.timeout(0.01):
                await ctx.ask("Never answered?")
        except TimeoutError:
            look()
        seen.append(await ctx.agent("sub"))
        look()
        return seen

    world = make_world(looks, sub)
    await world.start(looks)
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
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    @agent
    async def talks(ctx: Context) -> None:
        await ctx.emit("one")
        await ctx.emit("a thought", thought=True)
        await ctx.step(work, "x")
        await ctx.emit("inside", internal=True)
        await ctx.emit("x" * 50_000)
        await ctx.emit("\ud800 lone")

    world = make_world(talks)
    await crash_everywhere(world, talks, calls=calls)
    said = [event["data"] for event in await world.events(kind="message")][1:]
    assert [message.get("internal_only", False) for message in said] == [False, False, True] + [
        False
    ] * 2
    assert said[1]["content"] == [{"thought": "a thought"}]
    assert said[4]["content"] == [{"text": "? lone"}]


# Edits of an agent


async def old(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a"), await ctx.step(work, "b")]


async def run_old(make_world: MakeWorld, body: Any = old) -> World:
    world = make_world(reviewed(body))
    await world.run("edited")
    calls.clear()
    return world


async def edit(world: World, body: Any, events: int) -> World:
    """The run, crashed after so many events, under an edited agent."""
    copy = await world.copy(events, agents=[reviewed(body)])
    await copy.resume()
    return copy


async def test_steps_may_be_appended(make_world: MakeWorld) -> None:
    async def longer(ctx: Context) -> list[str]:
        return [*await old(ctx), await ctx.step(work, "c")]

    world = await run_old(make_world)
    copy = await edit(world, longer, 6)
    assert await copy.output() == ["a", "b", "c"]
    assert len(calls) == 1


async def changed(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a"), await ctx.step(work, "changed")]


async def renamed(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a"), await ctx.step(work, "b", name="renamed")]


async def asks_instead(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a"), await ctx.ask("b?")]


async def ends_early(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a")]


async def swallows(ctx: Context) -> list[str]:
    try:
        return await changed(ctx)
    except BaseException:
        return [await ctx.step(work, "swallowed")]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (changed, "function 'work' with other arguments"),
        (renamed, "function 'renamed'"),
        (asks_instead, "question 'b?'"),
        (ends_early, "the agent's end"),
        (swallows, "function 'work' with other arguments"),
    ],
)
async def test_another_course_than_the_recorded_one_fails_and_says_where_to_fork(
    make_world: MakeWorld, body: Any, wanted: str
) -> None:
    world = await run_old(make_world)
    copy = await edit(world, body, 6)
    error = await copy.error()
    assert error.code == "diverged"
    assert error.message == (
        f"diverged at step 2: recorded function 'work', asked for {wanted}; "
        f"the last event that matches is {ID}:4, which can be forked"
    )
    assert calls == []
    await copy.check()
    # And there the mended agent really goes on.
    await copy.controller.fork(ID, 4, "fork", None, "tester")
    await copy.resume("fork")
    if body is not asks_instead:
        await copy.output("fork")
        assert len(calls) == (0 if body is ends_early else 1)
        await copy.check("fork")


async def test_a_recorded_question_that_is_another_one_now(make_world: MakeWorld) -> None:
    async def first(ctx: Context) -> str:
        return await ctx.ask("One?")

    async def second(ctx: Context) -> str:
        return await ctx.ask("Two?")

    world = make_world(reviewed(first))
    await world.start("edited")
    await world.waiting()
    copy = await edit(world, second, 3)
    assert "recorded question 'One?', asked for question 'Two?'" in (await copy.error()).message


async def test_a_missing_agent_is_said_before_anything_is_written(make_world: MakeWorld) -> None:
    from axtui.runtime.errors import Refused

    world = await run_old(make_world)
    copy = await world.copy(4, agents=[])
    with pytest.raises(Refused, match="there is no agent 'edited'"):
        await copy.resume()
    assert len(await copy.records()) == 4


async def test_an_agent_that_hangs_before_its_first_recorded_step_is_stuck(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(ctx: Context) -> list[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(replay, "STUCK_SECONDS", 0.5)
    world = await run_old(make_world)
    copy = await edit(world, hangs, 4)
    assert "asked for nothing there" in (await copy.error()).message


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


async def patched(ctx: Context) -> list[str]:
    found = [await ctx.step(work, "a")]
    if ctx.patched("c"):
        found.append(await ctx.step(work, "new"))
    return [*found, await ctx.step(work, "b")]


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
    make_world: MakeWorld, events: int, output: list[str]
) -> None:
    world = await run_old(make_world)
    copy = await world.copy(events, agents=[reviewed(patched)])
    await copy.resume(on_interrupted="retry")
    assert await copy.output() == output
    again = await copy.copy(len(await copy.records()) - 1)
    await again.resume()
    assert await again.output() == output


async def test_a_new_run_takes_the_new_path_after_any_crash(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    edited = reviewed(patched)
    world = make_world(edited)
    await crash_everywhere(world, edited, calls=calls)
    assert (await world.events())[-1]["data"]["output"] == ["a", "new", "b"]


async def test_an_old_run_that_went_on_in_branches_has_passed_the_change(
    make_world: MakeWorld,
) -> None:
    async def before(ctx: Context) -> list[str]:
        return await asyncio.gather(ctx.step(work, "x"), ctx.step(work, "y"))

    async def after(ctx: Context) -> list[str]:
        new = [await ctx.step(work, "new")] if ctx.patched("c") else []
        return [*new, *await asyncio.gather(ctx.step(work, "x"), ctx.step(work, "y"))]

    world = await run_old(make_world, before)
    copy = await edit(world, after, 6)
    assert await copy.output() == ["x", "y"]
    fresh = make_world(reviewed(after))
    assert await fresh.run("edited") == ["new", "x", "y"]


async def test_a_change_that_is_taken_back_or_renamed_diverges(make_world: MakeWorld) -> None:
    async def other(ctx: Context) -> list[str]:
        await ctx.step(work, "a")
        ctx.patched("d")
        return []

    async def only(ctx: Context) -> list[str]:
        await ctx.step(work, "a")
        ctx.patched("c")
        return []

    async def without(ctx: Context) -> list[str]:
        await ctx.step(work, "a")
        return []

    world = await run_old(make_world, only)
    assert (
        "recorded change 'c', asked for change 'd'"
        in (await (await edit(world, other, 5)).error()).message
    )
    assert (
        "recorded change 'c', asked for the agent's end"
        in (await (await edit(world, without, 5)).error()).message
    )
    again = await edit(world, only, 5)
    assert await again.output() == []
