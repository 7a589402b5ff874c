"""Agents that ask people; copied beside a configuration that names them."""

import asyncio

from axtui.agent import Context, StepFailed, agent


@agent
async def asker(ctx: Context) -> str:
    """Asks for words."""
    return "Hello, " + await ctx.ask("Who are you?")


@agent
async def chooser(ctx: Context) -> str:
    """Asks for one of several things."""
    return "You took " + await ctx.ask("Which one?", choices=["red wine", "white", "water"])


@agent
async def publisher(ctx: Context) -> list[bool]:
    """Asks twice whether it may."""
    return [await ctx.approve("Publish it?", detail={"pages": n}) for n in range(2)]


@agent
async def commander(ctx: Context) -> str:
    """Runs its input, all of it one command; says why if it may not."""
    try:
        return str(await ctx.tool("shell", command=ctx.input))
    except StepFailed as error:
        return error.message


@agent
async def writer(ctx: Context) -> str:
    """Writes a file."""
    return str(await ctx.tool("write_file", path="page.txt", content=ctx.input))


@agent
async def unsure(ctx: Context) -> str:
    """Has a step of which nobody knows how it ended."""

    async def hang() -> None:
        await asyncio.Event().wait()

    return str(await ctx.step(hang, name="hang", timeout=0.01))
