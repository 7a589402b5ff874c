"""`kill -9` in the middle of a run to its first new step, against a fresh start to the first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeAlias

from bench.children import ROOT, command
from bench.setup import Setup, ratio
from bench.table import Table, Target
from bench.work import MAX_STEPS, PIPE

Program: TypeAlias = Callable[[str, Path], list[str]]

STEPS = 2000


_CONFIG = f"""\
agents:
  - id: tells
    python: bench.work:tells
    isolation: inline
policy:
  budget:
    steps: {MAX_STEPS}
"""


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"recovery: a run of {STEPS:,} steps, killed after {STEPS // 2:,}")
    config = setup.scratch / "axtui.yaml"
    config.write_text(_CONFIG)
    _compare(setup, table, "axtui exec", partial(_exec, config))
    _compare(setup, table, "the client in Python", partial(command, "recover", STEPS))
    return table


def _compare(setup: Setup, table: Table, what: str, program: Program) -> None:
    killed = setup.folder("killed")
    _until_step(program("start", killed), STEPS // 2)

    def fresh() -> float:
        return _until_step(program("start", setup.folder("fresh")), 1)

    def resumed() -> float:
        folder = setup.folder("resumed")
        shutil.copytree(killed, folder, dirs_exist_ok=True)
        return _until_step(program("resume", folder), 1)

    starts, resumes = setup.interleave(fresh, resumed)
    table.add(
        f"kill -9 to first new step, {what}",
        f"{median(resumes) * 1000:,.0f} ms",
        f"fresh start to the first step: {median(starts) * 1000:,.0f} ms",
        ratio(resumes, starts),
        Target(2),
    )


def _exec(config: Path, verb: str, folder: Path) -> list[str]:
    arguments = ["--config", str(config), "--data-dir", str(folder), "--conversation", "bench"]
    if verb == "resume":
        arguments.append("--resume")
    else:
        agent_config = json.dumps({"steps": STEPS})
        arguments += ["--agent", "tells", "--agent-config", agent_config, "--input", "go"]
    return [sys.executable, "-m", "axtui", "exec", *arguments]


def _until_step(program: Sequence[str], step: int) -> float:
    """Seconds from the start of the process until it takes its `step`th step. Then it is killed."""
    mine, its = os.pipe()
    started = time.perf_counter()
    process = subprocess.Popen(
        program,
        cwd=ROOT,
        env={**os.environ, PIPE: str(its)},
        pass_fds=[its],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(its)
    with process, open(mine, "rb") as pipe:
        for _ in range(step):
            if not pipe.readline():
                raise RuntimeError(f"{' '.join(program)} ended before its step {step}")
        seconds = time.perf_counter() - started
        process.kill()
    return seconds
