"""What an agent gets and does is the same: run here, in a process, or behind an address."""

from __future__ import annotations

from typing import Any

import pytest

from axtui.agent import Agent
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.config import Policy
from axtui.runtime.journal import Delta
from tests.runtime.actors import agents_for_tests as agents
from tests.runtime.conftest import Calls, CrashEverywhere, MakeWorld, Placed, in_process


async def _all(make_world: MakeWorld, served_at: str, agent: Agent, input: str) -> list[Any]:
    """How runs of an agent end: here, in a process, behind an address."""
    ends = []
    for placed in (agent, in_process(agent), AgentConfig(agent.id, address=served_at)):
        world = make_world(placed)
        await world.start(placed, input)
        run = (await world.ended()).run
        await world.check()
        ends.append([run.state, run.error.code, run.error.message, run.output.text])
    return ends


@pytest.mark.parametrize("name", agents.GIVEN)
async def test_what_a_step_gives(make_world: MakeWorld, served_at: str, name: str) -> None:
    here, *elsewhere = await _all(make_world, served_at, agents.gives, name)
    if name == "more than a frame":
        # How many bytes are too many is said of the message, not of the value.
        assert [end[3].count("can't hold") for end in (here, *elsewhere)] == [1, 1, 1]
    else:
        assert elsewhere == [here, here]
    assert here[0] == "completed"


@pytest.mark.parametrize("name", agents.RAISED)
async def test_what_a_step_raises(make_world: MakeWorld, served_at: str, name: str) -> None:
    here, *elsewhere = await _all(make_world, served_at, agents.raises, name)
    assert elsewhere == [here, here]
    assert here[0] == "completed"


@pytest.mark.parametrize("name", ["breaks", "odd", "hoards", "exits", "cancels", "recurses"])
async def test_how_an_agent_fails(make_world: MakeWorld, served_at: str, name: str) -> None:
    here, *elsewhere = await _all(make_world, served_at, getattr(agents, name), "")
    assert elsewhere == [here, here]
    assert here[0] == "failed"


async def test_a_traceback_is_kept(make_world: MakeWorld, placed: Placed) -> None:
    world = make_world(placed(agents.breaks))
    await world.start("breaks")
    error = await world.error()
    assert "agents_for_tests.py" in error.detail
    assert error.detail.endswith("KeyError: 'broken'\n")


async def test_retries_go_on_after_a_crash(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere, placed: Placed
) -> None:
    world = make_world(placed(agents.tries))
    await crash_everywhere(world, placed(agents.tries), calls=Calls(world))
    assert (await world.events())[-1]["data"]["output"] == 7


async def test_a_step_that_takes_too_long_is_ended_and_decided(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(agents.waits))
    await world.start("waits")
    (question,) = await world.waiting()
    assert "no outcome within 0.05 s" in question.question
    await world.answer("retry")
    assert await world.output() == "done"
    said = (world.folder / agents.CALLS).read_text().splitlines()
    assert said == ["attempt 1", "cleaned up", "attempt 2"]


async def test_tools_and_models_that_an_agent_brings(make_world: MakeWorld, placed: Placed) -> None:
    shown: list[Delta] = []
    world = make_world(placed(agents.brings))
    object.__setattr__(world.controller._services, "on_delta", shown.append)
    assert await world.run("brings") == ["A", "b 2", "exception", "unknown"]
    assert [(delta.step, delta.offset, delta.text) for delta in shown] == [
        ("2", 0, "gu"),
        ("2", 2, "ess"),
    ]
    started = [event["data"] for event in await world.events(kind="step.started")]
    assert [(step["type"], step["name"], step.get("effect")) for step in started] == [
        ("tool", "put", "idempotent"),
        ("model", "guess", None),
        ("tool", "put", "idempotent"),
    ]


async def test_the_policy_holds_for_them(make_world: MakeWorld, placed: Placed) -> None:
    world = make_world(placed(agents.brings), policy=Policy(approve={"put": "ask"}))
    await world.start("brings", approve="policy")
    (question,) = await world.waiting()
    assert "May brings run the tool put" in question.question
    await world.answer("deny")
    error = await world.error()
    assert (error.code, error.message) == ("step", "step 1 (put) failed: denied")


async def test_private_state_and_history(make_world: MakeWorld, placed: Placed) -> None:
    world = make_world(placed(agents.remembers))
    assert await world.run("remembers", "one") == [[], 1]
    assert await world.run("remembers", "two") == [
        [["user", "one"], ["assistant", "on one"]],
        2,
    ]


async def test_continue_with_starts_the_next_run_in_its_place(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(agents.endless))
    await world.start("endless", "go")
    assert await world.output() == "after 2"
    started = await world.events(kind="run.started")
    assert [event["data"]["limits"]["timeout_us"] for event in started] == [60_000_000] * 3
    await world.check()


async def test_input_and_config_as_large_as_a_blob(make_world: MakeWorld, placed: Placed) -> None:
    world = make_world(placed(agents.measures))
    found = await world.run("measures", "ü" * 100_000, config="y" * 200_000)
    assert found == [100_000, 200_000]


async def test_an_emitted_text_beyond_the_limit_fails_the_run(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(agents.shouts))
    await world.start("shouts")
    error = await world.error()
    assert error.code == "exception"
    assert "more than the 67,108,864 a log takes" in error.message
