"""A tool server without manners: `python unruly.py FOLDER [WAY]`.

It speaks raw lines of JSON, as 2025-11-25 has them, keeps its process id and the requests that
were taken back in FOLDER, and misbehaves in the tools of that name, or from the start on (WAY).
"""

import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

PAGE = 4
FOLDER = Path(sys.argv[1])
WAY = sys.argv[2] if len(sys.argv) > 2 else ""


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(request: dict[str, Any], said: str, **more: Any) -> None:
    send(id=request["id"], result={"content": [{"type": "text", "text": said}], **more})


def echo(request: dict[str, Any]) -> None:
    params = request["params"]
    text(request, "echo", structuredContent={"meta": params["_meta"], **params["arguments"]})


def endless(request: dict[str, Any]) -> None:
    for _ in range(1024):
        sys.stdout.write("x" * (1 << 20))


def no_json(request: dict[str, Any]) -> None:
    print("Listening …", flush=True)


def no_rpc(request: dict[str, Any]) -> None:
    print(json.dumps({"hello": "world"}), flush=True)


def no_result(request: dict[str, Any]) -> None:
    send(id=request["id"], result={"hello": "world"})


def leave(request: dict[str, Any]) -> None:
    print("out of paper", file=sys.stderr, flush=True)
    sys.exit(7)


def killed(request: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(request: dict[str, Any]) -> None:
    notify("notifications/progress", progressToken=request["params"]["_meta"]["progressToken"])


def refuse(request: dict[str, Any]) -> None:
    send(id=request["id"], error={"code": -32602, "message": "no such colour"})


def long(request: dict[str, Any]) -> None:
    text(request, "a" + " ·" * (request["params"]["arguments"]["length"] // 2 - 1) + " z")


def huge(request: dict[str, Any]) -> None:
    text(request, "x" * (50 << 20))


def parts(request: dict[str, Any]) -> None:
    part = {"type": "text", "text": ""}
    send(id=request["id"], result={"content": [part] * 33_000})


def noise(request: dict[str, Any]) -> None:
    for _ in range(256):
        sys.stderr.write("x" * (1 << 20))
    text(request, "done")


def values(request: dict[str, Any]) -> None:
    text(request, "", structuredContent={"values": [[]] * 1_000_000})


def flood(request: dict[str, Any]) -> None:
    token = request["params"]["_meta"]["progressToken"]
    for number in range(1_000):
        notify("notifications/progress", progressToken=token, progress=number)
        notify("notifications/message", level="info", data="x" * 10_000)
        notify("notifications/tools/list_changed")
        notify("notifications/of_my_own", data="x")
    text(request, "done")


def work(request: dict[str, Any]) -> None:
    token = request["params"]["_meta"]["progressToken"]
    notify("notifications/progress", progressToken=token, progress=1, total=2, message="half")
    notify("notifications/message", level="warning", data={"left": 1})
    text(request, "done")


def grow(request: dict[str, Any]) -> None:
    TOOLS["grown"] = echo
    notify("notifications/tools/list_changed")
    text(request, "done")


def ask(request: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"color": {"type": "string"}}}
    params = {"message": "Which color?", "requestedSchema": schema}
    send(id="question", method="elicitation/create", params=params)
    ASKED["question"] = request


def ask_on(request: dict[str, Any]) -> None:
    said = []
    for number in range(request["params"]["arguments"]["times"]):
        schema = {"type": "object", "properties": {}}
        params = {"message": "Really?", "requestedSchema": schema}
        send(id=f"question {number}", method="elicitation/create", params=params)
        said.append(json.loads(sys.stdin.readline())["result"]["action"])
    text(request, " ".join(said))


def pester(request: dict[str, Any]) -> None:
    # Never reads an answer.
    for number in itertools.count():
        send(id=f"ping {number}", method="ping")


def notify(method: str, **params: Any) -> None:
    if method == "notifications/progress":
        params = {"progress": 0, **params}
    send(method=method, params=params)


TOOLS = {
    function.__name__: function
    for function in (
        *(
            echo,
            endless,
            no_json,
            no_rpc,
            no_result,
            leave,
            killed,
            hang,
            refuse,
            long,
            huge,
            parts,
            noise,
        ),
        *(values, flood, work, grow, ask, ask_on, pester),
    )
}
ASKED: dict[str, dict[str, Any]] = {}


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "description": name, "inputSchema": {"type": "object"}}


def listed(request: dict[str, Any]) -> None:
    start = int(request.get("params", {}).get("cursor", 0))
    if WAY == "lists_forever":
        names = [f"tool_{number}" for number in range(start, start + PAGE)]
        send(
            id=request["id"],
            result={"tools": list(map(tool, names)), "nextCursor": str(start + PAGE)},
        )
        return
    tools = [tool(name) for name in TOOLS]
    result: dict[str, Any] = {"tools": tools[start : start + PAGE]}
    if start + PAGE < len(tools):
        result["nextCursor"] = str(start + PAGE)
    send(id=request["id"], result=result)


def initialize(request: dict[str, Any]) -> None:
    capabilities = {"tools": {"listChanged": True}, "logging": {}}
    result = {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "serverInfo": {"name": "unruly", "version": "1"},
        "instructions": "Take care.",
    }
    send(id=request["id"], result=result)


def handle(message: dict[str, Any]) -> None:
    match message:
        case {"method": "initialize"}:
            initialize(message)
        case {"method": "tools/list"}:
            listed(message)
        case {"method": "tools/call", "params": {"name": name}}:
            TOOLS[name](message)
        case {"method": "notifications/cancelled", "params": params}:
            with (FOLDER / "taken back").open("a") as file:
                file.write(f"{params['requestId']}\n")
        case {"method": str(), "id": number}:
            send(id=number, error={"code": -32601, "message": "Method not found"})
        case {"result": result, "id": name} if name in ASKED:
            text(ASKED.pop(name), json.dumps(result, sort_keys=True))


def main() -> None:
    with (FOLDER / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if WAY == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if WAY == "silent":
        print("thinking", file=sys.stderr, flush=True)
    if WAY == "gone" or (FOLDER / "stay away").exists():
        sys.exit("not today")
    for line in sys.stdin:
        if WAY != "silent":
            handle(json.loads(line))
    while WAY == "stubborn":
        time.sleep(3600)


if __name__ == "__main__":
    main()
