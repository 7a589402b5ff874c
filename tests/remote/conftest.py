"""A server as users have it, in a process of its own, and one in the process of a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import axtui
from axtui.remote import dialing
from axtui.runtime.config import Agent, Config, Environment
from axtui.runtime.config import Server as ServerConfig
from axtui.runtime.errors import Refused

from .authority import Authority
from .harness import Serve, Served

ROOT = Path(axtui.__file__).parents[1]
SECONDS = 30.0
_AGENTS = """\
server: {limits: {calls: 1000, runs: 100}}
agents:
  - {id: emitter, python: "tests.remote.agents_for_tests:emitter", isolation: inline}
  - {id: counter, python: "tests.remote.agents_for_tests:counter"}
"""


class Server:
    """`axtui serve` on a data directory, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self._config = folder / "axtui.yaml"
        self._config.write_text(_AGENTS)
        self.errors = folder / "stderr"
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> Server:
        """Start it; it has the port that it had before."""
        command = [sys.executable, "-m", "axtui", "serve", *options]
        command += ["--config", str(self._config), "--data-dir", str(self.data_dir)]
        command += ["--address", f"127.0.0.1:{self.port}"]
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=self._config.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        assert self._process.stdout
        said = self._process.stdout.readline()
        assert said, self.errors.read_text()
        self.port = int(said.rpartition(":")[2])
        return self

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        """End it without a word."""
        assert self._process
        self._process.kill()
        self._wait()

    def stop(self) -> int:
        """Ask it to end; gives back its exit status."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        return self._wait()

    def _wait(self) -> int:
        assert self._process
        assert self._process.stdout
        status = self._process.wait(SECONDS)
        self._process.stdout.close()
        self._process = None
        return status

    def end(self) -> None:
        """Whatever it is doing."""
        if self._process is not None:
            self.kill()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Makes servers."""
    made: list[Server] = []

    def make() -> Server:
        folder = tmp_path / f"server{len(made)}"
        folder.mkdir()
        made.append(Server(folder))
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture
def server(make_server: Callable[[], Server]) -> Server:
    """One that runs."""
    return make_server().start()


@pytest.fixture
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that says nothing is noticed soon; each client has one of its own, as in a
    process of its own."""
    quick = {
        "grpc.keepalive_time_ms": 1000,
        "grpc.keepalive_timeout_ms": 500,
        "grpc.http2.ping_timeout_ms": 500,
        "grpc.use_local_subchannel_pool": 1,
    }
    monkeypatch.setattr(dialing, "OPTIONS", [*(dict(dialing.OPTIONS) | quick).items()])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs certificates."""
    return Authority(tmp_path / "authority")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves a data directory with these settings of `server`; closed at the end."""
    found: list[Served] = []

    async def start(address: str = "127.0.0.1:0", insecure: bool = False, **server: Any) -> Served:
        agents = tuple(
            Agent(name, f"tests.remote.agents:{name}", isolation="inline")
            for name in ("asker", "caller", "gate", "listener", "teller")
        )
        config = Config(
            data_dir=tmp_path / "data",
            server=ServerConfig(**server),
            agents=agents,
            environment=Environment(workspace=str(tmp_path / "work")),
        )
        made = Served(config)
        try:
            await made.start(address, insecure=insecure)
        except Refused:
            await made.close()
            raise
        found.append(made)
        return made

    yield start
    for made in found:
        await made.close()
