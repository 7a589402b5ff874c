"""Agents that stay in flight until a person lets them go."""

from axtui.agent import Context, agent


@agent
async def asker(ctx: Context) -> str:
    """Asks, and says what was answered."""
    return await ctx.ask("What now?")


@agent
async def listener(ctx: Context) -> str:
    """Asks whether to go on, and then what it was told, until it may no more."""
    heard: list[str] = []
    while await ctx.approve("Go on?"):
        heard += await ctx.told()
    return " ".join(heard)


@agent
async def caller(ctx: Context) -> str:
    """Has `listener` do it."""
    return str(await ctx.agent("listener"))


@agent
async def gate(ctx: Context) -> str:
    """Asks whether it may go on."""
    return str(await ctx.approve("Open?"))


@agent
async def teller(ctx: Context) -> str:
    """Has the folder that it was told of noted, and asks before it goes on."""
    told = await ctx.step(_noted, ctx.workspace)
    await ctx.approve("Go on?")
    await ctx.tool("shell", command="pwd > where")
    return told


def _noted(text: str) -> str:
    return text
