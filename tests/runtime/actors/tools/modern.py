"""A tool server of the newest protocol, made with the SDK: `python modern.py [PORT]`."""

import sys
from typing import Annotated

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, MCPServer, Resolve
from pydantic import BaseModel

server = MCPServer("modern", instructions="Ask nicely.")


class Color(BaseModel):
    """What a person is asked for."""

    color: str


async def ask_color() -> Elicit[Color]:
    """The question."""
    return Elicit("Which color?", Color)


@server.tool()
async def paint(thing: str, answer: Annotated[ElicitationResult[Color], Resolve(ask_color)]) -> str:
    """Paint something."""
    return f"{thing} {answer.data.color if answer.action == 'accept' else answer.action}"


@server.tool()
async def work(ctx: Context) -> str:
    """Tell how it goes."""
    await ctx.report_progress(1, 2, "half")
    await ctx.log("info", "so far so good")
    return "done"


@server.tool()
async def grow(ctx: Context) -> str:
    """Have one more tool."""
    server.add_tool(work, name="grown")
    await ctx.notify_tools_changed()
    return "done"


@server.tool()
async def echo_meta(ctx: Context) -> dict[str, str]:
    """Give back what came beside the arguments."""
    meta = ctx.request_context.meta or {}
    return {key: str(value) for key, value in meta.items() if key.startswith("axtui/")}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
