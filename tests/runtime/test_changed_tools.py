"""What was permitted of a tool holds for the tool as it was described then."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from axtui.agent import Agent, Context, agent
from axtui.runtime.agents.planner import planner
from axtui.runtime.config import ToolServer
from tests.runtime.conftest import MakeWorld, World
from tests.runtime.scripted import Model, says, turns, wants

SERVER = Path(__file__).with_name("changing_server.py")
AGAIN = {"on_interrupted": "retry"}


class Tools:
    """A server that is started again with another description."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.describe("Wipes a table")
        command = (sys.executable, str(SERVER), str(folder))
        self.settings = {"tools": {"server": ToolServer(command=command)}}

    def describe(self, text: str) -> None:
        (self.folder / "description").write_text(text)

    async def kill(self) -> None:
        pid = int((self.folder / "pid").read_text())
        gone = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(select.select, [gone], [], [])
        os.close(gone)
        # Who speaks with it has yet to notice. If that takes longer, the call is made again: see
        # `AGAIN`.
        await asyncio.sleep(0.5)

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """A server of tools."""
    return Tools(tmp_path)


def _wiping() -> Model:
    return Model(turns(says("", wants("server__wipe", text="it")), says("done")))


async def _subjects(world: World) -> list[str]:
    return [e["data"]["subject"] for e in await world.events(kind="approval.requested")]


async def test_always_is_void_for_what_a_server_is_once_it_was_started_again(
    make_world: MakeWorld, tools: Tools
) -> None:
    world = make_world(_wiping().agent(), **tools.settings)
    await world.start(planner)
    await world.waiting()
    await world.answer("approve", always=True)
    assert await world.output() == "done"
    tools.describe("Wipes a house")
    await tools.kill()
    await world.start(planner, **AGAIN)
    (question,) = await world.waiting()
    asked = await _subjects(world)
    assert question.subject != asked[0]
    assert tools.calls == ["Wipes a table"]
    # It is the same question after a crash, and still permission for nothing else.
    again = await world.copy()
    await again.resume()
    await again.waiting()
    assert await _subjects(again) == asked
    await again.answer("approve")
    assert await again.output() == "done"
    assert tools.calls == ["Wipes a table", "Wipes a house"]
    await again.check()


async def test_an_approval_is_void_for_what_a_tool_is_by_then(
    make_world: MakeWorld, tools: Tools
) -> None:
    world = make_world(_wiping().agent(), **tools.settings)
    await world.start(planner)
    (asked,) = await world.waiting()
    tools.describe("Wipes a house")
    changed = await world.copy()
    await changed.resume()
    await changed.waiting()
    await changed.answer("approve")
    await changed.until(lambda state: set(state.questions) not in (set(), {asked.id}))
    (question,) = await changed.waiting()
    assert question.subject != asked.subject
    assert tools.calls == []
    # The first approval is that of another question, wherever this was left.
    again = await changed.copy()
    await again.resume()
    await again.waiting()
    await again.answer("approve")
    assert await again.output() == "done"
    assert tools.calls == ["Wipes a house"]
    await again.check()


async def test_a_call_that_was_edited_is_not_made_of_another_tool(
    make_world: MakeWorld, tools: Tools
) -> None:
    model = _wiping()
    world = make_world(model.agent(), **tools.settings)
    await world.start(planner, **AGAIN)
    await world.waiting()
    tools.describe("Wipes a house")
    await tools.kill()
    await world.answer("approve", edit={"text": "a little"})
    assert await world.output() == "done"
    assert tools.calls == []
    (told,) = model.told(len(model.requests) - 1)
    assert "otherwise by now" in told["content"]


async def test_what_an_agent_itself_calls_is_called_as_it_is(
    make_world: MakeWorld, tools: Tools
) -> None:
    @agent
    async def twice(ctx: Context) -> int:
        for _ in range(2):
            await ctx.tool("server.wipe", text="it")
            tools.describe("Wipes a house")
            await tools.kill()
        return len(tools.calls)

    assert isinstance(twice, Agent)
    world = make_world(twice, **tools.settings)
    assert await world.run(twice, **AGAIN) == 2
    assert tools.calls == ["Wipes a table", "Wipes a house"]
    await world.check()


async def test_a_change_is_heard_of_while_the_tools_are_listed(
    make_world: MakeWorld, tools: Tools
) -> None:
    world = make_world(_wiping().agent(), **tools.settings)
    servers = world.controller.toolbox.servers
    asking = servers._actor.call

    async def listed(method: str, *rest: Any) -> Any:
        found = await asking(method, *rest)
        if method == "tools" and not heard:
            heard.append(await servers._changed("server", lambda _: None))
        return found

    heard: list[Any] = []
    servers._actor.call = listed  # type: ignore[method-assign]
    assert [tool.description for tool in await servers.all()] == ["Wipes a table"]
    tools.describe("Wipes a house")
    await servers._actor.stop()
    assert [tool.description for tool in await servers.all()] == ["Wipes a house"]
