"""A tool server that is lost in the middle of a call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from axtui.agent import Context, agent
from axtui.runtime.config import ToolServer
from tests.runtime.conftest import MakeWorld

SERVER = Path(__file__).with_name("leaving_server.py")


@agent
async def looking(ctx: Context) -> Any:
    """Looks once."""
    return (await ctx.tool("server.look"))["content"]


def _settings(folder: Path, effect: str) -> dict[str, Any]:
    command = (sys.executable, str(SERVER), str(folder / "left"), effect)
    return {"tools": {"server": ToolServer(command=command)}}


@pytest.mark.parametrize("effect", ["readonly", "idempotent"])
async def test_what_may_be_done_again_is(
    make_world: MakeWorld, tmp_path: Path, effect: str
) -> None:
    world = make_world(looking, **_settings(tmp_path, effect))
    assert await world.run(looking) == [{"text": "seen"}]
    (failed,) = await world.events(kind="step.failed")
    assert (failed["data"]["error"]["code"], failed["data"]["next"]) == ("lost", "retry")
    await world.check()


async def test_of_anything_else_a_person_decides(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(looking, **_settings(tmp_path, "other"))
    await world.start(looking)
    (question,) = await world.waiting()
    assert question.type == "interrupted"
    await world.answer("retry")
    assert await world.output() == [{"text": "seen"}]
