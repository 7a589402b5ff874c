"""The agent `coding` writes a small server, tries it and says so, though it is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import axtui

ROOT = Path(axtui.__file__).parents[1]
SECONDS = 120
_PYTHON = os.path.realpath(sys.executable)
_SERVER = """\
from http.server import BaseHTTPRequestHandler, HTTPServer

class Greeter(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Hello, " + self.path[1:].encode())

server = HTTPServer(("127.0.0.1", 0), Greeter)
print(server.server_port, flush=True)
server.serve_forever()
"""
# The first time it hangs, with the server at its side.
_TRY = f"""\
rm -f port
{_PYTHON} server.py > port 2> log &
until [ -s port ]; do sleep 0.1; done
[ -e tried ] || {{ touch tried; sleep 600; }}
{_PYTHON} -c "import sys, urllib.request as web; \
print(web.urlopen('http://127.0.0.1:' + sys.argv[1] + '/whale').read().decode())" "$(cat port)"
kill $!
"""
_CONFIG = """\
models: {default: local:scripted, providers: {local: {kind: openai, base_url: %s/v1}}}
environment: {readable: [%s]}
"""
_SCRIPT = [
    {"when": "Hello, whale", "text": "The server works: it greets whales.", "repeat": True},
    {
        "when": "made server.py",
        "calls": [{"id": "call_2", "name": "shell", "arguments": {"command": _TRY}}],
        "repeat": True,
    },
    {
        "text": "I write the server.",
        "calls": [
            {
                "id": "call_1",
                "name": "write_file",
                "arguments": {"path": "server.py", "content": _SERVER},
            }
        ],
        "repeat": True,
    },
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder to work in, with the configuration of a model that follows the script."""
    (tmp_path / "script").write_text(json.dumps(_SCRIPT))
    provider = subprocess.Popen(
        [sys.executable, "-m", "tests.providers", "script", "--log", "log"],
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert provider.stdout is not None
    url = provider.stdout.readline().strip()
    (tmp_path / "axtui.yaml").write_text(_CONFIG % (url, sys.base_prefix))
    (tmp_path / "work").mkdir()
    yield tmp_path
    provider.kill()
    provider.communicate()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AXTUI_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def _start(folder: Path, *argv: str) -> subprocess.Popen[str]:
    options = ("--config", "../axtui.yaml", "--data-dir", "../data", "--output", "json")
    return subprocess.Popen(
        [sys.executable, "-m", "axtui", *argv, *options],
        cwd=folder / "work",
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(folder: Path, *argv: str) -> list[dict[str, Any]]:
    process = _start(folder, *argv)
    said, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in said.splitlines()]


def _processes_of(folder: Path) -> list[str]:
    """The command lines of those that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")) == folder:
                found.append((process / "cmdline").read_text())
        except OSError:
            pass
    return found


@pytest.mark.timeout(300)
def test_it_writes_a_server_and_tries_it_though_it_is_killed(folder: Path) -> None:
    work = folder / "work"
    asked = ("exec", "--agent", "coding", "--input", "A server that greets", "--approve", "all")
    process = _start(folder, *asked, "--conversation", "c")
    _until(lambda: (work / "tried").exists())
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=SECONDS)
    # Neither the command nor the server outlives the controller.
    _until(lambda: not _processes_of(work))
    assert (work / "server.py").read_text() == _SERVER

    resumed = ("exec", "--conversation", "c", "--resume", "--on-interrupted", "retry")
    result = _run(folder, *resumed)[-1]
    assert (result["state"], result["output"]) == (
        "completed",
        "The server works: it greets whales.",
    )
    assert not _processes_of(work)
    events = _run(folder, "events", "c")
    started = [e["data"] for e in events if e["kind"] == "step.started"]
    tools = [(step["name"], step["attempt"]) for step in started if step.get("by_model")]
    assert tools == [("write_file", 1), ("shell", 1), ("shell", 2)]
    answers = [e["data"] for e in events if e["kind"] == "approval.answered"]
    assert [answer["rule"] for answer in answers] == ["--on-interrupted retry"]
    assert _run(folder, "verify")
    requests = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    assert [request["turn"] for request in requests] == [2, 1, 0]


def _until(test: Any) -> None:
    """Poll, as nobody tells what another process has done."""
    end = time.monotonic() + SECONDS
    while not test():
        assert time.monotonic() < end
        time.sleep(0.02)
