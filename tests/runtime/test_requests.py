"""A request that is made again, because its answer was lost, does nothing twice."""

from __future__ import annotations

import pytest

from axtui.agent import Context, agent
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from tests.runtime.conftest import ID, MakeWorld, World


@agent
async def asker(ctx: Context) -> str:
    """Asks twice."""
    first = await ctx.ask("first?", choices=["yes", "no"])
    second = await ctx.ask("second?", choices=["yes", "no"])
    return first + second


async def _seq(world: World) -> int:
    return (await world.log.head(ID)).seq


async def test_a_start_accepts_one_run(make_world: MakeWorld) -> None:
    world = make_world(asker)
    accepted = [
        await world.controller.start(ID, "hi", "asker", RunOptions(), "tester", "r1")
        for _ in range(2)
    ]
    assert accepted[0] == accepted[1]
    assert (await world.log.state(ID)).totals.runs == 1


async def test_but_the_same_id_with_something_else_is_refused(make_world: MakeWorld) -> None:
    world = make_world(asker)
    long = "x" * 100_000
    await world.controller.start(ID, long, "asker", RunOptions(), "tester", "r1")
    await world.controller.start(ID, long, "", RunOptions(), "tester", "r1")
    for input, name in (("hi", "asker"), (long, "echo")):
        with pytest.raises(Refused, match="request 'r1' has started another run"):
            await world.controller.start(ID, input, name, RunOptions(), "tester", "r1")
    with pytest.raises(Refused, match=r"request 'r1' has caused run\.started"):
        await world.controller.cancel(ID, "", "tester", "r1")


async def test_an_answer_answers_one_question(make_world: MakeWorld) -> None:
    world = make_world(asker)
    await world.start(asker)
    await world.waiting()
    for _ in range(2):
        await world.controller.answer(ID, "", "yes", "", False, "tester", "r1")
    questions = await world.waiting()
    assert [question.question for question in questions] == ["second?"]


async def test_a_pause_and_a_cancel_are_said_once(make_world: MakeWorld) -> None:
    world = make_world(asker)
    await world.start(asker)
    await world.waiting()
    for verb, request_id in (("pause", "r1"), ("cancel", "r3")):
        await getattr(world.controller, verb)(ID, "", "tester", request_id)
        seq = await _seq(world)
        await getattr(world.controller, verb)(ID, "", "tester", request_id)
        assert await _seq(world) == seq


async def test_a_resume_that_is_repeated_after_a_pause_does_not_undo_it(
    make_world: MakeWorld,
) -> None:
    world = make_world(asker)
    await world.start(asker)
    await world.waiting()
    await world.controller.pause(ID, "", "tester", "r1")
    await world.controller.resume(ID, RunOptions(), "tester", "r2", drive=False)
    await world.controller.pause(ID, "", "tester", "r3")
    seq = await _seq(world)
    state = await world.controller.resume(ID, RunOptions(), "tester", "r2")
    assert state.run.state == "paused"
    assert await _seq(world) == seq


async def test_a_fork_is_made_once(make_world: MakeWorld) -> None:
    world = make_world(asker)
    await world.start(asker)
    await world.waiting()
    forks = [await world.controller.fork(ID, None, "fork", None, "tester", "r1") for _ in range(2)]
    assert forks[0] is forks[1]


async def test_a_delete_is_said_once(make_world: MakeWorld) -> None:
    world = make_world(asker)
    await world.start(asker)
    await world.waiting()
    await world.controller.cancel(ID, "", "tester")
    for _ in range(2):
        await world.controller.delete(ID, "", "tester", "r1")
    assert len(await world.events(kind="conversation.deleted")) == 1
