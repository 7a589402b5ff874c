"""A server of tools whose calls count themselves in files of the folder that it is started in."""

from __future__ import annotations

import os

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

EFFECTS = "effects.txt"
# Of calls that change nothing, whose intent may be committed later than they are made.
LOOKS = "looks.txt"
CALLS = "calls.txt"

server = MCPServer("counting", log_level="CRITICAL")


def _done(context: Context, label: str, keys: str = EFFECTS) -> str:
    meta = context.request_context.meta
    assert meta is not None
    for path, line in ((keys, str(meta["axtui/idempotency-key"])), (CALLS, label)):
        # In one go, so that a line is there or not.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, f"{line}\n".encode())
        os.close(fd)
    return f"did {label}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look(label: str, context: Context) -> str:
    """Changes nothing."""
    return _done(context, label, LOOKS)


@server.tool(annotations=ToolAnnotations(read_only_hint=False, idempotent_hint=True))
def put(label: str, context: Context) -> str:
    """Does the same if it is called again."""
    return _done(context, label)


@server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True))
def destroy(label: str, context: Context) -> str:
    """Can't be undone."""
    return _done(context, label)


@server.tool()
def note(label: str, context: Context) -> str:
    """Says nothing of itself."""
    return _done(context, label)


@server.tool()
def fail(label: str, context: Context) -> str:
    """Can't do what it is asked."""
    raise ToolError(f"can't do {_done(context, label)}")


if __name__ == "__main__":
    server.run()
