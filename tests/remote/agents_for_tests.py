"""Agents of the servers that the tests start."""

from __future__ import annotations

import asyncio

from axtui.agent import Context, agent


@agent
async def emitter(ctx: Context) -> int:
    """Config: how many messages, and how long to wait between them."""
    count, pause = ctx.config
    for number in range(count):
        await ctx.emit(f"message {number} " + "x" * (number % 300))
        await asyncio.sleep(pause)
    return int(count)
