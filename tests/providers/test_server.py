"""The server as other tests use it: as a process, steered and watched from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

Serve = Callable[..., HTTPConnection]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts the process with a script, and connects to it."""
    processes: list[subprocess.Popen[str]] = []
    connections: list[HTTPConnection] = []

    def start(*script: dict[str, Any]) -> HTTPConnection:
        (tmp_path / "script.json").write_text(json.dumps(script))
        command = [sys.executable, "-m", "tests.providers", str(tmp_path / "script.json")]
        command += ["--log", str(tmp_path / "log")]
        root = Path(__file__).parents[2]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        processes.append(process)
        assert process.stdout is not None
        host = process.stdout.readline().strip().removeprefix("http://")
        connections.append(HTTPConnection(host, timeout=60))
        return connections[-1]

    yield start
    for connection in connections:
        connection.close()
    for process in processes:
        process.kill()
        process.communicate()


def ask(server: HTTPConnection, text: str) -> HTTPResponse:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    server.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": "Bearer k"})
    return server.getresponse()


def said(answer: HTTPResponse) -> str:
    lines = [line.removeprefix("data: ") for line in answer.read().decode().splitlines()]
    chunks = [json.loads(line) for line in lines if line and line != "[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def test_turns_are_chosen_and_logged(serve: Serve, tmp_path: Path) -> None:
    script = [{"text": "one"}, {"when": "twice", "text": "again", "repeat": True}, {"status": 503}]
    server = serve(*script)
    assert [said(ask(server, text)) for text in ("a", "twice", "twice")] == ["one"] + ["again"] * 2
    refused = ask(server, "b")
    assert (refused.status, json.loads(refused.read())["error"]["type"]) == (503, "server_error")
    left_over = ask(server, "c")
    assert (left_over.status, b"no turn" in left_over.read()) == (418, True)
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["turn"] for line in log] == [0, 1, 1, 2, None]
    assert log[0]["path"] == "/v1/chat/completions"
    assert log[0]["headers"]["authorization"] == "Bearer k"
    assert log[0]["body"]["messages"][0]["content"] == "a"


def test_a_turn_waits_until_it_is_released(serve: Serve) -> None:
    server = serve({"text": ["so", " far"], "hold": "gate"})
    answer = ask(server, "go")
    begun = answer.readline() + answer.readline() + answer.readline()
    assert b'"so"' in begun
    other = HTTPConnection(server.host, server.port, timeout=60)
    other.request("POST", "/release/gate")
    assert other.getresponse().status == 204
    other.close()
    assert said(answer) == " far"
