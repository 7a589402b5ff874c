"""Server and clients are killed at random; the run completes, and nobody misses or sees double."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from axtui.remote.client import RemoteClient
from axtui.remote.dialing import Elsewhere
from axtui.runtime.controller import RunOptions

from .conftest import ROOT, SECONDS, Server


class Follower:
    """`axtui attach` in a process of its own, started again where it was killed."""

    def __init__(self, server: Server, name: str) -> None:
        self._command = [sys.executable, "-m", "axtui", "attach", name, "--output", "json"]
        self._command += ["--server", server.address]
        self.seqs: list[int] = []
        self.status: int | None = None

    def follow(self, seconds: float | None) -> None:
        """For so long, then it is killed; or to the end."""
        last = self.seqs[-1] if self.seqs else 0
        with subprocess.Popen(
            [*self._command, "--last-seq", str(last)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process:
            try:
                out, _ = process.communicate(timeout=seconds)
                self.status = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                out, _ = process.communicate()
        # What it was killed in the middle of printing, it has not shown.
        for line in out.decode().split("\n")[:-1]:
            entry = json.loads(line)
            if "seq" in entry:
                self.seqs.append(entry["seq"])


async def killed(server: Server, folder: Path, kills: int, steps: int, seed: int) -> None:
    chance = random.Random(seed)
    path = folder / "effects"
    client = RemoteClient(Elsewhere(server.address))
    await client.start("c", "", "counter", RunOptions([steps, str(path)]))
    follower = Follower(server, "c")
    for _ in range(kills):
        follower.follow(chance.uniform(0.3, 2.0))
        if follower.status is not None:
            break
        if chance.random() < 0.7:
            server.kill()
            server.start()
    follower.follow(SECONDS * 20)
    assert follower.status == 0
    state = await client.state("c")
    assert follower.seqs == list(range(1, state.seq + 1))
    assert state.run.output.text == str(sum(range(steps)))
    started: Counter[str] = Counter()
    after = 0
    while page := await client.read("c", after=after, kinds=["step.started"]):
        started.update(json.loads(r.event().step_started.arguments.text)[0] for r in page)
        after = page[-1].seq
    done = Counter(map(int, path.read_text().split()))
    assert set(done) == set(range(steps))
    # Each time that it was begun, at most; and none more once it was finished.
    assert all(times <= started[number] for number, times in done.items())
    assert [fault async for fault in client.verify("c")] == ["c"]
    assert "Traceback" not in server.errors.read_text()
    await client.close()


@pytest.mark.timeout(300)
async def test_killed_a_few_times(server: Server, tmp_path: Path) -> None:
    await killed(server, tmp_path, kills=5, steps=150, seed=3)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_killed_often(server: Server, tmp_path: Path) -> None:
    await killed(server, tmp_path, kills=250, steps=8000, seed=4)
