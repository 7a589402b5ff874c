"""`kill -9` in the middle of a run to its first new step, against a fresh start to the first."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

from bench.children import ROOT, command
from bench.setup import Setup, ratio
from bench.table import Table, Target

STEPS = 2000


def measure(setup: Setup) -> Table:
    """The benchmark."""
    killed = setup.folder("killed")
    _until_step(killed, "start", STEPS // 2)

    def fresh() -> float:
        return _until_step(setup.folder("fresh"), "start", 1)

    def resumed() -> float:
        folder = setup.folder("resumed")
        shutil.copytree(killed, folder, dirs_exist_ok=True)
        return _until_step(folder, "resume", 1)

    starts, resumes = setup.interleave(fresh, resumed)
    table = Table(f"recovery: a run of {STEPS:,} steps, killed after {STEPS // 2:,}")
    table.add(
        "kill -9 to first new step",
        f"{median(resumes) * 1000:,.0f} ms",
        f"fresh start to the first step: {median(starts) * 1000:,.0f} ms",
        ratio(resumes, starts),
        Target(2),
    )
    return table


def _until_step(folder: Path, verb: str, step: int) -> float:
    """Seconds from the start of the process until it takes its `step`th step. Then it is killed."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command("recover", folder, STEPS, verb), cwd=ROOT, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        for _ in range(step):
            if not process.stdout.readline():
                raise RuntimeError(f"{verb} in {folder} ended before its step {step}")
        seconds = time.perf_counter() - started
        process.kill()
    return seconds
