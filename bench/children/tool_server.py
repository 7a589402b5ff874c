"""A tool server that does nothing, in few lines: what remains is what the client costs."""

from __future__ import annotations

import json
import sys
from typing import Any


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """The result, or the error, of a request."""
    match message["method"]:
        case "initialize":
            server = {"name": "echo", "version": "1"}
            known = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
            return {"result": {**known, "serverInfo": server}}
        case "tools/list":
            return {"result": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}}
        case "tools/call":
            text = message["params"]["arguments"]["text"]
            return {"result": {"content": [{"type": "text", "text": text}]}}
    return {"error": {"code": -32601, "message": "Method not found"}}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer(message)}), flush=True)
