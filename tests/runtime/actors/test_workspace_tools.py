"""The tools of a workspace, as steps of a run."""

from __future__ import annotations

from typing import Any

import pytest

from axtui.agent import Context, StepFailed, Tool, agent
from axtui.runtime.actors.workspace_tools import WORKSPACE_TOOLS
from tests.runtime.conftest import MakeWorld


@agent(tools=[Tool(tool.name, tool.function, tool.effect) for tool in WORKSPACE_TOOLS.values()])
async def worker(ctx: Context) -> Any:
    """Calls the tool that it is told to."""
    try:
        return await ctx.tool(ctx.config["tool"], **ctx.config["arguments"])
    except StepFailed as error:
        return f"{error.code}: {error.message}"


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments}


async def test_each_tool(make_world: MakeWorld) -> None:
    world = make_world(worker)
    for config, said in (
        (call("write_file", path="a/file", content="one\n"), "made a/file: 1 lines"),
        (call("edit_file", path="a/file", old="one", new="two"), "changed a/file at line 1; it"),
        (call("read_file", path="a/file"), "two\n"),
        (call("list_files", path="a"), "a/file"),
        (call("list_files", pattern="log.db"), "[there is nothing]"),
    ):
        assert (await world.run(worker, config=config)).startswith(said)
    done = await world.run(worker, config=call("shell", command="cat a/file; exit 3"))
    assert done == {"exit_status": 3, "output": "two\n"}
    done = await world.run(worker, config=call("shell", command="sleep 86399", timeout=1))
    assert done["timed_out"] is True


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (call("read_file"), "missing: path"),
        (call("read_file", path=3), "path has to be of type string"),
        (call("read_file", path="x", start_line="1"), "start_line has to be of type integer"),
        (call("read_file", path="x", start_line=True), "start_line has to be of type integer"),
        (call("read_file", path="x", start_line=0), "start_line has to be at least 1"),
        (call("read_file", path="x", line=1), "there is no argument 'line'; there are path, start"),
        (call("read_file", path="x"), "there is no x; list_files shows what there is"),
        (call("shell", command="true", timeout=0), "timeout has to be at least 1"),
        (call("shell"), "missing: command"),
    ],
)
async def test_what_a_model_can_correct(
    make_world: MakeWorld, config: dict[str, Any], said: str
) -> None:
    assert (await make_world(worker).run(worker, config=config)).startswith(f"tool: {said}")


def test_what_a_model_is_told() -> None:
    assert {tool.name: tool.effect for tool in WORKSPACE_TOOLS.values()} == {
        "shell": "",
        "read_file": "readonly",
        "write_file": "idempotent",
        "edit_file": "",
        "list_files": "readonly",
    }
    for tool in WORKSPACE_TOOLS.values():
        assert tool.description.endswith(".")
        assert tool.schema["type"] == "object"
        assert set(tool.schema["required"]) <= set(tool.schema["properties"])
