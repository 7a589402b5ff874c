"""A call that a person has changed before it was approved: that one is done, and nobody is told
that it was the other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from axtui.agent import Agent, Context, agent, tool
from axtui.runtime.agents.planner import planner
from axtui.runtime.config import Policy, ToolServer
from axtui.runtime.errors import Refused
from tests.runtime.actors.agents_for_tests import brings

from .conftest import MakeWorld, Placed, World
from .scripted import Model, says, turns, wants

WORD = "Before this was approved, a person changed the arguments to "


class Writer:
    """A model that wants one thing written, and what was written indeed."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.model = Model(turns(says("", wants("write", text="all")), says("done")))

    def agent(self, result: Any = None) -> Agent:
        @tool()
        async def write(text: str) -> Any:
            self.written.append(text)
            return f"wrote {text}" if result is None else result

        return self.model.agent(write)

    def told(self) -> Any:
        (result,) = self.model.told(1)
        return result["content"]


async def asked(make_world: MakeWorld, writer: Writer, result: Any = None, **policy: Any) -> World:
    world = make_world(writer.agent(result), policy=Policy(**policy))
    await world.start(planner)
    (question,) = await world.waiting()
    assert question.editable
    return world


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, WORD + '{"text":"less"}\nwrote less'),
        (7, {"note": WORD + '{"text":"less"}', "result": 7}),
        ({"content": [{"text": "x"}]}, WORD + '{"text":"less"}\nx'),
    ],
    ids=["text", "value", "content"],
)
async def test_is_done_as_edited_and_the_model_told(
    make_world: MakeWorld, result: Any, told: Any
) -> None:
    writer = Writer()
    world = await asked(make_world, writer, result)
    await world.answer("approve", edit={"text": "less"})
    assert await world.output() == "done"
    assert writer.written == ["less"]
    assert writer.told() == told
    await world.check()
    (answered,) = await world.events(kind="approval.answered")
    assert answered["data"]["edited"] == {"text": "less"}
    assert answered["principal"] == "tester"
    started = [e["data"] for e in await world.events(kind="step.started")]
    assert [e["arguments"] for e in started if e["name"] == "write"] == [{"text": "less"}]


async def test_stays_edited_wherever_the_controller_is_killed(make_world: MakeWorld) -> None:
    writer = Writer()
    world = await asked(make_world, writer)
    await world.answer("approve", edit={"text": "less"})
    await world.output()
    kinds = await world.kinds()
    for events in range(kinds.index("approval.answered") + 1, len(kinds)):
        writer.written.clear()
        copy = await world.copy(events)
        await copy.resume(on_interrupted="retry")
        assert await copy.output() == "done"
        assert set(writer.written) <= {"less"}
        await copy.check()


async def test_an_interrupted_one_is_asked_about_as_it_was_begun(make_world: MakeWorld) -> None:
    writer = Writer()
    world = await asked(make_world, writer)
    await world.answer("approve", edit={"text": "less"})
    await world.output()
    began = (await world.kinds()).index("approval.answered") + 2
    copy = await world.copy(began)
    await copy.resume()
    (question,) = await copy.waiting()
    assert question.type == "interrupted"
    assert question.detail.text == '{"text":"less"}'
    assert not question.editable


async def test_what_the_policy_forbids_is_not_done_though_it_was_edited_so(
    make_world: MakeWorld,
) -> None:
    writer = Writer()
    world = await asked(make_world, writer, approve={"write(*secret*)": "deny", "write": "ask"})
    await world.answer("approve", edit={"text": "a secret"})
    assert await world.output() == "done"
    assert writer.written == []
    assert "the policy forbids it as it was edited" in writer.told()


async def test_what_cannot_be_is_refused_and_still_asked(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "tr0ub4dor-and-3-horses")
    writer = Writer()
    world = await asked(make_world, writer, redact=("DEPLOY_TOKEN",))
    edit = {"text": "less"}
    for choice, always, given, why in (
        ("deny", False, edit, "can only be approved"),
        ("approve", True, edit, "for this once"),
        ("approve", False, {"text": "tr0ub4dor-and-3-horses"}, "secret"),
        ("approve", False, {"text": "it is [redacted:DEPLOY_TOKEN]"}, "secret"),
        ("approve", False, {"text": "x" * 2_000_000}, "longer"),
    ):
        with pytest.raises(Refused, match=why):
            await world.answer(choice, always=always, edit=given)
    assert len(await world.waiting()) == 1
    await world.answer("approve", edit={"text": "much " * 20_000})
    assert await world.output() == "done"
    assert writer.written == ["much " * 20_000]


async def test_only_calls_of_tools_can_be(make_world: MakeWorld) -> None:
    @agent
    async def asking(ctx: Context) -> bool:
        return await ctx.approve("Go on?")

    world = make_world(asking)
    await world.start(asking)
    (question,) = await world.waiting()
    assert not question.editable
    with pytest.raises(Refused, match="nothing that can be edited"):
        await world.answer("approve", edit={})


async def test_a_tool_that_an_agent_elsewhere_brings_cannot_be(
    make_world: MakeWorld, placed: Placed
) -> None:
    world = make_world(placed(brings), policy=Policy(approve={"put": "ask"}))
    await world.start("brings", "x")
    (question,) = await world.waiting()
    assert question.subject == "put"
    assert question.editable == (placed(brings) is brings)


async def test_a_call_of_a_servers_tool(make_world: MakeWorld) -> None:
    command = (sys.executable, str(Path(__file__).with_name("described_server.py")))
    server = ToolServer(command=command, env={"DESCRIPTION": "Wipes a table"})
    model = Model(turns(says("", wants("server__wipe", text="all")), says("done")))
    world = make_world(model.agent(), tools={"server": server})
    await world.start(planner)
    await world.waiting()
    await world.answer("approve", edit={"text": "less"})
    assert await world.output() == "done"
    (told,) = model.told(len(model.requests) - 1)
    assert "wiped less" in str(told["content"])
