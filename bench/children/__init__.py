"""Programs that a benchmark starts as processes of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 600


def command(program: str, *arguments: object) -> list[str]:
    """The command that runs one of these programs, from ROOT."""
    return [sys.executable, "-m", f"bench.children.{program}", *map(str, arguments)]


def call(arguments: Sequence[str]) -> Any:
    """Run a command to its end; the JSON that it prints."""
    result = subprocess.run(
        arguments, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=TIMEOUT_SECONDS
    )
    return json.loads(result.stdout)


def peak_rss_mib() -> float:
    """The most memory that this process has had at one time."""
    status = Path("/proc/self/status")
    if status.exists():
        # A child's ru_maxrss begins with what its parent had at the fork; this doesn't.
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if found is not None:
            return int(found[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
