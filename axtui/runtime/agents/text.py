"""Agents that need no step: what they return depends on their input alone."""

from axtui.agent import Context, agent


@agent
async def echo(ctx: Context) -> str:
    """Says what it was told."""
    return ctx.input


@agent
async def lowercase(ctx: Context) -> str:
    """Says what it was told in lower case."""
    return ctx.input.lower()
