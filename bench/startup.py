"""`axtui --help` against `python -c pass`, and what it imports."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.children import ROOT
from bench.setup import Setup, ratio
from bench.table import Table, Target

ROUNDS = 15
FORBIDDEN = ("grpc", "textual", "mcp", "openai", "anthropic", "google.genai")
_IMPORTS = f"""
import runpy, sys
sys.argv = ["axtui", "--help"]
try:
    runpy.run_module("axtui", run_name="__main__", alter_sys=True)
except SystemExit:
    pass
print([name for name in {FORBIDDEN} if name in sys.modules], file=sys.stderr)
"""


def measure(setup: Setup) -> Table:
    """The benchmark."""
    programs = {"python -m axtui --help": [sys.executable, "-m", "axtui", "--help"]}
    script = Path(sys.executable).parent / "axtui"
    if script.exists():
        programs["axtui --help"] = [str(script), "--help"]
    bare = [sys.executable, "-c", "pass"]

    commands = [*programs.values(), bare]
    *ours, theirs = setup.interleave(
        *(lambda command=command: _seconds(command) for command in commands), rounds=ROUNDS
    )
    table = Table("startup")
    for name, seconds in zip(programs, ours, strict=True):
        table.add(
            name,
            f"{median(seconds) * 1000:.0f} ms",
            f"python -c pass: {median(theirs) * 1000:.0f} ms",
            ratio(seconds, theirs),
            Target(3),
        )
    found = _run([sys.executable, "-c", _IMPORTS]).stderr.strip().splitlines()[-1]
    table.add("heavy modules imported", found, "", found.count("'") / 2, Target(0, ""))
    table.notes.append(f"Heavy are {', '.join(FORBIDDEN)}.")
    return table


def _seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    _run(command)
    return time.perf_counter() - started


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
