"""Agents that speak Google AX's protocol: one in another process, with AX's own messages, is called
by our runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from axtui.agent import ActorError, Context, agent
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.errors import Refused
from tests.runtime.conftest import ID, MakeWorld, World
from tests.runtime.scripted import Model, says, turns, wants

ROOT = Path(__file__).parents[3]
SECONDS = 30.0


class Foreign:
    """The agent's process. `requests` has what it was sent."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address
        self.lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    def config(self, id: str = "far", **more: Any) -> AgentConfig:
        """How it is configured."""
        more.setdefault("protocol", "ax")
        return AgentConfig(id, address=self.address, **more)

    async def line(self) -> dict[str, Any]:
        """The next thing that it prints."""
        async with asyncio.timeout(SECONDS):
            return await self.lines.get()

    async def told(self) -> list[str]:
        """What it was sent next, in words: private messages in parentheses."""
        request = (await self.line())["request"]
        return [_words(message) for message in request["start"]["messages"]]

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.put_nowait(json.loads(line))

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading


def _words(message: dict[str, Any]) -> str:
    content = message["content"]
    (kind,) = content
    said = content[kind].get("text", "") if kind == "text" else kind
    said = f"({said})" if message.get("internal_only") else said
    return f"> {said}" if message["role"] == "user" else said


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts such agents."""
    found: list[Foreign] = []

    async def begin(*arguments: str, **env: str) -> Foreign:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.ax.agent", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        )
        assert process.stdout is not None
        address = json.loads(await process.stdout.readline())["address"]
        found.append(Foreign(process, address))
        return found[-1]

    yield begin
    for one in found:
        await one.close()


@pytest.fixture
async def foreign(start: Start) -> Foreign:
    """An agent of AX."""
    found: Foreign = await start()
    return found


@pytest.fixture
async def world(make_world: MakeWorld, foreign: Foreign) -> World:
    """A controller with it and with one that calls it twice."""
    harness = foreign.config("harness", protocol="ax-harness")
    return make_world(foreign.config(), harness, caller, historian)


@agent
async def caller(ctx: Context) -> list[Any]:
    return [await ctx.agent("far", word) for word in ctx.input.split(", ")]


async def said(world: World) -> list[str]:
    """The transcript: texts, thoughts in brackets, and what is private in parentheses."""
    found = []
    for event in await world.events(kind="message"):
        for part in event["data"]["content"]:
            text = part.get("text") or f"[{part['thought']}]" if "ax" not in part else "…"
            if "thought" in part:
                text = f"[{part['thought']}]"
            found.append(f"({text})" if event["data"].get("internal_only") else text)
    return found


async def test_what_it_says_is_committed_as_messages_and_is_the_output(
    world: World, foreign: Foreign
) -> None:
    exec_id = await world.start("far", "say one two", config={"deep": True})
    assert await world.output() == "one\ntwo"
    assert await said(world) == ["say one two", "one", "two"]
    line = await foreign.line()
    assert line["execution-id"] == line["request"]["exec_id"] == exec_id
    assert line["request"]["conversation_id"] == ID
    assert line["request"]["start"] == {
        "agent_id": "far",
        "agent_config": "eyJkZWVwIjp0cnVlfQ==",
        "messages": [{"role": "user", "content": {"text": {"text": "say one two"}}}],
    }
    await world.check()


async def test_an_agent_with_cancel_says_the_same(world: World, foreign: Foreign) -> None:
    assert await world.run("harness", "say one two") == "one\ntwo"
    request = (await foreign.line())["request"]
    assert (request["conversation_id"], request["harness_id"]) == (ID, "harness")


async def test_it_is_sent_all_that_was_said_and_the_input_last(
    world: World, foreign: Foreign
) -> None:
    await world.run("far", "say one")
    await foreign.line()
    await world.run("far", "say two")
    assert await foreign.told() == ["> say one", "one", "> say two"]


async def test_what_is_private_is_kept_for_it_alone(world: World, foreign: Foreign) -> None:
    await world.run("far", "secret 7")
    await foreign.line()
    await world.run("far", "say on")
    assert await foreign.told() == ["> secret 7", "(session 7)", "noted", "> say on"]
    await world.run("harness", "say other")
    assert await foreign.told() == ["> secret 7", "noted", "> say on", "on", "> say other"]
    assert await said(world) == [
        "secret 7",
        "(session 7)",
        "noted",
        "say on",
        "on",
        "say other",
        "other",
    ]


async def test_each_call_of_a_nested_one_is_an_execution_of_its_own(
    world: World, foreign: Foreign
) -> None:
    exec_id = await world.start(caller, "secret 1, say two")
    assert await world.output() == ["noted", "two"]
    first, second = await foreign.line(), await foreign.line()
    assert first["execution-id"] == f"{exec_id}/1"
    assert second["execution-id"] == f"{exec_id}/2"
    told = [_words(message) for message in second["request"]["start"]["messages"]]
    assert told == ["(session 1)", "noted", "> say two"]
    await world.check()


async def test_contents_that_are_no_text_go_there_and_back(world: World, foreign: Foreign) -> None:
    await world.run("far", "rich x")
    await foreign.line()
    assert await said(world) == ["rich x", "[hmm]", "…", "…", "…", "seen"]
    await world.run("far", "say x")
    contents = [m["content"] for m in (await foreign.line())["request"]["start"]["messages"]]
    assert contents[1] == {"thought": {"summary": [{"text": {"text": "hmm"}}], "signature": "c2ln"}}
    assert contents[2] == {"tool_call": {"id": "1", "function_call": {"name": "look"}}}
    assert contents[3] == {"tool_result": {"call_id": "1", "function_result": {"name": "look"}}}
    assert contents[4] == {"image": {"mime_type": 1, "data": "cG5n"}}


@pytest.mark.parametrize(("choice", "answer"), [("approve", "approved"), ("deny", "declined")])
async def test_a_confirmation_is_a_durable_question(
    world: World, foreign: Foreign, choice: str, answer: str
) -> None:
    await world.start("far", "ask Really?")
    (question,) = await world.waiting()
    assert (question.question, list(question.choices)) == ("Really?", ["approve", "deny"])
    copy = await world.copy()
    await copy.resume()
    await copy.waiting()
    await copy.answer(choice)
    assert await copy.output() == answer
    await foreign.line()
    assert await foreign.told() == [
        "> ask Really?",
        "one moment",
        "(confirmation)",
        "> (confirmation)",
    ]
    await copy.run("far", "say on")
    assert (await foreign.told())[-3:] == ["> (confirmation)", answer, "> say on"]
    await copy.check()


@pytest.mark.parametrize("how", ["drop", "die", "wrong"])
async def test_a_stream_that_is_cut_is_an_unknown_outcome(
    world: World, foreign: Foreign, how: str
) -> None:
    await world.start("far", how)
    (question,) = await world.waiting()
    assert question.type == "interrupted"
    assert list(question.choices) == ["retry", "skip", "fail"]
    failed = (await world.events(kind="step.failed"))[-1]["data"]
    assert (failed["unknown"], failed["next"]) == (True, "decide")
    await world.answer("fail")
    assert (await world.error()).code == "step"
    await world.check()


async def test_a_new_attempt_supersedes_what_an_earlier_one_said(
    world: World, foreign: Foreign
) -> None:
    await world.start("far", "once one two")
    await world.waiting()
    assert await foreign.told() == ["> once one two"]
    assert [m.text for m in (await world.log.state(ID)).messages] == ["once one two", "one"]
    await world.answer("retry")
    assert await world.output() == "one\ntwo"
    assert await foreign.told() == ["> once one two"]
    state = await world.log.state(ID)
    assert [m.text for m in state.messages] == ["once one two", "one", "two"]
    await world.run("far", "say x")
    assert await foreign.told() == ["> once one two", "one", "two", "> say x"]
    told = await world.run(historian)
    assert told == ["once one two", "one", "two", "say x", "x"]


@agent
async def historian(ctx: Context) -> list[str]:
    return [text for _, text in await ctx.history()]


async def test_an_agent_that_says_it_has_failed_has(world: World, foreign: Foreign) -> None:
    for name in ("far", "harness"):
        await world.start(name, "fail", name)
        error = await world.error(name)
        assert "not like this" in error.message
        assert await world.events(name, "approval.requested") == []


async def test_after_a_crash_it_is_not_called_again_by_itself(
    world: World, foreign: Foreign
) -> None:
    await world.start("far", "hang")
    await world.until(lambda state: len(state.messages) == 2)
    copy = await world.copy()
    await copy.resume()
    (question,) = await copy.waiting()
    assert question.type == "interrupted"
    await world.controller.cancel(ID, "", "tester")
    await foreign.line()
    assert await foreign.line() == {"left": True}
    assert foreign.lines.empty()


async def test_one_that_can_be_canceled_is(world: World, foreign: Foreign) -> None:
    await world.start("harness", "hang")
    await world.until(lambda state: len(state.messages) == 2)
    await world.controller.cancel(ID, "", "tester")
    await foreign.line()
    assert (await foreign.line())["cancel"]["cancel"] == {"reason": 1}


async def test_one_that_takes_too_long_is_told_so(make_world: MakeWorld, foreign: Foreign) -> None:
    slow = foreign.config("slow", protocol="ax-harness", timeout=0.5)

    @agent
    async def patient(ctx: Context) -> Any:
        return await ctx.agent("slow", "hang")

    world = make_world(slow, patient)
    await world.start(patient)
    (question,) = await world.waiting()
    assert "has not ended within 0.5 s" in question.question
    await foreign.line()
    assert (await foreign.line())["cancel"]["cancel"] == {"reason": 2}


async def test_one_that_nobody_serves_is_told_before_anything_is_written(
    make_world: MakeWorld, start: Start
) -> None:
    gone = await start()
    await gone.close()
    world = make_world(gone.config())
    with pytest.raises(ActorError, match="nobody answers for agent 'far'") as caught:
        await world.start("far", "say x")
    assert caught.value.code == "unreachable"
    assert await world.log.conversations() == []


async def test_one_that_is_ill_says_why(make_world: MakeWorld, start: Start) -> None:
    ill = await start(AX_ILL="no disk")
    world = make_world(ill.config())
    with pytest.raises(Refused, match="isn't healthy: no disk"):
        await world.start("far", "say x")


async def test_a_long_history_is_sent_from_its_end(
    world: World, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axtui.runtime.actors.ax.agent.MAX_HISTORY", 1000)
    for number in range(20):
        await world.run("far", f"say {number:0100}")
        told = await foreign.told()
    assert len(told) < 20
    assert told[-1] == f"> say {19:0100}"
    notes = [event["data"]["text"] for event in await world.events(kind="note")]
    assert "far is not sent what was said before event" in notes[-1]


async def test_one_that_floods_is_stopped(
    world: World, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axtui.runtime.actors.ax.agent.MAX_MESSAGES", 3)
    await world.start("far", "say one two three four")
    (question,) = await world.waiting()
    assert "more than 3 messages" in question.question
    assert await said(world) == ["say one two three four", "one", "two", "three"]


async def test_a_model_calls_it_and_tells_it_nothing_of_its_own(
    make_world: MakeWorld, foreign: Foreign
) -> None:
    wanted = turns(says("", wants("far", input="say hello")), says("It said so."))
    model = Model(wanted)
    world = make_world(model.agent(), foreign.config(description="far away"))
    assert (
        await world.run("planner", "Ask it", config={"system_prompt": "Be good."}) == "It said so."
    )
    assert [r["content"] for r in model.told(1)] == ["hello"]
    (offered,) = [t for t in model.requests[0]["tools"] if t["name"] == "far"]
    assert offered["description"] == "far away"
    start = (await foreign.line())["request"]["start"]
    assert "agent_config" not in start
    assert [_words(message) for message in start["messages"]] == ["> say hello"]


async def test_a_run_waits_for_an_agent_that_is_gone(
    make_world: MakeWorld, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the question was open it went away; once it is back the answer reaches it."""
    monkeypatch.setattr("axtui.runtime.actors.ax.agent.PATIENCE_SECONDS", 0.1)
    first = await start()
    world = make_world(first.config())
    await world.start("far", "ask Really?")
    await world.waiting()
    await first.close()
    await world.answer("approve")
    state = await world.until(lambda state: state.run.state == "paused")
    assert state.run.cause == "unreachable"
    await world.ended()
    assert "nobody answers" in state.run.reason
    await start(first.address)
    await world.resume()
    assert await world.output() == "approved"
    await world.check()


async def test_it_cannot_be_told_anything_while_it_is_at_work(world: World) -> None:
    await world.start("far", "ask Well?")
    await world.waiting()
    with pytest.raises(Refused, match="agent 'far' speaks Google AX's protocol, which has nothing"):
        await world.controller.tell(ID, "hello", "", "tester")
    await world.controller.cancel(ID, "", "tester")
