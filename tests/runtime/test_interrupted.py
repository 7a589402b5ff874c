"""Steps of which nobody knows how they ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from axtui.agent import ActorError, Chat, Context, StepFailed, Tool, agent, call, tool
from tests.runtime.conftest import MakeWorld, World

calls: list[int] = []


async def work() -> str:
    calls.append(call().attempt)
    return f"attempt {call().attempt}"


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def step_agent(effect: Any = "") -> Any:
    @agent
    async def works(ctx: Context) -> Any:
        try:
            return await ctx.step(work, effect=effect)
        except StepFailed as error:
            return f"{error.code}: {error.message}"

    return works


async def interrupted(make_world: MakeWorld, effect: Any = "") -> World:
    """A controller that died while the step was in flight."""
    works = step_agent(effect)
    world = make_world(works)
    await world.run(works)
    calls.clear()
    return await world.copy(3)


@pytest.mark.parametrize(
    ("how", "output", "attempts"),
    [
        ("retry", "attempt 2", [2]),
        ("skip", None, []),
        ("fail", "interrupted: its controller ended before the outcome was known", []),
    ],
)
async def test_it_is_decided_by_policy_or_by_a_person(
    make_world: MakeWorld, how: str, output: Any, attempts: list[int]
) -> None:
    by_policy = await interrupted(make_world)
    await by_policy.resume(on_interrupted=how)
    assert await by_policy.output() == output
    assert calls == attempts
    (answered,) = await by_policy.events(kind="approval.answered")
    assert answered["data"]["rule"] == f"--on-interrupted {how}"
    await by_policy.check()

    calls.clear()
    by_person = await interrupted(make_world)
    await by_person.resume()
    (question,) = await by_person.waiting()
    assert (question.type, question.subject, list(question.choices)) == (
        "interrupted",
        "work",
        ["retry", "skip", "fail"],
    )
    assert calls == []
    await by_person.answer(how)
    assert await by_person.output() == output
    assert calls == attempts
    await by_person.check()


async def test_the_question_outlives_every_controller(make_world: MakeWorld) -> None:
    world = await interrupted(make_world)
    for _ in range(3):
        await world.resume()
        (question,) = await world.waiting()
        world = await world.copy()
    assert (await world.kinds()).count("approval.requested") == 1
    # Nobody drives it now.
    await world.answer("retry", question.id)
    await world.resume()
    assert await world.output() == "attempt 2"
    assert (await world.kinds()).count("approval.requested") == 1


async def test_a_decision_is_not_asked_for_twice(make_world: MakeWorld) -> None:
    world = await interrupted(make_world)
    await world.resume()
    await world.waiting()
    await world.answer("retry")
    await world.output()
    kinds = await world.kinds()
    copy = await world.copy(kinds.index("approval.answered") + 1)
    await copy.resume()
    assert await copy.output() == "attempt 2"
    assert (await copy.kinds()).count("approval.requested") == 1
    # But the new attempt is a new matter.
    copy = await world.copy(kinds.index("approval.answered") + 2)
    await copy.resume()
    (question,) = await copy.waiting()
    await copy.answer("retry", question.id)
    assert await copy.output() == "attempt 3"


async def test_an_open_question_is_answered_by_another_policy_of_a_resume(
    make_world: MakeWorld,
) -> None:
    world = await interrupted(make_world)
    await world.resume()
    await world.waiting()
    copy = await world.copy()
    await copy.resume(on_interrupted="skip")
    assert await copy.output() is None
    assert (await copy.log.state("c")).run.on_interrupted == "skip"


@pytest.mark.parametrize("effect", ["readonly", "idempotent"])
async def test_harmless_steps_are_silently_retried(make_world: MakeWorld, effect: str) -> None:
    world = await interrupted(make_world, effect)
    await world.resume()
    assert await world.output() == "attempt 2"
    assert "approval.requested" not in await world.kinds()


async def test_what_counts_is_what_the_step_was_when_it_began(make_world: MakeWorld) -> None:
    world = await interrupted(make_world, "")
    copy = await world.copy(agents=[step_agent("readonly")])
    await copy.resume()
    await copy.waiting()


async def test_a_step_that_takes_the_controller_down_each_time_is_not_retried_for_ever(
    make_world: MakeWorld,
) -> None:
    going = asyncio.Event()

    async def hang() -> None:
        calls.append(call().attempt)
        going.set()
        await asyncio.Event().wait()

    @agent
    async def kills(ctx: Context) -> None:
        await ctx.step(hang, effect="readonly")

    world = make_world(kills)
    await world.start(kills)
    for _ in range(10):
        await going.wait()
        going.clear()
        world = await world.copy()
        await world.resume()
    (question,) = await world.waiting()
    assert question.type == "interrupted"
    assert calls == list(range(1, 11))


async def test_a_tool_says_itself_whether_it_is_harmless(make_world: MakeWorld) -> None:
    @tool(effect="idempotent")
    async def put() -> int:
        return call().attempt

    @agent(tools=[put])
    async def puts(ctx: Context) -> Any:
        return await ctx.tool("put")

    world = make_world(puts)
    await world.run(puts)
    copy = await world.copy(3)
    await copy.resume()
    assert await copy.output() == 2


async def test_always_makes_a_rule_for_later_interruptions(make_world: MakeWorld) -> None:
    world = await interrupted(make_world)
    await world.resume()
    await world.waiting()
    await world.answer("retry", always=True)
    await world.output()
    kinds = await world.kinds()
    copy = await world.copy(kinds.index("approval.answered") + 2)
    await copy.resume()
    assert await copy.output() == "attempt 3"


async def test_several_at_once(make_world: MakeWorld) -> None:
    @agent
    async def three(ctx: Context) -> list[Any]:
        return await asyncio.gather(*(ctx.step(work) for _ in range(3)))

    world = make_world(three)
    await world.run(three)
    copy = await world.copy(5)
    await copy.resume()
    questions = await copy.waiting(3)
    for question, choice in zip(questions, ("retry", "skip", "retry"), strict=True):
        await copy.answer(choice, question.id)
    assert await copy.output() == ["attempt 2", None, "attempt 2"]
    await copy.check()


async def test_an_answer_of_a_model_that_was_skipped_is_none_to_go_on_with(
    make_world: MakeWorld,
) -> None:
    async def lost(**request: Any) -> None:
        raise ActorError("gone", "it is gone", unknown=True)

    @agent(models=[Tool("default", lost)])
    async def asks(ctx: Context) -> list[str]:
        try:
            await Chat(ctx).send({"role": "user", "content": [{"text": "Hello"}]})
        except StepFailed as failed:
            return [failed.key, failed.code]
        return []

    world = make_world(asks)
    await world.start(asks)
    await world.waiting()
    await world.answer("skip")
    assert await world.output() == ["1", "skipped"]
