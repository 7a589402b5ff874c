"""A server that is sent what nobody would send: it refuses what is wrong, and nothing else happens.

The long run makes a million calls; it takes about half an hour.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc.aio
import pytest

import axtui
from axtui.ax import ax_pb2 as ax
from axtui.cli import main
from axtui.model.tokens import new_secret, secret_hash
from axtui.remote.client import RemoteClient
from axtui.remote.credentials import Credentials
from axtui.remote.dialing import Elsewhere
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import LogError

from .fuzzing import MAX_MESSAGE, Caller, Fuzzer, run

SECONDS = 30.0
# Between two looks at what the server has grown to.
ROUND = 20_000
MAX_GROWTH = 64 << 20
_ROLES = ("viewer", "operator", "admin")
_SERVE = ("-m", "axtui", "serve", "--address", "127.0.0.1:0")
_CONFIG = """
server:
  limits:
    {{calls: 1000, requests: 1000000, all_requests: 1000000, runs: 20, message: {message}}}
  tokens:
    - {{name: viewer, role: viewer, hash: {viewer}}}
    - {{name: operator, role: operator, hash: {operator}}}
    - {{name: admin, role: admin, hash: {admin}}}
    - {{name: expired, role: admin, hash: {expired}, expires: 2020-01-01}}
agents:
  - {{id: asker, python: "tests.remote.agents:asker", isolation: inline}}
"""


class Tried:
    """The process of a server, and what it leaves behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.secrets = {name: new_secret() for name in (*_ROLES, "expired")}
        hashes = {name: secret_hash(secret).hex() for name, secret in self.secrets.items()}
        (folder / "axtui.yaml").write_text(_CONFIG.format(message=MAX_MESSAGE, **hashes))
        (folder / "temporary").mkdir()
        self._errors = folder / "errors"
        root = Path(axtui.__file__).parents[1]
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *_SERVE, "--data-dir", str(folder / "data")],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env={
                    "PATH": "/usr/bin:/bin",
                    "PYTHONPATH": str(root),
                    "TMPDIR": f"{folder}/temporary",
                },
                text=True,
            )
        assert self.process.stdout
        self.address = self.process.stdout.readline().split()[-1]
        self.client = RemoteClient(Elsewhere(self.address, Credentials(self.secrets["admin"])))

    async def callers(self) -> list[Caller]:
        """Everybody, those who are let in more often."""
        gone = new_secret()
        await self.client.create_token("gone", "admin", secret_hash(gone), 0)
        await self.client.revoke_token("gone")
        known = [Caller(role, f"Bearer {self.secrets[role]}") for role in _ROLES]
        strangers = [
            *("", f"Bearer {gone}", f"Bearer {self.secrets['expired']}", f"Bearer {new_secret()}"),
            *("Bearer", "Basic x", "bearer ,", "x" * 2000),
        ]
        return [*known * 10, *(Caller("", told) for told in strangers)]

    async def tidy(self) -> None:
        """Remove what was rightly made, as its owner would."""
        for listed in await self.client.prunable(2**62, ()):
            await self.client.purge(listed.summary.id)
        for listed in await self.client.conversations(limit=10_000):
            name = listed.summary.id
            for end in (self.client.cancel, self.client.delete):
                with suppress(Refused, LogError):
                    await end(name, "")
            await self.client.purge(name)

    def memory(self) -> int:
        """Bytes that the process takes; 0 where that can't be told."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except FileNotFoundError:
            return 0
        return int(status.partition("VmRSS:")[2].split()[0]) << 10

    def files(self) -> int:
        """Files and sockets that it has open."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        return len([*folder.iterdir()]) if folder.exists() else 0

    def end(self) -> None:
        """Stop it, and look at what is left."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == 0
        assert self._errors.read_text() == ""
        assert [*(self._folder / "temporary").iterdir()] == []
        data = {path.name for path in (self._folder / "data").iterdir()}
        # Once somebody has searched there is an index.
        assert data - {"log.db.search", "log.db.search.lock"} == {"log.db", "log.db.lock"}
        beside = {path.name for path in self._folder.iterdir()}
        assert beside <= {"axtui.yaml", "temporary", "errors", "data", "data-workspaces"}
        assert main(["verify", "--data-dir", str(self._folder / "data")]) == 0


@pytest.fixture
async def tried(tmp_path: Path) -> AsyncIterator[Tried]:
    """A server that is going to be tried."""
    made = Tried(tmp_path)
    yield made
    await made.client.close()
    made.process.kill()
    made.process.wait()
    made.process.stdout and made.process.stdout.close()


async def attempt(tried: Tried, seed: int, cases: int) -> None:
    """Make so many calls, and see that the server is as before."""
    fuzzer = Fuzzer(seed, await tried.callers())
    await run(tried.address, fuzzer, min(2000, cases // 2))
    await tried.tidy()
    memory, files = tried.memory(), tried.files()
    while cases > 0:
        await run(tried.address, fuzzer, min(ROUND, cases))
        cases -= ROUND
        await tried.tidy()
        assert tried.memory() < memory + MAX_GROWTH
        assert tried.files() < files + 50
    await tried.client.close()
    await asyncio.to_thread(tried.end)


async def test_some(tried: Tried) -> None:
    await attempt(tried, 1, 2000)


async def test_callers_who_leave_as_they_are_told_the_end(tried: Tried) -> None:
    await tried.client.start("c", "hello", "asker", RunOptions())
    await tried.client.cancel("c", "")
    metadata = (("authorization", f"Bearer {tried.secrets['admin']}"),)
    asked = ax.ExecRequest(conversation_id="c", last_seq=1).SerializeToString()

    async def leave(channel: grpc.aio.Channel) -> None:
        call = channel.unary_stream("/ax.ControllerService/Exec")(asked, metadata=metadata)
        await call.read()
        call.cancel()

    async with grpc.aio.insecure_channel(tried.address) as channel:
        for _ in range(60):
            await asyncio.gather(*(leave(channel) for _ in range(16)))
    await tried.client.close()
    await asyncio.to_thread(tried.end)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(10))
async def test_many(tried: Tried, seed: int) -> None:
    await attempt(tried, seed, 100_000)
