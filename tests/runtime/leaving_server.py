"""A tool server that ends in the middle of the first call of its life: `FILE EFFECT`."""

import os
import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

FILE, EFFECT = Path(sys.argv[1]), sys.argv[2]
HINTS = ToolAnnotations(read_only_hint=EFFECT == "readonly", idempotent_hint=EFFECT == "idempotent")

server = MCPServer("leaving", log_level="CRITICAL")


@server.tool(annotations=HINTS)
def look() -> str:
    """Look at something."""
    if not FILE.exists():
        FILE.touch()
        os._exit(3)
    return "seen"


if __name__ == "__main__":
    server.run()
