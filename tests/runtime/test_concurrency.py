"""Agents that do several things at once: a replay decides every race as it was decided."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as hs

from axtui.agent import Agent, Context, StepFailed, ToolError, agent, call
from axtui.runtime import replay
from tests.runtime.conftest import ID, CrashEverywhere, MakeWorld, World, drive_to_end

calls: list[str] = []


async def work(name: str, turns: int = 0) -> str:
    """Takes some turns of the loop, or for negative ones as many milliseconds."""
    calls.append(call().idempotency_key)
    if turns < 0:
        await asyncio.sleep(-turns / 1000)
    for _ in range(turns):
        await asyncio.sleep(0)
    return name


@agent
async def gathers(ctx: Context) -> list[str]:
    found = await asyncio.gather(*(ctx.step(work, str(n), 5 - n) for n in range(4)))
    return [*found, await ctx.step(work, "last")]


@agent
async def as_they_come(ctx: Context) -> list[str]:
    found = []
    for next_one in asyncio.as_completed([ctx.step(work, str(n), -(4 - n)) for n in range(4)]):
        found.append(await next_one)
        await ctx.emit(found[-1])
    return found


@agent
async def grouped(ctx: Context) -> list[str]:
    found: list[str] = []

    async def branch(name: str, turns: int) -> None:
        for number in range(2):
            found.append(await ctx.step(work, f"{name}{number}", turns))

    async with asyncio.TaskGroup() as group:
        for name, turns in (("a", 3), ("b", 0), ("c", -2)):
            group.create_task(branch(name, turns))
    return found


@agent
async def first_wins(ctx: Context) -> list[str]:
    found = []
    for turn in range(3):
        racers = {
            asyncio.create_task(ctx.step(work, f"{turn}{n}", -1 - (turn + n) % 3 * 2), name=f"{n}")
            for n in range(3)
        }
        done, losers = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        for loser in losers:
            loser.cancel()
        await asyncio.gather(*losers, return_exceptions=True)
        found += sorted(task.result() for task in done)
        found.append(await ctx.step(work, f"after {found[-1]}"))
    return found


@agent
async def nested_gathers(ctx: Context) -> list[Any]:
    async def level(depth: int, name: str) -> Any:
        if not depth:
            return await ctx.step(work, name, len(name) % 3)
        return await asyncio.gather(level(depth - 1, name + "l"), level(depth - 1, name + "r"))

    return [await level(3, ""), await ctx.step(work, "end")]


@agent
async def tasks_in_tasks(ctx: Context) -> list[str]:
    found: list[str] = []

    async def inner(name: str) -> None:
        found.append(await ctx.step(work, name, -1))

    async def outer(name: str) -> None:
        task = asyncio.create_task(inner(name + "1"))
        found.append(await ctx.step(work, name, 1))
        await task
        await asyncio.create_task(inner(name + "2"))

    await asyncio.gather(outer("a"), outer("b"))
    return found


@agent
async def queued(ctx: Context) -> list[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    found: list[str] = []

    async def produce(name: str, turns: int) -> None:
        for number in range(3):
            await queue.put(await ctx.step(work, f"{name}{number}", turns))

    async def consume() -> None:
        while True:
            item = await queue.get()
            found.append(await ctx.step(work, f"got {item}", 2))
            queue.task_done()

    consumer = asyncio.create_task(consume())
    await asyncio.gather(produce("a", 1), produce("b", -1))
    await queue.join()
    consumer.cancel()
    return found


@agent
async def fails_in_a_group(ctx: Context) -> list[str]:
    async def breaks() -> None:
        raise ToolError("broken")

    found = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step(work, "slow", -500))
            group.create_task(ctx.step(breaks))
            group.create_task(ctx.step(work, "quick"))
    except* StepFailed as failures:
        found += [error.code for error in failures.exceptions if isinstance(error, StepFailed)]
    return [*found, await ctx.step(work, "after")]


@agent
async def races_questions(ctx: Context) -> list[str]:
    asks = [asyncio.create_task(ctx.ask(f"Which {n}?", choices=("a", "b"))) for n in range(3)]
    done, rest = await asyncio.wait(asks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest or done)
    return [await ctx.step(work, "end"), str(len(done))]


@agent
async def speaks_abreast(ctx: Context) -> list[str]:
    order: list[str] = []

    async def talker(name: str) -> None:
        order.append(await ctx.step(work, name, ord(name) % 3))
        await ctx.emit(f"{name} is done, after {len(order)}")
        order.append(await ctx.step(work, f"{name} saw {len(order)}"))

    await asyncio.gather(*(talker(name) for name in "abcd"))
    return order


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
    make_world: MakeWorld, crash_everywhere: CrashEverywhere, racer: Agent
) -> None:
    # What isn't decided in the log yet may be decided in another way.
    assert await crash_everywhere(make_world(racer), racer, calls=calls, same=False) > 5


@pytest.mark.parametrize("racer", RACES, ids=lambda racer: racer.id)
async def test_a_finished_race_is_decided_as_it_was(make_world: MakeWorld, racer: Agent) -> None:
    world = make_world(racer)
    output = await world.run(racer)
    count = len(await world.records())
    again = await world.copy(count - (2 if isinstance(output, str) else 1))
    calls.clear()
    await again.resume()
    assert await again.output() == output
    assert not calls


async def test_questions_that_lose_a_race_are_closed(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    world = make_world(races_questions)
    await crash_everywhere(world, races_questions, calls=calls, same=False)
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


async def test_more_than_a_hundred_steps_and_questions_abreast(make_world: MakeWorld) -> None:
    running = most = 0

    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    @agent
    async def many(ctx: Context) -> int:
        await asyncio.gather(*(ctx.step(count) for _ in range(150)))
        answers = await asyncio.gather(*(ctx.ask(f"{n}?") for n in range(300)))
        return len(answers)

    world = make_world(many)
    await world.start(many)
    state = await drive_to_end(world, lambda question: "yes")
    assert state.run.state == "completed"
    assert most == 100


# Programs that nobody thought of


class Program:
    """A small agent made of data: branches with steps, races, groups and messages."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self.trace: list[str] = []
        self.delays = random.Random(1)

    def agent(self) -> Agent:
        @agent(id="program")
        async def program(ctx: Context) -> list[str]:
            self.trace = trace = []
            await self._do(ctx, self.tree, "", trace)
            await ctx.step(work, "end")
            return trace

        return program

    async def _work(self, name: str) -> str:
        """Takes its time; how much differs from one life to the next."""
        for _ in range(self.delays.choice((0, 0, 1, 2, 3, 7, 15))):
            await asyncio.sleep(0)
        if self.delays.random() < 0.2:
            await asyncio.sleep(0.0005)
        return name

    async def _do(self, ctx: Context, node: Any, name: str, trace: list[str]) -> None:
        kind, parts = node
        if kind == "step":
            # The arguments say how the races so far went: another course diverges.
            seen = ",".join(trace)
            trace.append(await ctx.step(self._work, f"{name}:{hash_text(seen)}", name="work"))
        elif kind == "say":
            await ctx.emit(f"{name} {len(trace)}")
            trace.append(f"said {name}")
        elif kind == "sequence":
            for number, part in enumerate(parts):
                await self._do(ctx, part, f"{name}{number}", trace)
        else:
            tasks = [
                asyncio.create_task(self._do(ctx, part, f"{name}{n}", trace))
                for n, part in enumerate(parts)
            ]
            if kind == "race":
                _, losers = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for loser in losers:
                    loser.cancel()
                await asyncio.gather(*losers, return_exceptions=True)
            else:
                await asyncio.gather(*tasks)
            trace.append(f"{kind} {name}")


def hash_text(text: str) -> int:
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(text)) % 10_007


leaves = hs.sampled_from([("step", ()), ("step", ()), ("say", ())])
trees = hs.recursive(
    leaves,
    lambda inner: hs.tuples(
        hs.sampled_from(["sequence", "gather", "race"]), hs.lists(inner, min_size=1, max_size=4)
    ),
    max_leaves=10,
)


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tree=hs.tuples(hs.sampled_from(["gather", "race"]), hs.lists(trees, min_size=2, max_size=4)))
def test_any_agent_takes_the_same_course_again_after_a_crash_anywhere(
    tree: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asyncio.run(_check_program(Program(tree), tmp_path_factory))


async def _check_program(program: Program, folders: pytest.TempPathFactory) -> None:
    from axtui.runtime.config import Policy

    world = World(folders.mktemp("program"), [program.agent()], Policy())
    try:
        await world.start("program", on_interrupted="retry")
        output = await world.output()
        length = len(await world.records())
        await _replays(world, program, length - 1, output)
        for place in sorted({program.delays.randrange(2, length) for _ in range(4)}):
            copy = await world.copy(place)
            await copy.resume()
            output = await copy.output()
            await copy.check()
            await _replays(copy, program, len(await copy.records()) - 1, output)
    finally:
        await world.close()


async def _replays(world: World, program: Program, events: int, output: Any) -> None:
    """Run again on what the log says; nothing is left to be decided in another way."""
    again = await world.copy(events)
    await again.resume()
    assert await again.output() == output
    # What a canceled race leaves behind goes on a little after the end.
    assert program.trace[: len(output)] == output
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
