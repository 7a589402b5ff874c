"""Questions to people: durable, answered once, by a person or a rule."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from axtui.agent import Context, StepFailed, agent, call, tool
from axtui.runtime import journal, questions
from axtui.runtime.agents.shell import shell
from axtui.runtime.config import Budget, Policy
from axtui.runtime.errors import Refused
from axtui.runtime.questions import MAX_QUESTION
from tests.runtime.conftest import ID, CrashEverywhere, MakeWorld

calls: list[str] = []


async def work(name: str) -> str:
    calls.append(call().idempotency_key)
    return name


@agent
async def asks(ctx: Context) -> list[Any]:
    name = await ctx.ask("Who are you?")
    color = await ctx.ask("Which?", choices=("red", "blue"))
    return [name, color, await ctx.approve("Do it?", detail={"n": 1}), await ctx.step(work, name)]


async def test_answers_reach_the_agent(make_world: MakeWorld) -> None:
    world = make_world(asks)
    await world.start(asks)
    (question,) = await world.waiting()
    assert (question.type, question.question, list(question.choices)) == (
        "question",
        "Who are you?",
        [],
    )
    await world.answer("Ann")
    (question,) = await world.waiting()
    with pytest.raises(Refused, match="doesn't answer") as refused:
        await world.answer("green")
    assert "red, blue" in refused.value.hint
    await world.answer("blue")
    (question,) = await world.waiting()
    assert (question.type, question.detail.text) == ("approval", '{"n":1}')
    await world.answer("deny", text="not today")
    assert await world.output() == ["Ann", "blue", False, "Ann"]
    await world.check()


async def test_questions_survive_a_crash_at_any_event(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    await crash_everywhere(make_world(asks), asks, calls=calls)


async def test_an_answer_counts_without_a_controller(make_world: MakeWorld) -> None:
    world = make_world(asks)
    await world.start(asks)
    for answer in ("Ann", "red", "approve"):
        await world.waiting()
        world = await world.copy()
        await world.answer(answer)
        await world.resume()
    assert await world.output() == ["Ann", "red", True, "Ann"]
    assert (await world.kinds()).count("approval.answered") == 3


@pytest.mark.parametrize("turns", range(12))
async def test_an_answer_while_the_run_is_being_resumed_is_neither_lost_nor_taken_twice(
    make_world: MakeWorld, turns: int
) -> None:
    world = make_world(asks)
    await world.start(asks)
    await world.waiting()
    await world.answer("Ann")
    await world.waiting()
    copy = await world.copy()
    resuming = asyncio.create_task(copy.resume())
    for _ in range(turns):
        await asyncio.sleep(0)
    await copy.answer("red")
    await resuming
    await copy.until(lambda state: any(q.type == "approval" for q in state.questions.values()))
    await copy.answer("approve")
    assert await copy.output() == ["Ann", "red", True, "Ann"]


async def test_an_answer_is_taken_once(make_world: MakeWorld) -> None:
    world = make_world(asks)
    await world.start(asks)
    (question,) = await world.waiting()
    await world.answer("Ann", question.id)
    with pytest.raises(Refused) as refused:
        await world.answer("Bob", question.id)
    assert refused.value.code in ("unknown", "state")
    await world.waiting()
    with pytest.raises(Refused, match="no question 'q999' is open"):
        await world.answer("red", "q999")


async def test_several_open_at_once_have_to_be_named(make_world: MakeWorld) -> None:
    @agent
    async def two(ctx: Context) -> list[str]:
        return await asyncio.gather(ctx.ask("One?"), ctx.ask("Two?"))

    world = make_world(two)
    await world.start(two)
    one, other = await world.waiting(2)
    with pytest.raises(Refused, match="2 questions are open"):
        await world.answer("x")
    await world.answer("second", other.id)
    await world.answer("first")
    assert await world.output() == ["first", "second"]
    assert one.id != other.id


async def test_nothing_is_asked(make_world: MakeWorld) -> None:
    @agent
    async def done(ctx: Context) -> None: ...

    world = make_world(done)
    await world.run(done)
    with pytest.raises(Refused, match="asks nothing") as refused:
        await world.answer("x")
    assert refused.value.code == "state"


async def test_always_answers_the_same_question_from_then_on(make_world: MakeWorld) -> None:
    @agent
    async def twice(ctx: Context) -> list[bool]:
        return [await ctx.approve("Go?"), await ctx.approve("Go?"), await ctx.approve("Really?")]

    world = make_world(twice)
    await world.start(twice)
    (question,) = await world.waiting()
    await world.answer("deny", always=True)
    (question,) = await world.waiting()
    assert question.question == "Really?"
    await world.answer("approve")
    assert await world.output() == [False, False, True]
    # In the next run too.
    await world.start(twice)
    await world.waiting()
    await world.answer("approve")
    assert await world.output() == [False, False, True]


async def test_always_is_for_choices(make_world: MakeWorld) -> None:
    world = make_world(asks)
    await world.start(asks)
    await world.waiting()
    with pytest.raises(Refused, match="can be a rule"):
        await world.answer("Ann", always=True)


async def test_an_answer_has_to_be_unicode(make_world: MakeWorld) -> None:
    world = make_world(asks)
    await world.start(asks)
    await world.waiting()
    with pytest.raises(Refused, match="valid Unicode"):
        await world.answer("\udc80")


# Approval of steps


@tool()
async def write(text: str) -> str:
    return text


@tool(effect="readonly")
async def look() -> str:
    return "seen"


@agent(tools=[write, look])
async def uses(ctx: Context) -> list[Any]:
    found: list[Any] = []
    for name, arguments in (("look", {}), ("write", {"text": "x"})):
        try:
            found.append(await ctx.tool(name, **arguments))
        except StepFailed as error:
            found.append(f"{error.code}: {error.message}")
    found.append(await ctx.approve("Publish?"))
    return found


DENIED = "denied: the policy forbids it (policy.approve {!r}: deny)"


@pytest.mark.parametrize(
    ("mode", "approve", "asked", "output"),
    [
        ("policy", {}, ["approval"], ["seen", "x", True]),
        ("policy", {"wri*": "ask"}, ["permission", "approval"], ["seen", "x", True]),
        ("policy", {"write": "deny"}, ["approval"], ["seen", DENIED.format("write"), True]),
        ("policy", {"write": "allow", "*": "deny"}, ["approval"], [DENIED.format("*"), "x", True]),
        ("ask", {}, ["permission", "approval"], ["seen", "x", True]),
        ("ask", {"look": "ask"}, ["permission", "permission", "approval"], ["seen", "x", True]),
        ("all", {"*": "deny"}, [], ["seen", "x", True]),
        ("deny", {}, [], ["seen", "x", False]),
        ("deny", {"*": "ask"}, [], ["denied: --approve deny", "denied: --approve deny", False]),
    ],
)
async def test_modes_of_approval(
    make_world: MakeWorld,
    mode: str,
    approve: dict[str, Any],
    asked: list[str],
    output: list[Any],
) -> None:
    world = make_world(uses, policy=Policy(approve=approve))
    await world.start(uses, approve=mode)
    for type in asked:
        (question,) = await world.waiting()
        assert question.type == type
        await world.answer("approve")
    assert await world.output() == output
    await world.check()


async def test_a_step_that_is_denied_never_begins(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    @agent
    async def wants(ctx: Context) -> list[str]:
        found = []
        for name in ("one", "two"):
            try:
                found.append(await ctx.step(work, name, name=name))
            except StepFailed as error:
                found.append(error.code)
        return found

    world = make_world(wants, policy=Policy(approve={"one": "ask"}))
    await crash_everywhere(world, wants, calls=calls, answer=lambda question: "deny")
    assert (await world.events())[-1]["data"]["output"] == ["denied", "two"]
    assert (await world.kinds()).count("step.started") == 1


async def test_an_open_permission_is_granted_by_the_mode_of_a_resume(
    make_world: MakeWorld,
) -> None:
    world = make_world(uses)
    await world.start(uses, approve="ask")
    await world.waiting()
    copy = await world.copy()
    await copy.resume(approve="all")
    assert await copy.output() == ["seen", "x", True]
    rules = [e["data"].get("rule") for e in await copy.events(kind="approval.answered")]
    assert rules == ["--approve all", "--approve all"]


async def test_a_loser_of_a_race_abandons_its_questions(make_world: MakeWorld) -> None:
    late: list[str] = []

    @agent
    async def races(ctx: Context) -> list[str]:
        asking = asyncio.create_task(ctx.ask("Well?"))
        permitted = asyncio.create_task(ctx.step(work, "x", name="asks first"))
        await ctx.step(both_open.wait, name="wait")
        for task in (asking, permitted):
            task.cancel()
        await asyncio.wait({asking, permitted})
        late.append(await ctx.step(work, "after"))
        return [str(asking.cancelled()), str(permitted.cancelled())]

    world = make_world(races, policy=Policy(approve={"asks first": "ask"}))

    both_open = asyncio.Event()
    await world.start(races)
    await world.until(lambda state: len(state.questions) == 2)
    both_open.set()
    assert await world.output() == ["True", "True"]
    answered = await world.events(kind="approval.answered")
    assert [event["data"]["rule"] for event in answered] == ["abandoned", "abandoned"]
    await world.check()


async def test_what_was_abandoned_at_a_time_limit_of_the_agent_is_so_at_replay(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    @agent
    async def impatient(ctx: Context) -> str:
        try:
            async with asyncio.timeout(0.02):
                return await ctx.step(work, "never", name="asks first")
        except TimeoutError:
            return await ctx.step(work, "in time")

    world = make_world(impatient, policy=Policy(approve={"asks first": "ask"}))
    await world.start(impatient)
    assert await world.output() == "in time"
    copy = await world.copy(len(await world.records()) - 2)
    await copy.resume()
    assert await copy.output() == "in time"
    assert (await copy.kinds()).count("approval.requested") == 1


# Budgets


@agent
async def counts(ctx: Context) -> int:
    for number in range(5):
        await ctx.step(work, str(number))
    return 5


async def test_a_budget_of_steps_is_asked_about(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    world = make_world(counts, policy=Policy(budget=Budget(steps=2)))
    await crash_everywhere(world, counts, calls=calls)
    asked = await world.events(kind="approval.requested")
    assert [event["data"]["type"] for event in asked] == ["budget", "budget"]
    assert "(2 steps)" in asked[0]["data"]["question"]
    assert "(4 steps)" in asked[1]["data"]["question"]


async def test_a_budget_that_is_not_granted_fails_the_run(make_world: MakeWorld) -> None:
    world = make_world(counts, policy=Policy(budget=Budget(steps=2)))
    await world.start(counts)
    await world.waiting()
    copy = await world.copy()
    await world.answer("stop")
    error = await world.error()
    assert (error.code, error.message) == ("budget", "the run's budget is used up (2 steps)")
    # Nor is it asked for again if nobody drove the run at the time of the answer.
    await copy.answer("stop")
    await copy.resume()
    assert (await copy.error()).code == "budget"
    assert (await copy.kinds()).count("approval.requested") == 1


async def test_more_budget_is_seen_whatever_the_state_is_kept_in(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axtui.runtime.eventlog.conversation.KEYFRAME_EVERY", 1)
    world = make_world(counts, policy=Policy(budget=Budget(steps=2)))
    await world.start(counts)
    await world.waiting()
    await world.answer("more", always=True)
    assert await world.output() == 5
    assert (await world.kinds()).count("approval.requested") == 2


async def test_steps_abreast_ask_for_their_budget_once(make_world: MakeWorld) -> None:
    @agent
    async def wide(ctx: Context) -> int:
        return len(await asyncio.gather(*(ctx.step(work, str(n)) for n in range(6))))

    world = make_world(wide, policy=Policy(budget=Budget(steps=4)))
    await world.start(wide)
    await world.until(lambda state: state.questions and not state.open_steps)
    assert (await world.log.conversation(ID)).state.run.steps == 4
    await world.answer("more", always=True)
    assert await world.output() == 6
    assert (await world.kinds()).count("approval.requested") == 1


async def test_a_budget_of_time_is_asked_about(make_world: MakeWorld) -> None:
    @agent
    async def slow(ctx: Context) -> int:
        for _ in range(2):
            await ctx.step(asyncio.sleep, 0.02)
        return 1

    world = make_world(slow, policy=Policy(budget=Budget(seconds=0.01)))
    await world.start(slow)
    (question,) = await world.waiting()
    assert (question.type, question.subject) == ("budget", "seconds")
    for _ in range(9):
        await world.answer("more")
        await asyncio.sleep(0)
        if not await _asks_more(world):
            break
    assert await world.output() == 1


async def _asks_more(world: Any) -> bool:
    state = await world.until(lambda state: state.questions or state.run.steps == 2)
    return bool(state.questions)


async def test_always_is_for_one_command_of_the_agent_shell(make_world: MakeWorld) -> None:
    world = make_world(shell)
    await world.start(shell, "true\ntrue\ntouch made", approve="ask")
    (question,) = await world.waiting()
    assert question.subject == "shell(true)"
    await world.answer("approve", always=True)
    (question,) = await world.waiting()
    assert question.subject == "shell(touch made)"
    assert not (world.folder / "made").exists()
    await world.answer("deny")


@pytest.mark.parametrize("what", ["question", "choices", "name", "change", "elicitation"])
async def test_nothing_without_bounds_gets_into_the_state(make_world: MakeWorld, what: str) -> None:
    much = "x" * (MAX_QUESTION + 1)

    async def elicits() -> str:
        return await call().ask(much, (), None)

    @agent
    async def endless(ctx: Context) -> Any:
        match what:
            case "question":
                return await ctx.ask(much)
            case "choices":
                return await ctx.ask("Which?", choices=[much])
            case "name":
                return await ctx.step(work, "x", name=much)
            case "change":
                return ctx.patched(much)
        return await ctx.step(elicits)

    world = make_world(endless)
    await world.start(endless)
    assert f"at most {MAX_QUESTION:,} characters" in (await world.error()).message
    assert max(len(record.payload) for record in await world.records()) < MAX_QUESTION
    await world.check()


@agent
async def lengthy(ctx: Context) -> list[Any]:
    changed = ctx.patched("change")
    name = await ctx.step(work, "x", name="lengthy work")
    return [changed, name, await ctx.ask("Which?", choices=("red", "blue")), await ctx.ask("Sure?")]


async def test_what_an_older_log_has_without_bounds_is_gone_on_with(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(lengthy)
    await world.start(lengthy)
    await world.waiting()
    await world.answer("red")
    await world.waiting()
    for module in (journal, questions):
        monkeypatch.setattr(module, "MAX_QUESTION", 3)
    copy = await world.copy()
    await copy.resume()
    await copy.answer("yes")
    assert await copy.output() == [True, "x", "red", "yes"]
