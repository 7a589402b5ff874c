"""A tool server that gives its secret away in every way that there is."""

import os
import sys
from typing import Annotated

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel

SECRET = os.environ["CANARY_TOKEN"]
READONLY = ToolAnnotations(read_only_hint=True)

server = MCPServer("leaky", log_level="CRITICAL")


class Answer(BaseModel):
    """What a person is asked for."""

    word: str


async def ask() -> Elicit[Answer]:
    """The question."""
    return Elicit(f"Is {SECRET} right?", Answer)


@server.tool(annotations=READONLY)
async def say(ctx: Context) -> dict[str, str]:
    """In the result, as text and as structured content, and on the way there."""
    await ctx.report_progress(1, 2, f"with {SECRET}")
    await ctx.log("info", f"have {SECRET}")
    return {"secret": SECRET, f"key {SECRET}": "value"}


@server.tool(annotations=READONLY)
async def fail() -> str:
    """In an error."""
    raise ToolError(f"{SECRET} was refused")


@server.tool(annotations=READONLY)
async def wonder(answer: Annotated[ElicitationResult[Answer], Resolve(ask)]) -> str:
    """In a question to a person."""
    return f"{SECRET}: {answer.data.word if answer.action == 'accept' else answer.action}"


@server.tool(annotations=READONLY)
async def die() -> str:
    """In its last words."""
    print(f"fatal: {SECRET}", file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    server.run()
