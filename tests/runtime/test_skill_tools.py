"""Skills as the tools of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from axtui.agent import Context, StepFailed, agent
from tests.runtime.conftest import MakeWorld
from tests.runtime.test_skills import write_skill

NAME = "run_skill_script"
SCRIPT = {"skill": "greeting", "script": "scripts/greet.sh"}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has a link to a skill elsewhere."""
    files = {"scripts/greet.sh": 'echo "Good day, $1" >greeted && cat greeted'}
    skill = write_skill(tmp_path / "shared", "greeting", files)
    workspace = tmp_path / "workspace"
    (workspace / ".agents" / "skills").mkdir(parents=True)
    (workspace / ".agents" / "skills" / "greeting").symlink_to(skill)
    monkeypatch.chdir(workspace)
    return workspace


@agent
async def using(ctx: Context) -> Any:
    """Calls a tool as its input says."""
    try:
        return await ctx.tool(ctx.config["tool"], **ctx.config["arguments"])
    except StepFailed as failed:
        return failed.code, failed.message


async def _used(make_world: MakeWorld, workspace: Path, tool: str, **arguments: Any) -> Any:
    world = make_world(using)
    config = {"tool": tool, "arguments": arguments}
    return await world.run(using, workspace=str(workspace), config=config)


async def test_a_script_of_a_skill_that_is_linked_to(
    make_world: MakeWorld, workspace: Path
) -> None:
    done = await _used(make_world, workspace, NAME, **SCRIPT, arguments=["Ann"])
    assert done == {"exit_status": 0, "output": "Good day, Ann\n"}
    assert (workspace / "greeted").exists()


@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        (NAME, {**SCRIPT, "arguments": "Ann"}, "arguments has to be of type array"),
        (NAME, {**SCRIPT, "arguments": ["Ann", 1]}, "arguments has to be a list of texts"),
        (NAME, {**SCRIPT, "script": 1}, "script has to be of type string"),
        (NAME, {**SCRIPT, "name": "Ann"}, "there is no argument 'name'"),
        ("activate_skill", {}, "missing: name"),
        ("activate_skill", {"name": ["greeting"]}, "name has to be of type string"),
        ("read_skill_file", {"skill": "greeting", "file": None}, "file has to be of type string"),
    ],
)
async def test_arguments_that_do_not_fit(
    make_world: MakeWorld, workspace: Path, tool: str, arguments: dict[str, Any], why: str
) -> None:
    code, message = await _used(make_world, workspace, tool, **arguments)
    assert code == "tool"
    assert why in message
