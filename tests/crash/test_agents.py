"""Agents in processes of their own and elsewhere, killed while their controller lives."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from .conftest import Pool
from .harness import (
    APART,
    CONFIG,
    EFFECTS,
    SERVED,
    Job,
    Reference,
    Trial,
    Zygote,
    clean_environment,
    lines_of,
    reference,
)

SEED = 20_261_101
# One more, and the run has failed.
_KILLS = 4

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


def _agents(controller: int) -> list[int]:
    """The processes of a controller's agents, behind their guards."""
    parents: dict[int, int] = {}
    names: dict[int, bytes] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(path.name)] = (path / "cmdline").read_bytes()
    return [
        pid
        for pid, parent in parents.items()
        if parents.get(parent) == controller and b"agent_host" in names.get(pid, b"")
    ]


def _drive(trial: Trial, job: Job, meanwhile: Callable[[subprocess.Popen[bytes]], int]) -> int:
    """Run a job to its end, and do something beside it once it has begun; what that gives."""
    common = ("--data-dir", str(trial.data), "--config", str(CONFIG), "--output", "json")
    argv = ("exec", "--conversation", trial.name, *job.argv(), *common)
    with subprocess.Popen(
        [sys.executable, "-m", "axtui", *argv],
        cwd=trial.work,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None and not (trial.work / EFFECTS).exists():
            time.sleep(0.005)
        found = meanwhile(process)
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, (errors, said[-1000:])
    for line in lines_of(said):
        if "seq" in line:
            trial.acknowledge(line)
    return found


def _check(trial: Trial, undisturbed: Reference) -> None:
    trial.observe()
    trial.check_sound()
    trial.check_outcome(undisturbed)


@pytest.mark.parametrize(
    "trials", [4, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_agents_are_killed_at_random_moments(pool: Pool, tmp_path: Path, trials: int) -> None:
    [undisturbed] = pool.map(lambda z, job: reference(z, tmp_path / "reference", job), [APART])

    def one(zygote: Zygote, number: int) -> int:
        trial = Trial(zygote, tmp_path / f"{number}", APART)
        chance = random.Random(f"{SEED} {number}")

        def kill(process: subprocess.Popen[bytes]) -> int:
            kills, until = 0, 0.0
            while process.poll() is None and kills < _KILLS:
                time.sleep(0.005)
                agents = _agents(process.pid) if time.monotonic() > until else []
                if agents:
                    with suppress(ProcessLookupError):
                        os.kill(chance.choice(agents), signal.SIGKILL)
                        kills += 1
                    until = time.monotonic() + chance.uniform(0.3, 1.5) * undisturbed.seconds
            return kills

        kills = _drive(trial, APART, kill)
        _check(trial, undisturbed)
        return kills

    assert sum(pool.map(one, range(trials)))


class _Server:
    """Serves the agents of a trial; what the trial connects to is the same when it is restarted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("served.py"))],
            cwd=self._folder,
            env=clean_environment(),
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert b"served at" in self._process.stdout.readline()

    def kill(self) -> None:
        with self._process as process:
            process.kill()


@pytest.mark.parametrize(
    "trials", [3, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_their_server_is_killed_at_random_moments(pool: Pool, tmp_path: Path, trials: int) -> None:
    def undisturbed_run(zygote: Zygote, job: Job) -> Reference:
        trial = Trial(zygote, tmp_path / "reference", job)
        server = _Server(trial.work)
        try:
            return reference(zygote, tmp_path / "reference", job)
        finally:
            server.kill()

    [undisturbed] = pool.map(undisturbed_run, [SERVED])

    def one(zygote: Zygote, number: int) -> int:
        trial = Trial(zygote, tmp_path / f"{number}", SERVED)
        chance = random.Random(f"{SEED} served {number}")
        server = _Server(trial.work)

        def kill(process: subprocess.Popen[bytes]) -> int:
            kills = 0
            while process.poll() is None and kills < _KILLS:
                time.sleep(chance.uniform(0, 1) * undisturbed.seconds)
                server.kill()
                server.start()
                kills += 1
            return kills

        try:
            kills = _drive(trial, SERVED, kill)
        finally:
            server.kill()
        _check(trial, undisturbed)
        return kills

    assert sum(pool.map(one, range(trials)))
