"""A server of tools that the tests run: one of everything."""

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("sample", version="7")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look(at: str) -> str:
    """Looks at something. And says what it saw."""
    return at


@server.tool()
def change(to: str) -> str:
    """Changes it."""
    return to


@server.resource("note://today", mime_type="text/plain")
def today() -> str:
    """What is on today."""
    return "nothing"


@server.resource("note://day/{day}")
def on(day: str) -> str:
    """What is on that day."""
    return day


@server.prompt()
def greet(name: str, style: str = "plain") -> str:
    """Greets somebody."""
    return f"Hello {name}, {style}"


server.run()
