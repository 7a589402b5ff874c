"""Steps are done once, and their outcomes are what a replay would give."""

from __future__ import annotations

import asyncio
import enum
import math
import sys
import threading
from typing import Any

import pytest

from axtui.agent import Agent, Context, Retry, StepFailed, ToolError, agent, call, tool
from axtui.runtime.journal import Delta
from tests.runtime.conftest import ID, CrashEverywhere, MakeWorld


def once(body: Any, **options: Any) -> Agent:
    """An agent that does one step, and returns what it gives or how it fails."""

    @agent
    async def one_step(ctx: Context) -> Any:
        try:
            return await ctx.step(body, **options)
        except StepFailed as error:
            return [error.code, error.message]

    return one_step


async def test_a_step_is_written_before_and_after_it_is_done(make_world: MakeWorld) -> None:
    seen: list[list[str]] = []

    async def look() -> int:
        seen.append(await world.kinds())
        return 1

    world = make_world(once(look))
    assert await world.run("one_step") == 1
    assert seen == [["run.started", "message", "step.started"]]
    assert (await world.kinds())[3:] == ["step.completed", "run.completed"]
    await world.check()


class Color(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    YES = "yes"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        ({1: "a"}, {"1": "a"}),
        (Word.YES, "yes"),
        (True, True),
        (None, None),
        (1.5, 1.5),
        ("\ud800 ü", "\ud800 ü"),
        ("x" * 100_000, "x" * 100_000),
        (list(range(20_000)), list(range(20_000))),
    ],
)
async def test_a_result_is_json_as_a_replay_gives_it(
    make_world: MakeWorld, value: Any, expected: Any
) -> None:
    seen: list[Any] = []

    @agent
    async def keep(ctx: Context) -> None:
        seen.append(await ctx.step(lambda: value, name="give"))
        await ctx.step(lambda: None, name="end")

    world = make_world(keep)
    await world.run(keep)
    copy = await world.copy(5)
    await copy.resume(on_interrupted="retry")
    await copy.output()
    assert seen == [expected, expected]
    assert [type(found) for found in seen] == [type(expected)] * 2


def cycle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "give",
    [
        object,
        lambda: Color.RED,
        lambda: {1, 2},
        lambda: float("nan"),
        lambda: 10**5000,
        cycle,
        lambda: "x" * (64 * 1024 * 1024 + 1),
    ],
)
async def test_a_result_that_the_log_cannot_hold_fails_the_step(
    make_world: MakeWorld, give: Any
) -> None:
    world = make_world(once(give))
    code, message = await world.run("one_step")
    assert code == "result"
    assert "can't hold" in message
    await world.check()


async def test_a_deeply_nested_result_fails_the_step(make_world: MakeWorld) -> None:
    def deep() -> list[Any]:
        value: list[Any] = []
        for _ in range(sys.getrecursionlimit() * 20):
            value = [value]
        return value

    world = make_world(once(deep))
    assert (await world.run("one_step"))[0] == "result"


async def test_arguments_have_to_be_json(make_world: MakeWorld) -> None:
    @agent
    async def wrong(ctx: Context) -> str:
        try:
            await ctx.step(print, object())
        except TypeError as error:
            return str(error)
        return ""

    world = make_world(wrong)
    assert "the arguments of function 'print' have to be JSON values" in await world.run(wrong)
    assert "step.started" not in await world.kinds()


async def test_sync_functions_run_in_a_thread_and_async_ones_in_the_loop(
    make_world: MakeWorld,
) -> None:
    async def here() -> bool:
        return threading.current_thread() is threading.main_thread()

    def there() -> bool:
        return threading.current_thread() is threading.main_thread()

    class Callable:
        async def __call__(self) -> bool:
            return True

    @agent
    async def both(ctx: Context) -> list[bool]:
        return [await ctx.step(here), await ctx.step(there), await ctx.step(Callable())]

    assert await make_world(both).run(both) == [True, False, True]


async def test_a_step_cannot_use_the_context(make_world: MakeWorld) -> None:
    @agent
    async def nested(ctx: Context) -> list[str]:
        async def inner() -> Any:
            return await ctx.step(lambda: 1)

        def emits() -> Any:
            return ctx.now()

        failures = []
        for function in (inner, emits):
            try:
                await ctx.step(function)
            except StepFailed as error:
                failures.append(error.message)
        return failures

    world = make_world(nested)
    assert all("can't use the context" in message for message in await world.run(nested))


def raises(error: BaseException) -> Any:
    async def fail() -> None:
        raise error

    return fail


def raises_in_thread(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


class Wordless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        (raises(ToolError("no such file")), "tool", "no such file"),
        (raises(KeyError("x")), "exception", "KeyError: 'x'"),
        (raises(SystemExit(3)), "exception", "SystemExit: 3"),
        (raises_in_thread(SystemExit(3)), "exception", "SystemExit: 3"),
        (raises_in_thread(KeyboardInterrupt()), "exception", "raised KeyboardInterrupt"),
        (raises_in_thread(StopIteration()), "exception", "raised StopIteration"),
        (raises_in_thread(asyncio.CancelledError()), "exception", "raised CancelledError"),
        (raises(asyncio.CancelledError()), "exception", "canceled from within"),
        (raises(TimeoutError("slow")), "exception", "TimeoutError: slow"),
        (raises(Wordless()), "exception", "can't say why"),
        (raises(ToolError("\ud800")), "tool", "?"),
    ],
)
async def test_what_a_step_raises_is_told_to_the_agent(
    make_world: MakeWorld, function: Any, code: str, said: str
) -> None:
    world = make_world(once(function))
    found, message = await world.run("one_step")
    assert (found, said in message) == (code, True), message
    await world.check()


async def test_continue_with_in_a_step_fails_the_step(make_world: MakeWorld) -> None:
    @agent
    async def wrong(ctx: Context) -> str:
        async def leave() -> None:
            ctx.continue_with({})

        try:
            await ctx.step(leave)
        except StepFailed as error:
            return error.code
        return ""

    world = make_world(wrong)
    assert await world.run(wrong) == "exception"
    assert (await world.log.state(ID)).totals.runs == 1


async def test_a_step_that_is_not_caught_fails_the_run(make_world: MakeWorld) -> None:
    @agent
    async def careless(ctx: Context) -> None:
        await ctx.step(raises(ToolError("broken")), name="break")

    world = make_world(careless)
    await world.start(careless)
    error = await world.error()
    assert error.code == "step"
    assert error.message == "step 1 (break) failed: broken"


@pytest.mark.parametrize("kind", ["tool", "model"])
async def test_an_unknown_tool_fails_the_step_the_same_at_every_replay(
    make_world: MakeWorld, kind: str
) -> None:
    @agent
    async def asks(ctx: Context) -> str:
        try:
            await (ctx.tool("nope") if kind == "tool" else ctx.model("nope", "hi"))
        except StepFailed as error:
            await ctx.step(lambda: None, name="after", effect="readonly")
            return error.message
        return "found it"

    world = make_world(asks)
    assert await world.run(asks) == f"there is no such {kind}"
    seq = (await world.events(kind="step.failed"))[0]["seq"]

    @tool(name="nope")
    def nope(**arguments: Any) -> str:
        return "now there is one"

    options = {"tools": (nope,)} if kind == "tool" else {"models": (nope,)}
    later = Agent("asks", asks.function, **options)  # type: ignore[arg-type]
    copy = await world.copy(seq, agents=[later])
    await copy.resume()
    assert await copy.output() == f"there is no such {kind}"
    await copy.check()


async def test_a_tool_gets_its_arguments_by_name(make_world: MakeWorld) -> None:
    @tool(effect="readonly")
    def add(one: int, other: int) -> int:
        return one + other

    @agent(tools=[add])
    async def adds(ctx: Context) -> list[Any]:
        found: list[Any] = [await ctx.tool("add", one=1, other=2)]
        try:
            await ctx.tool("add", first=1)
        except StepFailed as error:
            found.append(error.code)
        return found

    assert await make_world(adds).run(adds) == [3, "exception"]


async def test_delta_is_shown_with_its_offset_from_the_loop_and_from_threads(
    make_world: MakeWorld,
) -> None:
    threads: list[bool] = []

    def show(delta: Delta) -> None:
        threads.append(threading.current_thread() is threading.main_thread())
        shown.append(delta)

    shown: list[Delta] = []

    async def here() -> None:
        call().delta("ab")
        call().delta("c")

    def there() -> None:
        call().delta("de")
        call().delta("f")

    @agent
    async def talks(ctx: Context) -> None:
        await ctx.step(here)
        await ctx.step(there)

    world = make_world(talks)
    object.__setattr__(world.controller._services, "on_delta", show)
    await world.run(talks)
    assert [(d.step, d.attempt, d.offset, d.text) for d in shown] == [
        ("1", 1, 0, "ab"),
        ("1", 1, 2, "c"),
        ("2", 1, 0, "de"),
        ("2", 1, 2, "f"),
    ]
    assert all(threads)
    assert {(d.conversation_id, d.actor) for d in shown} == {(ID, "talks")}


async def test_call_is_for_steps_only(make_world: MakeWorld) -> None:
    with pytest.raises(RuntimeError, match="functions that run as a step"):
        call()


# Retries


class Flaky:
    """Fails some times, and remembers how it was called."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.keys: list[str] = []

    async def __call__(self) -> int:
        this = call()
        self.keys.append(this.idempotency_key)
        if this.attempt <= self.failures:
            raise ToolError("not yet")
        return this.attempt


async def test_a_step_is_retried_under_the_same_key(make_world: MakeWorld) -> None:
    flaky = Flaky(2)
    world = make_world(once(flaky, retry=Retry(attempts=3, delay=0)))
    exec_id = await world.start("one_step")
    assert await world.output() == 3
    assert flaky.keys == [f"{ID}/{exec_id}/1"] * 3
    failed = await world.events(kind="step.failed")
    assert [event["data"]["next"] for event in failed] == ["retry", "retry"]


async def test_retries_end(make_world: MakeWorld) -> None:
    world = make_world(once(Flaky(99), retry=Retry(attempts=3, delay=0)))
    assert await world.run("one_step") == ["tool", "not yet"]
    assert [e["data"]["next"] for e in await world.events(kind="step.failed")] == [
        "retry",
        "retry",
        "end",
    ]


async def test_the_wait_between_attempts_grows_up_to_its_limit(make_world: MakeWorld) -> None:
    retry = Retry(attempts=5, delay=0.01, factor=3, max_delay=0.03)
    world = make_world(once(Flaky(99), retry=retry))
    await world.run("one_step")
    failed = [record.event() for record in await world.records() if record.kind == "step.failed"]
    waits = [(e.step_failed.retry_at_us - e.time_us) / 1e6 for e in failed[:-1]]
    assert waits == pytest.approx([0.01, 0.03, 0.03, 0.03], abs=0.005)


async def test_a_very_long_row_of_retries_is_no_overflow(make_world: MakeWorld) -> None:
    retry = Retry(attempts=1100, delay=1e-9, factor=2, max_delay=1e-6)
    world = make_world(once(Flaky(1099), retry=retry))
    assert await world.run("one_step") == 1100


async def test_no_attempt_begins_after_the_total(make_world: MakeWorld) -> None:
    world = make_world(once(Flaky(99), retry=Retry(attempts=50, delay=10, total=5)))
    assert await world.run("one_step") == ["tool", "not yet"]


async def test_retries_go_on_after_a_crash(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    calls: list[str] = []

    @agent
    async def tries(ctx: Context) -> int:
        async def flaky() -> int:
            calls.append(call().idempotency_key)
            if call().attempt < 3:
                raise ToolError("not yet")
            return 7

        found: int = await ctx.step(flaky, retry=Retry(attempts=9, delay=0.001))
        return found

    assert await crash_everywhere(make_world(tries), tries, calls=calls) == 7


async def test_a_backoff_that_a_crash_interrupts_is_not_begun_anew(make_world: MakeWorld) -> None:
    world = make_world(once(Flaky(1), retry=Retry(attempts=2, delay=0.2)))
    await world.start("one_step")
    await world.until(lambda state: any(s.state == "retrying" for s in state.open_steps.values()))
    copy = await world.copy()
    await copy.resume()
    assert await copy.output() == 2
    events = {r.kind: r.event() for r in await copy.records()}
    due = events["step.failed"].step_failed.retry_at_us
    assert due <= events["step.started"].time_us < due + 150_000
    assert await world.output() == 2


# Timeouts


async def hang() -> None:
    await asyncio.Event().wait()


async def test_a_timeout_leaves_an_unknown_outcome_that_is_decided(make_world: MakeWorld) -> None:
    world = make_world(once(hang, timeout=0.01))
    await world.start("one_step")
    (question,) = await world.waiting()
    assert question.type == "interrupted"
    assert "no outcome within 0.01 s" in question.question
    await world.answer("fail")
    assert (await world.output())[0] == "timeout"


@pytest.mark.parametrize("seconds", [math.inf, 1e15])
async def test_a_step_may_have_all_the_time_there_is(make_world: MakeWorld, seconds: float) -> None:
    def flaky() -> str:
        if call().attempt == 1:
            raise ValueError("not yet")
        return "done"

    retry = Retry(3, delay=0, total=seconds)
    world = make_world(once(flaky, timeout=seconds, retry=retry))
    assert await world.run("one_step") == "done"
    await world.check()


async def test_a_timed_out_step_that_is_decided_to_be_retried_is(make_world: MakeWorld) -> None:
    async def slow_once() -> str:
        if call().attempt == 1:
            await hang()
        return "done"

    world = make_world(once(slow_once, timeout=0.01))
    assert await world.run("one_step", on_interrupted="retry") == "done"
    world2 = make_world(once(slow_once, timeout=0.01))
    assert await world2.run("one_step", on_interrupted="skip") is None
    await world2.check()


@pytest.mark.parametrize("effect", ["readonly", "idempotent"])
async def test_harmless_steps_are_retried_after_a_timeout(
    make_world: MakeWorld, effect: str
) -> None:
    world = make_world(once(hang, timeout=0.01, effect=effect, retry=Retry(2, delay=0)))
    assert (await world.run("one_step"))[0] == "timeout"
    failed = await world.events(kind="step.failed")
    assert [(e["data"]["next"], e["data"]["unknown"]) for e in failed] == [
        ("retry", True),
        ("end", True),
    ]


async def test_a_function_in_a_thread_that_hangs_times_out(make_world: MakeWorld) -> None:
    let_go = threading.Event()
    world = make_world(once(let_go.wait, name="wait", timeout=0.01, effect="readonly"))
    assert (await world.run("one_step"))[0] == "timeout"
    let_go.set()


async def test_the_idempotency_key_is_the_same_after_a_crash_and_another_in_a_fork(
    make_world: MakeWorld,
) -> None:
    keys: list[str] = []
    going = asyncio.Event()

    async def hangs_at_first() -> None:
        keys.append(call().idempotency_key)
        going.set()
        if len(keys) == 1:
            await hang()

    world = make_world(once(hangs_at_first))
    await world.start("one_step")
    await going.wait()
    copy = await world.copy()
    await copy.controller.fork(ID, None, "fork", None, "tester")
    for name in (ID, "fork"):
        await copy.resume(name, on_interrupted="retry")
        await copy.output(name)
    assert keys[0] == keys[1]
    assert keys[2].startswith("fork/")
    assert len(set(keys)) == 2


async def test_finished_steps_are_not_redone_after_a_crash_at_any_event(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    calls: list[str] = []

    async def work(number: int) -> int:
        calls.append(call().idempotency_key)
        if number == 3:
            raise ToolError("three is too many")
        return number * 2

    @agent
    async def worker(ctx: Context) -> list[int]:
        found = []
        for number in range(5):
            try:
                found.append(await ctx.step(work, number))
            except StepFailed:
                found.append(-1)
            await ctx.emit(f"{number} is done")
        return found

    world = make_world(worker)
    assert await crash_everywhere(world, worker, calls=calls) == 16
