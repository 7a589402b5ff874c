"""Forks: another course of the same run, from any of its events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from axtui.agent import Context, StepFailed, ToolError, agent, call
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import LogError
from axtui.v1 import state_pb2 as st
from tests.runtime.conftest import ID, MakeWorld, World

calls: list[str] = []


async def work(name: str) -> str:
    calls.append(call().idempotency_key)
    if name == "bad":
        raise ToolError("bad luck")
    return name


@agent
async def several(ctx: Context) -> list[Any]:
    ctx.state["runs"] = ctx.state.get("runs", 0) + 1
    found: list[Any] = [ctx.input, await ctx.step(work, "a")]
    try:
        await ctx.step(work, "bad")
    except StepFailed as error:
        found.append(error.message)
    found.append(await ctx.approve("Go on?"))
    await ctx.emit("said")
    return [*found, ctx.random().random(), ctx.state["runs"]]


EVENTS = [
    "run.started",
    "message",
    "step.started",
    "step.completed",
    "step.started",
    "step.failed",
    "approval.requested",
    "approval.answered",
    "message",
    "run.completed",
]


async def source(make_world: MakeWorld) -> tuple[World, list[Any]]:
    world = make_world(several)
    await world.start(several, "input")
    await world.waiting()
    await world.answer("approve")
    output = await world.output()
    assert await world.kinds() == EVENTS
    calls.clear()
    return world, output


async def fork(world: World, seq: int | None, edit: Any = None) -> st.State:
    await world.controller.fork(ID, seq, "fork", edit, "ann")
    return await world.log.state("fork")


@pytest.mark.parametrize("seq", range(2, 10))
async def test_a_fork_of_an_open_run_is_paused_and_goes_on_under_an_id_of_its_own(
    make_world: MakeWorld, seq: int
) -> None:
    world, output = await source(make_world)
    state = await fork(world, seq)
    original = (await world.log.state(ID)).run
    assert (state.run.state, state.run.cause) == ("paused", "fork")
    assert state.run.exec_id != original.exec_id
    assert (state.parent_id, state.parent_seq) == (ID, seq)
    await world.resume("fork", on_interrupted="retry")
    if seq < 8:
        await world.waiting(id="fork")
        await world.answer("approve", id="fork")
    # Chance included.
    assert await world.output("fork") == output
    await world.check("fork")
    own = [e for e in await world.events("fork") if e["seq"] > seq]
    assert {event["exec_id"] for event in own} == {state.run.exec_id}
    assert all(key.startswith(f"fork/{state.run.exec_id}/") for key in calls)
    # The source is as it was.
    assert await world.kinds() == EVENTS


async def test_a_fork_of_what_has_ended_takes_the_next_run(make_world: MakeWorld) -> None:
    world, _ = await source(make_world)
    state = await fork(world, None)
    assert state.run.state == "completed"
    await world.start(several, "again", "fork")
    await world.waiting(id="fork")
    await world.answer("deny", id="fork")
    assert (await world.output("fork"))[-1] == 2
    await world.check("fork")


async def test_steps_open_in_the_prefix_count_as_interrupted(make_world: MakeWorld) -> None:
    world, _ = await source(make_world)
    await fork(world, 3)
    await world.resume("fork")
    (question,) = await world.waiting(id="fork")
    assert question.type == "interrupted"
    assert calls == []
    await world.answer("retry", id="fork")
    await world.until(
        lambda state: any(q.type == "approval" for q in state.questions.values()), "fork"
    )
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("seq", "edit", "index", "expected"),
    [
        (2, {"content": [{"text": "other"}]}, 0, "other"),
        (4, {"result": "edited"}, 1, "edited"),
        (6, {"error": {"code": "tool", "message": "worse"}}, 2, "worse"),
        (8, {"choice": "deny"}, 3, False),
    ],
)
async def test_an_edited_event_takes_the_place_of_the_original(
    make_world: MakeWorld, seq: int, edit: Any, index: int, expected: Any
) -> None:
    world, output = await source(make_world)
    state = await fork(world, seq, edit)
    assert state.run.state == "paused"
    edited = (await world.events("fork"))[-1]
    assert (edited["edited_from"], edited["principal"], edited["seq"]) == (seq, "ann", seq + 1)
    assert edited["exec_id"] == state.run.exec_id
    await world.resume("fork")
    if seq < 8:
        await world.waiting(id="fork")
        await world.answer("approve", id="fork")
    found = await world.output("fork")
    assert found[index] == expected
    assert found[:index] + found[index + 1 :] == output[:index] + output[index + 1 :]
    await world.check("fork")


async def test_an_edited_end_is_what_the_next_run_begins_with(make_world: MakeWorld) -> None:
    world, _ = await source(make_world)
    state = await fork(world, 10, {"agent_states": {"several": {"runs": 41}}})
    assert state.run.state == "completed"
    await world.start(several, "x", "fork")
    await world.waiting(id="fork")
    await world.answer("deny", id="fork")
    assert (await world.output("fork"))[-1] == 42
    await world.check("fork")


@pytest.mark.parametrize(
    ("seq", "edit", "said"),
    [
        (1, {"agent": "x"}, "can't be edited"),
        (3, {"name": "x"}, "nothing that can be edited"),
        (7, {"question": "x"}, "nothing that can be edited"),
        (4, {"nonsense": 1}, "no field 'nonsense'"),
        (4, {"attempt": "many"}, "--edit doesn't fit event 4"),
    ],
)
async def test_edits_that_make_no_sense(
    make_world: MakeWorld, seq: int, edit: Any, said: str
) -> None:
    world, _ = await source(make_world)
    with pytest.raises(Refused, match=said):
        await fork(world, seq, edit)
    assert await world.log.find("fork") is None


@pytest.mark.parametrize("seq", [0, -1, 11])
async def test_a_fork_at_an_event_that_there_is_not(make_world: MakeWorld, seq: int) -> None:
    world, _ = await source(make_world)
    with pytest.raises(LogError, match="has no event"):
        await fork(world, seq)


async def test_an_id_that_is_taken(make_world: MakeWorld) -> None:
    world, _ = await source(make_world)
    await fork(world, 4)
    with pytest.raises(LogError, match="already"):
        await fork(world, 4)


async def test_an_event_of_a_nested_agent_keeps_its_place_in_the_run(make_world: MakeWorld) -> None:
    @agent
    async def inner(ctx: Context) -> str:
        return await ctx.step(work, "inner")

    @agent
    async def outer(ctx: Context) -> str:
        return await ctx.agent("inner")

    world = make_world(outer, inner)
    await world.run(outer)
    state = await fork(world, 5, {"result": "edited"})
    assert (await world.events("fork"))[-1]["exec_id"] == f"{state.run.exec_id}/1"
    await world.resume("fork")
    assert await world.output("fork") == "edited"


async def test_a_fork_of_a_run_in_flight_leaves_it_alone(make_world: MakeWorld) -> None:
    going, go = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        going.set()
        await go.wait()
        return "slow"

    @agent
    async def waits(ctx: Context) -> str:
        return await ctx.step(slow)

    world = make_world(waits)
    await world.start(waits)
    await going.wait()
    await fork(world, None)
    await world.resume("fork", on_interrupted="skip")
    assert await world.output("fork") is None
    go.set()
    assert await world.output() == "slow"
