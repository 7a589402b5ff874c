"""A tool server whose tool is described as a variable says."""

import os

from mcp.server import MCPServer

server = MCPServer("described", log_level="CRITICAL")


@server.tool(description=os.environ["DESCRIPTION"])
def wipe(text: str) -> str:
    """Whatever it is that it does."""
    return f"wiped {text}"


if __name__ == "__main__":
    server.run()
