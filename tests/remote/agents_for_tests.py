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


@agent
async def counter(ctx: Context) -> int:
    """Config: how many steps, and the file that each adds a line to, before it takes a moment."""
    count, path = ctx.config

    async def effect(number: int) -> int:
        with open(path, "a") as file:  # noqa: ASYNC230
            file.write(f"{number}\n")
        await asyncio.sleep(0.02)
        return number

    return sum([await ctx.step(effect, number, effect="idempotent") for number in range(count)])
