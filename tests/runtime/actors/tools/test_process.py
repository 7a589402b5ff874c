"""The host as a process: what it keeps in memory, and what it leaves behind when it is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import HERE, alive, pids, until_gone

ROOT = HERE.parents[3]


@pytest.fixture
async def hosting(tmp_path: Path) -> AsyncIterator[Any]:
    """Start a host that calls these tools; its process, and what it tells."""
    started = []

    async def start(*tools: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.runtime.actors.tools.hosting", str(tmp_path), *tools),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(await process.stdout.readline())

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    await until_gone(pids(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_its_servers_die_with_it(
    hosting: Any, tmp_path: Path, number: signal.Signals
) -> None:
    process, _ = await hosting()
    servers = pids(tmp_path)
    assert len(servers) == 2
    assert all(alive(pid) for pid in servers)
    os.kill(process.pid, number)
    # Not even one that takes no notice of being asked stays.
    await until_gone(servers)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
async def test_memory_is_bounded(hosting: Any) -> None:
    # The first prints 1 GiB in one line, the second 256 MiB as errors, the third says 50 MiB.
    _, told = await hosting("endless", "noise", "huge", "flood", "values")
    assert len(told["faults"]) == 3
    assert told["growth"] < 50


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
async def test_a_message_cannot_have_more_in_it_than_this(hosting: Any) -> None:
    _, told = await hosting("parts")
    assert told["faults"] == []
    assert told["growth"] < 150
