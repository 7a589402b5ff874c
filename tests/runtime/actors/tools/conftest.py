"""Tool hosts for tests, and the servers behind them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from axtui.runtime.actors.tools.host import ToolHost

HERE = Path(__file__).parent
SCRIPTS = Path(sys.executable).parent
NPM = ("everything", "filesystem")
VERSION = "2026.8.31"


def unruly(folder: Path, way: str = "", **more: Any) -> dict[str, Any]:
    """The configuration of the server that misbehaves."""
    return {"command": [sys.executable, "-I", str(HERE / "unruly.py"), str(folder), way], **more}


def pids(folder: Path) -> list[int]:
    """The processes that `unruly` servers have had, oldest first."""
    file = folder / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def alive(pid: int) -> bool:
    """Whether there is such a process, one that is more than an entry in a table."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def until_gone(processes: list[int]) -> None:
    """Wait until none of them is alive."""
    while any(map(alive, processes)):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


class Caller:
    """A host, what it has said of changes, and calls with few words."""

    def __init__(self, servers: dict[str, dict[str, Any]], folder: Path) -> None:
        self.changes: list[str] = []
        self.said: list[str] = []
        self.questions: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {"action": "decline"}
        self._news = asyncio.Event()
        logins = str(folder / "logins")
        self.host = ToolHost(servers, str(folder), logins, partial(self._hear, self.changes))

    async def __call__(
        self,
        name: str,
        timeout: float | None = None,
        meta: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        return await self.host.call(
            name,
            arguments,
            timeout=timeout,
            on_progress=partial(self._hear, self.said),
            ask=self._ask,
            meta=meta or {},
        )

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something that the host tells makes the condition true."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    def _hear(self, kept: list[str], text: str) -> None:
        kept.append(text)
        self._news.set()

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self.questions.append(question)
        return self.answer


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Caller]]:
    """Make hosts with these servers; in the end they are closed, and nothing may be left."""
    callers = []

    def make(**servers: dict[str, Any]) -> Caller:
        callers.append(Caller(servers, tmp_path))
        return callers[-1]

    yield make
    for caller in callers:
        await caller.host.aclose()
    assert [pid for pid in pids(tmp_path) if alive(pid)] == []


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """A folder with reference servers from npm in it, kept from one time to the next."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = caches / "axtui-tests" / f"npm-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "complete").exists():
            names = [f"@modelcontextprotocol/server-{name}@{VERSION}" for name in NPM]
            command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(cache), *names]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"npm can't install {', '.join(names)}: {done.stderr[-200:]}")
            (cache / "complete").touch()
    return cache / "node_modules" / "@modelcontextprotocol"
