"""Agents that the tests run; copied beside a configuration that names them."""

# ruff: noqa: ASYNC110, ASYNC230, ASYNC240

import asyncio
import contextlib
import os
from pathlib import Path

from axtui.agent import Context, agent


@agent
async def asker(ctx: Context) -> str:
    """Asks for words."""
    return "Hello, " + await ctx.ask("Who are you?")


@agent
async def chooser(ctx: Context) -> str:
    """Asks for one of several things."""
    return "You took " + await ctx.ask("Which one?", choices=["red wine", "white", "water"])


@agent
async def commander(ctx: Context) -> str:
    """Runs its input, all of it one command."""
    return str(await ctx.tool("shell", command=ctx.input))


@agent
async def listener(ctx: Context) -> str:
    """Asks for words, and then what it was told."""
    answer = await ctx.ask("Well?")
    return " ".join([answer, *await ctx.told()])


@agent
async def pair(ctx: Context) -> str:
    """Asks two things at once."""
    answers = await asyncio.gather(ctx.approve("First?"), ctx.approve("Second?"))
    return str(answers)


@agent
async def talker(ctx: Context) -> str:
    """Says all kinds of things."""
    await ctx.emit("in public")
    await ctx.emit("to myself", internal=True)
    await ctx.emit("it depends", thought=True)
    return "\x1b[31mred\x1b[0m\x07"


@agent
async def gate(ctx: Context) -> str:
    """Waits in a step until the test has looked; its effect is counted in a file."""

    async def pass_through() -> str:
        with open("effects", "a") as file:
            file.write("x")
        while not Path("open").exists():
            await asyncio.sleep(0.01)
        return "through"

    await ctx.emit("before")
    return str(await ctx.step(pass_through, effect=ctx.config or ""))


@agent
async def hanger(ctx: Context) -> None:
    """Never lets go of the interpreter."""
    await ctx.emit("hanging")
    sum(range(10**11))


@agent
async def inline_hanger(ctx: Context) -> None:
    """Never lets go of the loop."""
    os.write(1, b"hanging\n")
    while True:
        pass


async def _deaf() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


@agent
async def inline_stubborn(ctx: Context) -> str:
    return str(await stubborn.function(ctx))


@agent
async def stubborn(ctx: Context) -> str:
    """Leaves a task behind that takes no notice of being canceled."""
    ctx.state["task"] = asyncio.create_task(_deaf()).get_name()
    await asyncio.sleep(0)
    return "done"
