"""Agents that stay in flight until a person lets them go."""

from axtui.agent import Context, agent


@agent
async def asker(ctx: Context) -> str:
    """Asks, and says what was answered."""
    return await ctx.ask("What now?")


@agent
async def gate(ctx: Context) -> str:
    """Asks whether it may go on."""
    return str(await ctx.approve("Open?"))
