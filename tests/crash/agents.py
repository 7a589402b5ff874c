"""An agent with a bit of everything, whose steps count themselves in a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from axtui.agent import Context, Retry, ToolError, agent, call, tool

EFFECTS = "effects.txt"
CONFIG = Path(__file__).with_name("agents.yaml")


def effect(result: Any = None) -> Any:
    """Happens once, visibly: a line of its own, written in one go."""
    this = call()
    path = Path(this.workspace or ".") / EFFECTS
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, f"{this.idempotency_key}\n".encode())
    finally:
        os.close(fd)
    return result


@tool(effect="idempotent", retry=Retry(attempts=3, delay=0.01))
async def flaky(number: int) -> int:
    """Fails once."""
    effect()
    await asyncio.sleep(0.001)
    if call().attempt == 1:
        raise ToolError("not yet")
    return number * 2


@agent(tools=[flaky])
async def child(ctx: Context) -> str:
    """A nested agent with a step of each sort."""
    await ctx.step(partial(effect, "once"), name="once")
    return f"twice {ctx.input} is {await ctx.tool('flaky', number=int(ctx.input))}"


@agent
async def mixed(ctx: Context) -> list[Any]:
    """Parallel branches with effects, nested agents, a timer, an approval, a big result."""
    # Those that run in processes of their own, or elsewhere, call each other.
    child = "child" if ctx.agent_id == "mixed" else f"child_{ctx.agent_id}"
    first = await ctx.step(partial(effect, "x" * 40_000), name="big")
    await ctx.emit(f"{len(first)} characters")
    halves = await asyncio.gather(
        *(ctx.step(partial(effect, n), name=f"half{n}") for n in range(3)),
        *(ctx.agent(child, str(n)) for n in range(3)),
    )
    await ctx.sleep(0.01)
    if not await ctx.approve("Go on?"):
        return []
    await ctx.step(effect, name="last")
    ctx.state["runs"] = ctx.state.get("runs", 0) + 1
    return halves


@agent
async def spins(ctx: Context) -> None:
    """Never gives up the loop: Python code."""
    await ctx.emit("hanging")
    await ctx.step(effect, name="before")
    while True:
        pass


@agent
async def blocks(ctx: Context) -> None:
    """Never gives up the loop: a call that blocks."""
    await ctx.step(effect, name="before")
    time.sleep(600)  # noqa: ASYNC251


@agent
async def computes(ctx: Context) -> None:
    """Never gives up the interpreter's lock."""
    await ctx.step(effect, name="before")
    sum(range(10**11))


@agent
async def computes_in_step(ctx: Context) -> None:
    """Nor does this one, in a step."""
    await ctx.step(effect, name="before")
    await ctx.step(partial(sum, range(10**11)), name="sum")


@agent
async def blocks_in_step(ctx: Context) -> None:
    """A synchronous step, in a thread, that blocks."""
    await ctx.step(effect, name="before")
    await ctx.step(partial(time.sleep, 600), name="sleep")


@agent
async def ignores_cancel(ctx: Context) -> None:
    """Won't be canceled."""
    await ctx.step(effect, name="before")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
