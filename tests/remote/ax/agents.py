"""Agents that the tests of the AX services run in this process."""

from __future__ import annotations

import time
from pathlib import Path

from axtui.agent import Context, agent, call, tool
from tests.runtime.scripted import Model, says, turns, wants


def note(line: str) -> str:
    with Path(call().workspace, "notes").open("a") as file:
        file.write(f"{line}\n")
    return line


def reach(name: str) -> None:
    """Waits until there is a file of that name."""
    while not Path(call().workspace, name).exists():
        time.sleep(0.01)


@tool(effect="readonly")
def add(one: int, other: int) -> int:
    return one + other


@agent
async def asker(ctx: Context) -> str:
    if not await ctx.approve(f"Do {ctx.input}?"):
        return "not done"
    return f"did {ctx.input}"


@agent
async def chooser(ctx: Context) -> str:
    color = await ctx.ask("Which color?", choices=("red", "green", "blue"))
    name = await ctx.ask("And your name?")
    return f"{name} takes {color}"


@agent
async def counter(ctx: Context) -> str:
    ctx.state["runs"] = ctx.state.get("runs", 0) + 1
    return f"run {ctx.state['runs']}"


@agent
async def failer(ctx: Context) -> str:
    await ctx.step(note, "tried")
    raise ValueError("no way")


@agent
async def gate(ctx: Context) -> str:
    """Does something, says so, and goes on once there is a file."""
    await ctx.step(note, "noted")
    await ctx.emit("before")
    await ctx.step(reach, "open", effect="readonly")
    await ctx.emit("after")
    return "done"


@agent(tools=[add])
async def lead(ctx: Context) -> str:
    total = await ctx.tool("add", one=2, other=3)
    first = await ctx.agent("echo", "one")
    return f"{total} {first} {await ctx.agent('echo', 'two')}"


@agent
async def private(ctx: Context) -> str:
    await ctx.emit("between us", internal=True)
    return "nothing to see"


@agent
async def talker(ctx: Context) -> str:
    for word in ctx.input.split():
        await ctx.emit(word)
    return "that was all"


@agent
async def thinker(ctx: Context) -> str:
    await ctx.emit("hmm", thought=True)
    return str(await ctx.step(_typed, effect="readonly"))


def _typed() -> str:
    reach("ready")
    call().delta("half of it ", "text")
    call().delta("on the way ", "thought")
    reach("open")
    return "whole"


_coding = turns(says("", wants("shell", command="rm -r x")), says("Tidied."))
model = Model(
    turns(
        says("", wants("coding", input="Tidy up"), wants("add", one=1, other=1)),
        says("All done."),
        otherwise={"You write and change programs": _coding},
    )
)
planned = model.agent(add)
