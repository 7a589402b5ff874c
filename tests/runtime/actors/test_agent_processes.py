"""Agents in processes of their own: what becomes of a run whose process does as it likes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axtui.runtime import driver
from axtui.runtime.actors import agent_processes, supervisor, wire
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.errors import Refused
from axtui.runtime.registry import Registered
from tests.runtime.actors import agents_for_tests, unruly_agents
from tests.runtime.actors.agents_for_tests import CALLS
from tests.runtime.actors.test_shim import _is_alive
from tests.runtime.conftest import ID, MakeWorld, World, in_process, serving


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(supervisor, "MAX_CRASHES", 2)


Unruly = Callable[[str], AgentConfig]
UNRULY = "tests.runtime.actors.unruly_agents"


@pytest.fixture(params=["process", "command"])
def unruly(request: pytest.FixtureRequest) -> Unruly:
    """Has an agent run in a process that we start: ours, or a command that serves it."""

    def served(name: str) -> AgentConfig:
        return AgentConfig(name, command=serving(UNRULY))

    return served if request.param == "command" else ours


def ours(name: str) -> AgentConfig:
    """Has an agent run in a process of ours."""
    return in_process(getattr(unruly_agents, name))


def effects(world: World) -> list[str]:
    """The keys of the steps that were done, each as often as it was."""
    return [line.split("/", 2)[2] for line in (world.folder / CALLS).read_text().split()]


async def pid(world: World) -> int:
    """Of the process, once it hangs."""
    await world.until(lambda state: state.seq > 2)
    path = world.folder / "pid"
    async with asyncio.timeout(60):
        while not path.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return int(path.read_text())


# Ends


@pytest.mark.parametrize(
    ("how", "why"), [("kill", "signal 9 (dying)"), ("exit", "exit status 7 (dying)")]
)
async def test_a_step_in_flight_is_decided_when_its_process_ends(
    make_world: MakeWorld,
    how: str,
    why: str,
    unruly: Unruly,
) -> None:
    world = make_world(unruly("dies_in_a_step"))
    await world.start("dies_in_a_step", config=["", how])
    (question,) = await world.waiting()
    assert f"the process of dies_in_a_step ended ({why})" in question.question
    await world.answer("retry")
    assert await world.output() == ["before", "attempt 2", "beside"]
    await world.check()
    done = effects(world)
    assert (done.count("1"), done.count("2")) == (1, 2)
    (note,) = await world.events(kind="note")
    assert note["actor"] == "dies_in_a_step"
    assert note["data"]["text"] == (
        f"the process of dies_in_a_step ended ({why}); the run is driven anew"
    )


@pytest.mark.parametrize(
    ("policy", "output"),
    [
        ("skip", ["before", None, "beside"]),
        ("fail", ["before", "interrupted", "the process of"]),
    ],
)
async def test_or_by_the_policy(make_world: MakeWorld, policy: str, output: list[Any]) -> None:
    world = make_world(ours("dies_in_a_step"))
    found = await world.run("dies_in_a_step", config=["", "kill"], on_interrupted=policy)
    assert [str(part)[:14] for part in found] == [str(part) for part in output]
    await world.check()


@pytest.mark.parametrize("effect", ["readonly", "idempotent"])
async def test_a_harmless_step_is_silently_begun_again(
    make_world: MakeWorld, unruly: Unruly, effect: str
) -> None:
    world = make_world(unruly("dies_in_a_step"))
    found = await world.run("dies_in_a_step", config=[effect, "kill"], on_interrupted="skip")
    assert found[1] == "attempt 2"


async def test_an_agent_that_ends_outside_of_a_step_goes_on(
    make_world: MakeWorld, unruly: Unruly
) -> None:
    world = make_world(unruly("dies_once"))
    assert await world.run("dies_once") == ["before", "after"]
    assert effects(world) == ["1", "2"]
    assert (await world.kinds()).count("note") == 1
    await world.check()


async def test_a_loop_of_crashes_fails_the_run_with_its_last_words(
    make_world: MakeWorld, unruly: Unruly
) -> None:
    world = make_world(unruly("dies_each_time"))
    await world.start("dies_each_time")
    error = await world.error()
    assert error.code == "agent"
    assert error.message == ("dies_each_time ended 2 times in a row: exit status 7 (out of order)")
    assert error.detail == "out of order\n"
    assert (await world.kinds()).count("message") == 2
    await world.check()


@pytest.mark.parametrize("parent", [unruly_agents.calls_one_that_dies, None])
async def test_a_nested_agent_whose_process_ends_goes_on(
    make_world: MakeWorld,
    parent: Registered | None,
    unruly: Unruly,
) -> None:
    caller = parent or unruly("calls_one_that_dies")
    world = make_world(caller, unruly("dies_once"))
    found = await world.run("calls_one_that_dies", config="dies_once")
    assert found == ["parent's", ["before", "after"]]
    assert effects(world) == ["1", "2/1", "2/2"]
    await world.check()


async def test_a_nested_agent_that_always_crashes_is_a_failed_step(make_world: MakeWorld) -> None:
    world = make_world(ours("calls_one_that_dies"), ours("dies_at_once"))
    found = await world.run("calls_one_that_dies", config="dies_at_once")
    assert found[:2] == ["parent's", "agent"]
    assert "ended 2 times in a row" in found[2]
    await world.check()


async def test_or_a_failed_run_if_it_has_done_something(make_world: MakeWorld) -> None:
    world = make_world(ours("calls_one_that_dies"), ours("dies_each_time"))
    await world.start("calls_one_that_dies", config="dies_each_time")
    error = await world.error()
    assert (error.code, error.detail) == ("agent", "out of order\n")
    assert "dies_each_time ended 2 times in a row" in error.message
    await world.check()


async def test_so_is_one_that_cannot_be_loaded(make_world: MakeWorld) -> None:
    world = make_world(ours("calls_one_that_dies"), AgentConfig("bad", "no_such_module:x"))
    found = await world.run("calls_one_that_dies", config="bad")
    assert found[1] == "agent"
    assert "No module named 'no_such_module'" in found[2]


async def test_garbage_fails_the_run_alone(make_world: MakeWorld, unruly: Unruly) -> None:
    world = make_world(unruly("writes_garbage"), in_process(agents_for_tests.old))
    await world.start("writes_garbage")
    await world.start("old", id="other")
    assert "it sent what is no message" in (await world.error()).message
    assert await world.output("other") == ["a", "b"]


# Hangs


@pytest.mark.parametrize("manners", ["", "deaf"])
async def test_one_that_hangs_is_ended_by_a_cancel(
    make_world: MakeWorld, unruly: Unruly, manners: str
) -> None:
    world = make_world(unruly("hangs"))
    await world.start("hangs", config=manners)
    hanging = await pid(world)
    assert _is_alive(hanging)
    await world.controller.cancel(ID, "", "tester")
    assert not _is_alive(hanging)
    assert (await world.kinds())[-1] == "run.canceled"
    await world.check()


async def test_and_by_the_time_limit_of_the_run(make_world: MakeWorld) -> None:
    world = make_world(ours("hangs_for_a_while"))
    await world.start("hangs_for_a_while")
    hanging = await pid(world)
    assert (await world.error()).code == "timeout"
    assert not _is_alive(hanging)


async def test_and_by_a_pause_whose_resume_begins_with_a_new_process(
    make_world: MakeWorld,
) -> None:
    world = make_world(ours("hangs_in_a_step"))
    await world.start("hangs_in_a_step")
    hanging = await pid(world)
    await world.until(lambda state: state.open_steps)
    await world.controller.pause(ID, "", "tester")
    assert not _is_alive(hanging)
    (failed,) = await world.events(kind="step.failed")
    assert (failed["data"]["next"], failed["data"]["unknown"]) == ("decide", True)
    await world.resume(on_interrupted="retry")
    assert await world.output() == "done"


async def test_a_parent_goes_on_without_one_that_hangs(
    make_world: MakeWorld,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agent_processes, "BUSY_SECONDS", 0.5)
    world = make_world(ours("gives_up_one_that_hangs"), ours("hangs"))
    await world.start("gives_up_one_that_hangs")
    hanging = await pid(world)
    assert await world.output() == "went on"
    assert not _is_alive(hanging)
    await world.check()
    # It was no crash: nothing is driven anew.
    assert "note" not in await world.kinds()


async def test_an_agent_may_clean_up_when_it_is_canceled(
    make_world: MakeWorld, unruly: Unruly, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a moment is long.
    monkeypatch.setattr(driver, "CLEANUP_SECONDS", 30)
    monkeypatch.setattr(agent_processes, "HANG_SECONDS", 30)
    world = make_world(unruly("cleans_up"))
    await world.start("cleans_up")
    await world.waiting()
    await world.controller.cancel(ID, "", "tester")
    assert (world.folder / "cleaned").exists()


# Leftovers and floods


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds daemons")
async def test_what_it_has_started_ends_with_it(make_world: MakeWorld, unruly: Unruly) -> None:
    world = make_world(unruly("forks"))
    daemon = await world.run("forks")
    assert not _is_alive(daemon)
    await world.start("forks", config="die")
    assert "exit status 7" in (await world.error()).message
    assert not _is_alive(int((world.folder / "pid").read_text()))


async def test_a_flood_of_words_is_cut_and_shown_where_the_run_fails(
    make_world: MakeWorld,
    capfd: pytest.CaptureFixture[str],
    unruly: Unruly,
) -> None:
    world = make_world(unruly("prints"))
    await world.start("prints")
    assert (await world.error()).message == "ValueError: enough"
    assert capfd.readouterr() == ("", "")


async def test_its_last_words_are_redacted(
    make_world: MakeWorld,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "tweet-tweet-tweet")
    world = make_world(ours("tells_a_secret"))
    await world.start("tells_a_secret")
    error = await world.error()
    assert "it is" in error.message
    assert "tweet" not in f"{error} {await world.events()}"


async def test_it_has_no_input(make_world: MakeWorld, unruly: Unruly) -> None:
    assert await make_world(unruly("reads")).run("reads") == ["", ""]


async def test_there_is_a_limit_to_what_it_asks_at_a_time(
    make_world: MakeWorld,
    monkeypatch: pytest.MonkeyPatch,
    unruly: Unruly,
) -> None:
    monkeypatch.setattr(wire, "MAX_CALLS", 200)
    world = make_world(unruly("asks_too_much"))
    assert await world.run("asks_too_much") == ["200 calls are in flight already"]
    await world.check()


async def test_lies_are_refused(make_world: MakeWorld) -> None:
    world = make_world(ours("lies"))
    found = await world.run("lies")
    assert set(found) == {"Fault"}
    await world.check()


# Beginnings


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("no_such_module:x", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("tests.runtime.actors.unruly_agents:nobody", "AttributeError"),
        (
            "tests.runtime.actors.unruly_agents:not_an_agent",
            "it is a builtin_function_or_method, not an agent: decorate",
        ),
        ("tests.runtime.actors.unruly_agents:soon", "its timeout is no number of seconds"),
        ("tests.runtime.actors.module_that_exits:x", "SystemExit: 3"),
        ("tests.runtime.actors.module_that_dies:x", "exit status 9 (no further)"),
    ],
)
async def test_what_cannot_be_loaded_is_said_before_anything_is_written(
    make_world: MakeWorld, python: str, why: str
) -> None:
    world = make_world(AgentConfig("bad", python))
    with pytest.raises(Refused) as refused:
        await world.start("bad")
    assert refused.value.code == "usage"
    assert str(refused.value).startswith(f"agent 'bad' can't be loaded from {python!r}: {why}")
    assert await world.log.find(ID) is None


async def test_nor_is_a_run_resumed_with_it(make_world: MakeWorld) -> None:
    world = make_world(in_process(agents_for_tests.old))
    await world.run("old")
    copy = await world.copy(4, agents=[AgentConfig("old", "no_such_module:x")])
    with pytest.raises(Refused, match="can't be loaded"):
        await copy.resume()
    assert len(await copy.records()) == 4


async def test_what_is_no_function_fails_the_run(make_world: MakeWorld) -> None:
    world = make_world(AgentConfig("odd", "tests.runtime.actors.unruly_agents:odd_agent"))
    await world.start("odd")
    error = await world.error()
    assert (error.code, "TypeError" in error.message) == ("exception", True)


async def test_it_runs_where_axtui_was_started_and_sees_what_it_sees(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever is called like something that Python needs itself."""
    for name in ("asyncio", "json", "random", "wire", "site"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')")
    (tmp_path / "local_agent.py").write_text(
        "from tests.runtime.actors.unruly_agents import looks_around"
    )
    monkeypatch.setenv("MY_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.chdir(tmp_path)
    world = make_world(AgentConfig("local", "local_agent:looks_around"))
    found = await world.run("local")
    assert found.pop("pid") != os.getpid()
    assert found == {
        "folder": str(tmp_path),
        "first": str(tmp_path),
        "secret": "secret",
        "heavy": [],
    }


async def test_what_it_says_of_itself_holds_unless_the_configuration_does(
    make_world: MakeWorld,
) -> None:
    name = "tests.runtime.actors.unruly_agents:hangs_for_a_while"
    world = make_world(AgentConfig("own", name), AgentConfig("other", name, timeout=1.5))
    limits = []
    for agent in ("own", "other"):
        await world.start(agent, id=agent)
        await world.controller.cancel(agent, "", "tester")
        started = (await world.events(agent, "run.started"))[0]["data"]
        limits.append(started["limits"]["timeout_us"])
    assert limits == [500_000, 1_500_000]


async def test_calls_of_one_agent_in_a_run_share_its_process(
    make_world: MakeWorld, unruly: Unruly
) -> None:
    world = make_world(unruly("calls_twice"), unruly("looks_around"))
    one, other, own = await world.run("calls_twice")
    assert one == other != own


async def test_what_has_not_begun_when_the_agent_returns_never_does(
    make_world: MakeWorld, served_at: str
) -> None:
    for placed in (in_process(agents_for_tests.forgets), AgentConfig("forgets", address=served_at)):
        world = make_world(placed)
        for _ in range(3):
            assert await world.run("forgets") == "x"
        assert "left" not in str(await world.events())
        assert set(await world.kinds()) & {"step.failed"} == set()
