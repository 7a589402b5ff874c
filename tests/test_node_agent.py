"""The agent in Node.js of the examples: a second language for the protocol of agents."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "node_agent"
PROTO = Path("proto/axtui/v1/agent.proto")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def program(pytestconfig: pytest.Config) -> Path:
    """The agent with its packages, which are kept from one time to the next."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    assert pytestconfig.cache is not None
    lock = hashlib.sha256((EXAMPLE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = pytestconfig.cache.mkdir("node-agent") / lock
    shutil.copytree(EXAMPLE, folder / "examples" / "node_agent", dirs_exist_ok=True)
    (folder / PROTO).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / PROTO, folder / PROTO)
    there = folder / "examples" / "node_agent"
    if not (there / "node_modules" / ".package-lock.json").exists():
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"],
            cwd=there,
            capture_output=True,
            text=True,
            timeout=200,
        )
        if done.returncode:
            pytest.skip(f"its packages can't be had: {done.stderr.strip()[-200:]}")
    return there / "agent.js"


class Served:
    """The agent at an address that stays the same."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self.address = "localhost:0"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, again perhaps."""
        command = ["node", str(self._program), self.address]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().rpartition(" ")[2].strip()

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        with self._process as process:
            process.send_signal(signal.SIGKILL)


@pytest.fixture
def served(program: Path) -> Iterator[Served]:
    """The agent, which can be killed and started again."""
    agent = Served(program)
    agent.start()
    yield agent
    agent.kill()


Axtui = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def axtui(tmp_path: Path) -> Axtui:
    """Starts axtui in a folder of its own."""

    def start(*args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "axtui", *args, "--data-dir", "data"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def _done(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def _configure(folder: Path, **entry: object) -> None:
    # JSON is YAML as well.
    agents = {"agents": [{"id": "parcels", **entry}]}
    (folder / "axtui.yaml").write_text(json.dumps(agents))


def _exec(axtui: Axtui, *args: str) -> tuple[int, str, str]:
    return _done(axtui("exec", "--conversation", "c", *args))


def test_it_survives_its_own_death(axtui: Axtui, served: Served, tmp_path: Path) -> None:
    _configure(tmp_path, address=served.address)
    status, out, _ = _done(axtui("agents"))
    assert "Orders, packs and sends what it is told." in out
    seconds = '{"seconds": 1}'
    running = axtui(
        *("exec", "--conversation", "c", "--agent", "parcels"),
        *("--input", "books", "--agent-config", seconds),
    )
    noted = tmp_path / "parcels.txt"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (noted.exists() and "packing" in noted.read_text()):
        time.sleep(0.01)
    served.kill()
    served.start()
    status, out, err = _done(running)
    assert status == 3, (out, err)
    assert "the run waits: Send books?" in err
    # While it waits it may die as well.
    served.kill()
    assert _done(axtui("approve", "c"))[0] == 0
    status, _, err = _exec(axtui, "--resume")
    assert (status, "can't be reached: Connection refused" in err) == (5, True)
    served.start()
    status, out, err = _exec(axtui, "--resume")
    assert (status, "sent books, number 1" in out) == (0, True), (out, err)
    # The first step was done once; the second, which may be repeated, twice.
    assert noted.read_text().splitlines() == [
        "ordered books",
        "packing books, attempt 1",
        "packing books, attempt 2",
    ]
    log = [
        json.loads(line)
        for line in _done(axtui("events", "c", "--output", "json"))[1].split("\n")
        if line
    ]
    said = [event["data"]["content"] for event in log if event["kind"] == "message"]
    assert said[1][0]["text"].endswith("weighs 500 g")
    assert _done(axtui("verify", "c"))[0] == 0


def test_it_is_a_command(axtui: Axtui, program: Path, tmp_path: Path) -> None:
    _configure(tmp_path, command=["node", str(program)])
    for number in (1, 2):
        status, out, err = _exec(axtui, "--agent", "parcels", "--input", "tea", "--approve", "all")
        assert (status, f"sent tea, number {number}" in out) == (0, True), (out, err)
    status, out, err = _exec(axtui, "--input", "tea", "--approve", "deny")
    assert (status, "kept" in out) == (0, True), (out, err)


def test_it_fails_as_it_says(axtui: Axtui, program: Path, tmp_path: Path) -> None:
    _configure(tmp_path, command=["node", str(program)])
    (tmp_path / "parcels.txt").mkdir()
    status, _, err = _exec(axtui, "--agent", "parcels", "--input", "tea")
    assert (status, "EISDIR" in err) == (1, True), err
