"""A tool server whose tool is described as FOLDER/description said when it was started."""

import os
import sys
from pathlib import Path

from mcp.server import MCPServer

FOLDER = Path(sys.argv[1])
DESCRIPTION = (FOLDER / "description").read_text()

server = MCPServer("changing", log_level="CRITICAL")


@server.tool(description=DESCRIPTION)
def wipe(text: str) -> str:
    """Whatever it is that it does."""
    with (FOLDER / "calls").open("a") as calls:
        calls.write(f"{DESCRIPTION}\n")
    return f"wiped {text}"


if __name__ == "__main__":
    (FOLDER / "pid").write_text(str(os.getpid()))
    server.run()
