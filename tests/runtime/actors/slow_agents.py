"""An agent with a step that takes as long as a test wants."""

# ruff: noqa: ASYNC110, ASYNC240

from __future__ import annotations

import asyncio
from pathlib import Path

from axtui.agent import Context, agent, call
from tests.runtime.actors.agents_for_tests import note, work


async def _until_told() -> int:
    note()
    while call().attempt == 1 and not Path(call().workspace, "go").exists():
        await asyncio.sleep(0.01)
    return call().attempt


@agent
async def calls_many(ctx: Context) -> int:
    """Calls the other six times at once."""
    return len(await asyncio.gather(*(ctx.agent("slow", config="readonly") for _ in range(6))))


@agent
async def slow(ctx: Context) -> list[str | int]:
    """Config: the effect of its second step, which at its first attempt waits for a file."""
    one = await ctx.step(work, "one")
    return [one, await ctx.step(_until_told, effect=ctx.config or "")]
