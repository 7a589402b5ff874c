"""Runs: how they start, stop, go on and end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import weakref
from typing import Any

import pytest

from axtui.agent import Agent, Context, StepFailed, agent, call
from axtui.runtime import driver
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import LogError, UnknownConversation
from tests.runtime.conftest import ID, CrashEverywhere, MakeWorld, World

calls: list[str] = []


async def work(name: str) -> str:
    calls.append(call().idempotency_key)
    return name


async def hang() -> None:
    await asyncio.Event().wait()


@agent
async def echoes(ctx: Context) -> str:
    return await ctx.step(work, ctx.input)


@agent
async def hangs(ctx: Context) -> str:
    await ctx.step(hang)
    return "done"


@agent
async def asks(ctx: Context) -> str:
    return await ctx.ask("Well?")


async def in_flight(world: World, body: Agent = hangs) -> str:
    """Start a run, and wait until its step is in flight and on disk."""
    exec_id = await world.start(body)
    await world.until(lambda state: state.open_steps or state.questions)
    await world.settled()
    await asyncio.sleep(0)
    return exec_id


# Starting


async def test_a_run_ends_with_what_its_agent_returns(make_world: MakeWorld) -> None:
    world = make_world(echoes)
    assert await world.run(echoes, "hello", config={"a": 1}) == "hello"
    assert await world.kinds() == [
        "run.started",
        "message",
        "step.started",
        "step.completed",
        "message",
        "run.completed",
    ]
    state = await world.log.state(ID)
    assert (state.run.state, state.title, state.run.workspace) == (
        "completed",
        "hello",
        str(world.folder),
    )
    started = (await world.events())[0]
    assert (started["principal"], started["data"]["config"]) == ("tester", {"a": 1})
    await world.check()


async def test_input_and_config_as_large_as_a_blob(make_world: MakeWorld) -> None:
    @agent
    async def measures(ctx: Context) -> list[int]:
        return [len(ctx.input), len(ctx.config)]

    world = make_world(measures)
    assert await world.run(measures, "x" * 100_000, config="y" * 200_000) == [100_000, 200_000]
    copy = await world.copy(2)
    await copy.resume()
    assert await copy.output() == [100_000, 200_000]


@pytest.mark.parametrize("name", ["", "$control", "a\nb"])
async def test_ids_that_are_none(make_world: MakeWorld, name: str) -> None:
    world = make_world(echoes)
    with pytest.raises(Refused, match="no id"):
        await world.start(echoes, "x", name)
    await world.run(echoes, "x")
    with pytest.raises(Refused, match="no id"):
        await world.controller.fork(ID, 2, name, None, "tester")


async def test_what_cannot_be_started_writes_nothing(make_world: MakeWorld) -> None:
    world = make_world(echoes)
    with pytest.raises(Refused, match="no agent 'nobody'") as refused:
        await world.start("nobody")
    assert (refused.value.code, refused.value.hint) == ("usage", "there are echoes")
    with pytest.raises(Refused, match="valid Unicode"):
        await world.start(echoes, "rm \udc80")
    with pytest.raises(Refused, match="longer than"):
        await world.start(echoes, "x" * (16 * 1024 * 1024 + 1))
    assert await world.log.find(ID) is None


async def test_an_open_conversation_takes_no_new_run(make_world: MakeWorld) -> None:
    world = make_world(hangs, echoes)
    await in_flight(world)
    with pytest.raises(Refused, match="hasn't ended") as refused:
        await world.start(echoes)
    assert refused.value.code == "in_flight"
    assert f"axtui attach {ID}" in refused.value.hint
    await world.controller.cancel(ID, "", "tester")
    assert await world.run(echoes, "next") == "next"


async def test_a_run_in_flight_is_not_resumed_otherwise_than_it_was_started(
    make_world: MakeWorld,
) -> None:
    world = make_world(hangs)
    await in_flight(world)
    for options in ({"approve": "all"}, {"on_interrupted": "retry"}):
        with pytest.raises(Refused, match="keeps to what it was started with") as refused:
            await world.resume(**options)
        assert refused.value.code == "in_flight"
    assert (await world.resume()).run.state == "running"


async def test_the_same_agent_is_run_again_where_none_is_named(make_world: MakeWorld) -> None:
    world = make_world(echoes)
    await world.run(echoes, "one")
    assert await world.run("", "two") == "two"


async def test_a_deleted_conversation_is_gone(make_world: MakeWorld) -> None:
    world = make_world(echoes)
    await world.run(echoes, "x")
    await world.controller.delete(ID, "", "tester")
    with pytest.raises(Refused, match="was deleted"):
        await world.start(echoes)
    with pytest.raises(Refused, match="was deleted"):
        await world.resume()
    with pytest.raises(Refused, match="was deleted"):
        await world.controller.fork(ID, 2, "fork", None, "tester")
    await world.controller.purge(ID, "tester")
    assert await world.log.find(ID) is None


async def test_what_is_in_flight_is_neither_deleted_nor_purged(make_world: MakeWorld) -> None:
    world = make_world(hangs)
    await in_flight(world)
    with pytest.raises(Refused, match="in flight"):
        await world.controller.delete(ID, "", "tester")
    with pytest.raises(Refused, match="in flight"):
        await world.controller.purge(ID, "tester")


async def test_a_request_twice_does_nothing_twice(make_world: MakeWorld) -> None:
    world = make_world(echoes)

    async def start(request: str) -> Any:
        return await world.controller.start(ID, "x", "echoes", RunOptions(), "tester", request)

    one, again = await asyncio.gather(start("r1"), start("r1"))
    assert one == again
    await world.output()
    two = await start("r2")
    await world.output()
    assert two.exec_id != one.exec_id
    assert await start("r1") == one
    assert await start("r2") == two
    assert (await world.kinds()).count("run.started") == 2


async def test_two_starts_at_once_make_one_run(make_world: MakeWorld) -> None:
    world = make_world(echoes)
    found = await asyncio.gather(*(world.start(echoes) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, str) for one in found) == 1
    assert sum(isinstance(one, Refused) for one in found) == 4
    await world.output()
    assert (await world.kinds()).count("run.started") == 1


async def test_two_resumes_at_once_drive_it_once(make_world: MakeWorld) -> None:
    world = make_world(echoes)
    await world.run(echoes, "x")
    calls.clear()
    copy = await world.copy(2)
    await asyncio.gather(copy.resume(), copy.resume(), copy.resume())
    await copy.output()
    assert len(calls) == 1
    assert (await copy.kinds()).count("run.resumed") == 1


# Ending


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (lambda ctx: _raise(KeyError("x")), "exception", "KeyError: 'x'"),
        (lambda ctx: _raise(SystemExit(3)), "exception", "sys.exit(3)"),
        (lambda ctx: _raise(asyncio.CancelledError()), "agent", "canceled"),
        (lambda ctx: _raise(BaseExceptionGroup("g", [GeneratorExit()])), "exception", "g"),
        (lambda ctx: _value(object()), "result", "object"),
        (lambda ctx: _value(float("inf")), "result", "JSON"),
        (lambda ctx: _value("x" * (64 * 1024 * 1024 + 1)), "result", "67,108,86"),
    ],
)
async def test_runs_that_fail(make_world: MakeWorld, body: Any, code: str, said: str) -> None:
    world = make_world(agent(id="fails")(body))
    await world.start("fails")
    error = await world.error()
    assert (error.code, said in error.message) == (code, True), error
    await world.check()


async def _raise(error: BaseException) -> None:
    raise error


async def _value(value: Any) -> Any:
    return value


async def test_private_state_that_cannot_be_kept_fails_the_run(make_world: MakeWorld) -> None:
    @agent
    async def hoards(ctx: Context) -> None:
        ctx.state["thing"] = object()

    world = make_world(hoards)
    await world.start(hoards)
    assert "private state can't be kept" in (await world.error()).message


async def test_a_new_run_sees_what_was_said_in_the_earlier_ones(make_world: MakeWorld) -> None:
    @agent
    async def remembers(ctx: Context) -> Any:
        ctx.state["runs"] = ctx.state.get("runs", 0) + 1
        before = await ctx.history()
        await ctx.emit(f"on {ctx.input}")
        await ctx.emit("secret", internal=True)
        await ctx.emit("hm", thought=True)
        await ctx.emit("x" * 50_000 if ctx.input == "two" else "short")
        if ctx.input == "two":
            raise ValueError
        return [before, ctx.state["runs"]]

    world = make_world(remembers)
    assert await world.run(remembers, "one") == [[], 1]
    await world.start(remembers, "two")
    await world.error()
    (before, runs) = await world.run(remembers, "three")
    assert before == [
        ["user", "one"],
        ["assistant", "on one"],
        ["assistant", "short"],
        ["user", "two"],
        ["assistant", "on two"],
        ["assistant", "x" * 50_000],
    ]
    assert runs == 2


async def test_history_is_limited_to_the_newest(make_world: MakeWorld) -> None:
    @agent
    async def short(ctx: Context) -> Any:
        for number in range(3):
            await ctx.emit(str(number))
            await ctx.emit("-", internal=True)
        return await ctx.history(2)

    world = make_world(short)
    await world.run(short)
    assert await world.run(short) == [["assistant", "1"], ["assistant", "2"]]


async def test_continue_with_starts_the_next_run_in_its_place(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    @agent(timeout=60)
    async def endless(ctx: Context) -> str:
        round = ctx.state.get("round", 0)
        await ctx.step(work, str(round))
        if round < 2:
            ctx.continue_with({"round": round + 1})
        return f"after {round}"

    world = make_world(endless)
    exec_id = await world.start(endless, "go")
    assert await world.output() == "after 2"
    assert (await world.log.state(ID)).totals.runs == 3
    started = await world.events(kind="run.started")
    assert started[1]["data"]["continues"] == exec_id
    assert len({event["exec_id"] for event in started}) == 3
    await world.check()
    length = len(await world.records())
    kinds = await world.kinds()
    for place in range(2, length):
        if kinds[place - 1] == "run.completed":
            # The next run begins in the same transaction.
            continue
        copy = await world.copy(place)
        await copy.resume(on_interrupted="retry")
        assert await copy.output() == "after 2"


async def test_continue_with_what_is_no_json_fails_the_run(make_world: MakeWorld) -> None:
    @agent
    async def wrong(ctx: Context) -> None:
        ctx.continue_with({"x": object()})

    world = make_world(wrong)
    await world.start(wrong)
    assert (await world.error()).code == "result"


async def test_tasks_that_are_left_behind_end_with_the_run(make_world: MakeWorld) -> None:
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await hang()
        finally:
            ended.set()

    @agent
    async def careless(ctx: Context) -> str:
        left.append(asyncio.create_task(ctx.step(endless)))
        left.append(asyncio.create_task(ctx.ask("Anyone?")))
        return await ctx.step(work, "x")

    left: list[asyncio.Task[Any]] = []
    world = make_world(careless)
    assert await world.run(careless) == "x"
    assert ended.is_set()
    assert all(task.cancelled() for task in left)
    await world.check()


async def test_nothing_is_recorded_once_the_run_is_over(make_world: MakeWorld) -> None:
    """Of an agent that takes no notice of its end, nor keeps the loop busy."""
    tries = 0
    over: list[bool] = []

    @agent
    async def stubborn(ctx: Context) -> None:
        nonlocal tries
        while not over:
            tries += 1
            try:
                ctx.patched(f"x{tries}")
                await ctx.step(hang)
            except GeneratorExit:
                # Nobody waits for it any more, and whichever thread collects it mustn't stay in it.
                raise
            except BaseException:
                pass

    world = make_world(stubborn)
    await in_flight(world, stubborn)
    await world.controller.cancel(ID, "", "tester")
    count = len(await world.records())
    for _ in range(50):
        await asyncio.sleep(0)
    assert tries < 5
    assert len(await world.records()) == count
    await world.check()
    over.append(True)


# Stopping


async def test_cancel_ends_a_run_for_good(make_world: MakeWorld) -> None:
    world = make_world(hangs)
    await in_flight(world)
    await world.controller.cancel(ID, "no need", "ann")
    state = await world.log.state(ID)
    assert (state.run.state, state.run.cause, state.run.reason) == ("canceled", "ann", "no need")
    failed, canceled = (await world.events())[-2:]
    assert (failed["data"]["error"]["code"], failed["data"]["unknown"]) == ("canceled", True)
    assert canceled["kind"] == "run.canceled"
    with pytest.raises(Refused, match="canceled"):
        await world.controller.cancel(ID, "", "tester")
    assert (await world.resume()).run.state == "canceled"
    assert world.controller.driven(ID) is None
    await world.check()


@pytest.mark.parametrize("turns", range(8))
async def test_cancel_just_after_the_start(make_world: MakeWorld, turns: int) -> None:
    world = make_world(echoes)
    starting = asyncio.create_task(world.start(echoes, "x"))
    conversation = await world.log.conversation(ID, create=True)
    while not conversation.head.seq:  # noqa: ASYNC110
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    try:
        await world.controller.cancel(ID, "", "tester")
    except Refused:
        return
    await starting
    state = await world.ended()
    assert state.run.state == "canceled"
    assert (await world.kinds())[-1] == "run.canceled"


async def test_cancel_without_a_driver(make_world: MakeWorld) -> None:
    world = make_world(hangs, asks)
    await in_flight(world)
    copy = await world.copy()
    await copy.controller.cancel(ID, "", "tester")
    assert (await copy.log.state(ID)).run.state == "canceled"
    await copy.check()


async def test_cancel_while_waiting_and_while_paused(make_world: MakeWorld) -> None:
    world = make_world(asks)
    await in_flight(world, asks)
    await world.controller.cancel(ID, "", "tester")
    await world.check()
    await in_flight(world, asks)
    await world.controller.pause(ID, "", "tester")
    await world.controller.cancel(ID, "", "tester")
    assert (await world.log.state(ID)).run.state == "canceled"
    await world.check()


async def test_a_cancel_is_not_outdone_by_a_failure(make_world: MakeWorld) -> None:
    @agent(timeout=0.01)
    async def slow_to_go(ctx: Context) -> None:
        try:
            await ctx.step(hang)
        finally:
            gone.set()
            await asyncio.sleep(0.05)

    gone = asyncio.Event()
    world = make_world(slow_to_go)
    await world.start(slow_to_go)
    await gone.wait()
    await world.controller.cancel(ID, "", "tester")
    assert (await world.kinds())[-1] == "run.canceled"
    await world.check()


async def test_nobody_waits_for_an_agent_that_swallows_its_cancellation(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "CLEANUP_SECONDS", 0.02)
    released = asyncio.Event()

    @agent
    async def swallows(ctx: Context) -> str:
        while not released.is_set():
            try:
                await ctx.step(hang)
            except asyncio.CancelledError:
                with contextlib.suppress(asyncio.CancelledError):
                    await released.wait()
        return "never heard"

    world = make_world(swallows)
    await in_flight(world, swallows)
    await world.controller.cancel(ID, "", "tester")
    assert (await world.kinds())[-1] == "run.canceled"
    released.set()
    await asyncio.sleep(0)
    await world.check()


async def test_pause_lets_steps_in_flight_end_and_begins_no_more(make_world: MakeWorld) -> None:
    going, go = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        going.set()
        await go.wait()
        return "slow"

    @agent
    async def two(ctx: Context) -> list[str]:
        first = await ctx.step(slow)
        await ctx.emit("between")
        return [first, await ctx.step(work, "next")]

    world = make_world(two)
    await world.start(two)
    await going.wait()
    pausing = asyncio.create_task(world.controller.pause(ID, "lunch", "ann"))
    await world.until(lambda state: state.run.state == "paused")
    go.set()
    await pausing
    assert (await world.kinds())[-2:] == ["run.paused", "step.completed"]
    state = await world.log.state(ID)
    assert (state.run.cause, state.run.reason) == ("person", "lunch")
    with pytest.raises(Refused, match="paused already"):
        await world.controller.pause(ID, "", "tester")
    await world.resume()
    assert await world.output() == ["slow", "next"]
    resumed = (await world.events(kind="run.resumed"))[0]
    assert resumed["data"]["cause"] == "person"


async def test_a_step_that_hangs_is_unknown_after_the_grace_of_a_pause(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "GRACE_SECONDS", 0.02)
    world = make_world(hangs)
    await in_flight(world)
    await world.controller.pause(ID, "", "tester")
    failed = (await world.events())[-1]
    assert (failed["kind"], failed["data"]["next"], failed["data"]["unknown"]) == (
        "step.failed",
        "decide",
        True,
    )
    await world.resume(on_interrupted="skip")
    assert await world.output() == "done"


async def test_a_resume_during_the_grace_of_a_pause_goes_on_after_it(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "GRACE_SECONDS", 0.05)
    world = make_world(hangs)
    await in_flight(world)
    pausing = asyncio.create_task(world.controller.pause(ID, "", "tester"))
    await world.until(lambda state: state.run.state == "paused")
    state = await world.resume(on_interrupted="skip")
    assert state.run.state == "running"
    await pausing
    assert await world.output() == "done"


async def test_close_pauses_what_runs_and_leaves_what_waits(make_world: MakeWorld) -> None:
    world = make_world(hangs, asks)
    going = [f"h{n}" for n in range(8)]
    for name in going:
        await world.start(hangs, "", name)
    await world.start(asks, "", "waits")
    await world.waiting(id="waits")
    for name in going:
        await world.until(lambda state: state.open_steps, name)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await world.controller.suspend("tester", "going home")
    # The grace is for all of them together.
    assert loop.time() - begun < 2 * driver.GRACE_SECONDS
    for name in going:
        state = await world.log.state(name)
        assert (state.run.state, state.run.cause) == ("paused", "shutdown")
        await world.check(name)
    assert (await world.kinds("waits"))[-1] == "approval.requested"
    listed = await world.log.find("waits")
    assert listed is not None
    assert listed.summary.state == "waiting"
    await world.resume("waits")
    await world.answer("yes", id="waits")
    assert await world.output("waits") == "yes"
    await world.resume(going[0], on_interrupted="skip")
    assert (await world.events(going[0], "run.resumed"))[0]["data"]["cause"] == "restarted"
    await world.output(going[0])


async def test_an_unknown_conversation(make_world: MakeWorld) -> None:
    world = make_world(echoes)
    for act in (
        world.resume,
        lambda: world.controller.pause(ID, "", "tester"),
        lambda: world.controller.cancel(ID, "", "tester"),
        lambda: world.answer("x"),
        lambda: world.controller.fork(ID, None, "x", None, "tester"),
        lambda: world.controller.delete(ID, "", "tester"),
        lambda: world.controller.purge(ID, "tester"),
    ):
        with pytest.raises(UnknownConversation):
            await act()


# Time


async def test_a_run_that_takes_too_long_fails(make_world: MakeWorld) -> None:
    slow = Agent("slow", hangs.function, timeout=0.03)
    world = make_world(slow)
    await world.start(slow)
    error = await world.error()
    assert (error.code, "0.03 s" in error.message) == ("timeout", True)
    await world.check()


async def test_an_agent_that_never_asks_for_anything_times_out(make_world: MakeWorld) -> None:
    @agent(timeout=0.03)
    async def silent(ctx: Context) -> None:
        await hang()

    world = make_world(silent)
    await world.start(silent)
    assert (await world.error()).code == "timeout"


async def test_waiting_for_a_person_takes_no_running_time(make_world: MakeWorld) -> None:
    @agent(timeout=1)
    async def waits(ctx: Context) -> None:
        await ctx.ask("Well?")
        await ctx.step(hang)

    world = make_world(waits)
    await world.start(waits)
    await world.waiting()
    await asyncio.sleep(1.1)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await world.answer("yes")
    assert (await world.error()).code == "timeout"
    assert loop.time() - begun > 0.3


async def test_the_running_time_goes_on_where_it_was_after_a_restart(make_world: MakeWorld) -> None:
    slow = Agent("slow", hangs.function, timeout=1)
    world = make_world(slow)
    await in_flight(world, slow)
    await asyncio.sleep(0.5)
    await world.controller.suspend("tester")
    used = (await world.log.state(ID)).run.active_us
    assert used > 400_000
    await world.resume(on_interrupted="retry")
    assert (await world.error()).code == "timeout"
    # Begun anew, it would have had a whole second more.
    assert (await world.log.state(ID)).run.active_us < used + 1_000_000


async def test_a_run_that_waits_keeps_no_clock_ticking(make_world: MakeWorld) -> None:
    @agent(timeout=0.5)
    async def waits(ctx: Context) -> None:
        await ctx.step(asyncio.sleep, 0.01)
        await ctx.ask("Well?")

    world = make_world(waits)
    await world.start(waits)
    await world.waiting()
    found, _ = world.controller._driven[ID]
    found._set_alarm()
    assert found._alarm is None


# Failing disks


def break_disk(world: World) -> None:
    """From now on every commit fails, as on a full disk."""

    def full() -> None:
        raise OSError(28, "No space left on device")

    writer = world.log._writer
    assert writer is not None
    writer._check_file = full  # type: ignore[method-assign]


async def test_a_log_that_fails_ends_the_run_without_a_word_more(make_world: MakeWorld) -> None:
    @agent
    async def stubborn(ctx: Context) -> str:
        try:
            await ctx.step(work, "1")
            break_disk(world)
            await ctx.step(work, "2")
        except Exception as error:
            return f"swallowed {error}"
        return ""

    world = make_world(stubborn)
    calls.clear()
    await world.start(stubborn)
    task = world.controller.driven(ID)
    assert task is not None
    with pytest.raises(LogError):
        await task
    assert len(calls) == 1
    with pytest.raises(LogError):
        await world.start(stubborn, id="other")


async def test_close_works_while_the_log_fails(make_world: MakeWorld) -> None:
    world = make_world(hangs, asks)
    await in_flight(world)
    await world.start(asks, "", "waits")
    await world.waiting(id="waits")
    tasks = [world.controller.driven(name) for name in (ID, "waits")]
    break_disk(world)
    with pytest.raises(LogError):
        await world.start(asks, "", "third")
    async with asyncio.timeout(5):
        await world.controller.suspend("tester")
    assert all(task is not None and task.done() for task in tasks)


# Memory


async def test_nothing_of_a_run_is_held_once_it_has_ended(make_world: MakeWorld) -> None:
    @agent(timeout=3600)
    async def busy(ctx: Context) -> str:
        await asyncio.gather(*(ctx.step(work, str(n)) for n in range(3)))
        await ctx.agent("echoes", "x")
        return await ctx.step(work, "end")

    world = make_world(busy, echoes, asks)
    held: list[weakref.ref[Any]] = []
    for number in range(3):
        await world.start(busy, "", f"c{number}")
        found, task = world.controller._driven[f"c{number}"]
        held += [weakref.ref(found), weakref.ref(found.conversation), weakref.ref(task)]
        del found, task
        await world.output(f"c{number}")
    await asyncio.sleep(0)
    gc.collect()
    # The log's writer holds on to its last batch until there is another.
    assert [ref() for ref in held[:6]] == [None] * 6
    assert not world.controller._driven
    assert not world.controller._locks


# A process that is killed

KILLED = """
import asyncio, os, sys
from pathlib import Path
from axtui.agent import agent, call
from axtui.runtime.config import Config
from axtui.runtime.controller import Controller, RunOptions
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.registry import Registry

folder = Path(sys.argv[1])

def effect(number):
    with open(folder / "effects", "a") as file:
        file.write(f"{call().idempotency_key.split('/')[-1]}\\n")
        file.flush()
        os.fsync(file.fileno())
    if number == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
    return number

@agent
async def kills(ctx):
    return [await ctx.step(effect, number, effect="idempotent") for number in range(6)]

async def main():
    log = SqliteLog.open_to_write(folder / "log.db")
    controller = Controller(log, Config(data_dir=folder), Registry([kills]))
    if await log.find("c") is None:
        await controller.start("c", "", "kills", RunOptions(), "me")
    else:
        await controller.resume("c", RunOptions(), "me")
    await asyncio.wait({controller.driven("c")})
    print((await log.state("c")).run.output.text)
    await controller.close()

asyncio.run(main())
"""


async def test_a_process_that_is_killed_leaves_a_run_that_goes_on(make_world: MakeWorld) -> None:
    folder = make_world().folder / "killed"
    folder.mkdir()
    for number in (1, 4):
        done = await asyncio.to_thread(_process, folder, number)
        assert done.returncode == -signal.SIGKILL, done.stderr
    done = await asyncio.to_thread(_process, folder, 99)
    assert done.stdout.strip() == "[0,1,2,3,4,5]", done.stderr
    effects = (folder / "effects").read_text().split()
    # Only what was in flight at a kill is done again.
    assert effects == ["1", "2", "2", "3", "4", "5", "5", "6"]


def _process(folder: Any, number: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(number)],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=os.getcwd(),
    )


async def test_a_failed_step_may_be_caught_and_the_run_goes_on(make_world: MakeWorld) -> None:
    @agent
    async def catches(ctx: Context) -> str:
        try:
            await ctx.step(_raise, name="no")
        except StepFailed:
            return await ctx.step(work, "went on")
        return ""

    assert await make_world(catches).run(catches) == "went on"
