"""A tour of what a run can be: parallel steps, a nested agent, a retry, a timer, an approval."""

import asyncio
from functools import partial
from typing import Any

from axtui.agent import Context, Retry, ToolError, agent, call, tool

_FINDINGS = {
    "reefs": "Reefs shelter a quarter of all sea life on a thousandth of the sea floor.",
    "whales": "Whales sing songs that travel for hundreds of kilometres.",
    "currents": "Currents carry more water than all rivers together.",
}


async def _work(seconds: float, result: Any) -> Any:
    """Stands for something that takes its time, and shows how far it is."""
    for done in range(10):
        await asyncio.sleep(seconds / 10)
        call().delta("▪" if done < 9 else "▪\n")
    return result


@tool(effect="readonly", retry=Retry(attempts=3, delay=0.2))
async def look_up(topic: str, seconds: float) -> str:
    """Knows three things about the sea, and fails at the first try of one of them."""
    result: str = await _work(seconds, _FINDINGS[topic])
    if topic == "whales" and call().attempt == 1:
        raise ToolError("the library is closed for a moment")
    return result


@agent(tools=[look_up])
async def researcher(ctx: Context) -> str:
    """Looks one thing up; the demo's nested agent."""
    speed = float((ctx.config or {}).get("speed", 1))
    await ctx.emit(f"Looking for {ctx.input}.", thought=True)
    return str(await ctx.tool("look_up", topic=ctx.input, seconds=7 * speed))


@agent
async def demo(ctx: Context) -> str:
    """A tour in half a minute, offline; --agent-config '{"speed": 0}' runs it at once."""
    config = ctx.config if isinstance(ctx.config, dict) else {}
    speed = float(config.get("speed", 1))
    await ctx.emit("I will write a page about the sea. Three researchers look things up.")
    findings = await asyncio.gather(
        *(ctx.agent("researcher", topic, {"speed": speed}) for topic in _FINDINGS)
    )
    await ctx.emit("\n".join(f"- {finding}" for finding in findings))
    await ctx.sleep(3 * speed)
    outline = await ctx.step(
        partial(_work, 6 * speed), ["The sea", *findings], name="outline", effect="readonly"
    )
    if not await ctx.approve("Publish the page?", detail={"lines": len(outline)}):
        return "The page stays in the drawer."
    await ctx.step(partial(_work, 6 * speed), "published", name="publish")
    ctx.state["pages"] = ctx.state.get("pages", 0) + 1
    return f"Published. That makes {ctx.state['pages']} in this conversation."
