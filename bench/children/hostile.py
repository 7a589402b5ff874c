"""A tool server of which one tool does nothing, and the others all that a server must not do."""

from __future__ import annotations

import os
import time

from mcp.server import MCPServer

server = MCPServer("hostile", log_level="CRITICAL")


@server.tool()
def nothing(text: str) -> str:
    """Give it back."""
    return text


@server.tool()
def hang() -> str:
    """Sleep for ever."""
    while True:
        time.sleep(3600)


@server.tool()
def leave() -> str:
    """End in the middle of the call."""
    os._exit(1)


@server.tool()
def babble() -> str:
    """Send what is no JSON-RPC."""
    _write(b'{"jsonrpc": "2.0", "id": {}, "result": [}\n' * 1000)
    return "said"


@server.tool()
def flood(mib: int) -> str:
    """Send a line of so many mebibytes."""
    for _ in range(mib):
        _write(b"x" * (1 << 20))
    return "said"


def _write(data: bytes) -> None:
    # Past the SDK, which holds the standard output under another number.
    while data:
        data = data[os.write(_stdout, data) :]


if __name__ == "__main__":
    _stdout = os.dup(1)
    server.run()
