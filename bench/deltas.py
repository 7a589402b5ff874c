"""Provisional text of a model: how long it takes from the provider to who watches, at what cost."""

from __future__ import annotations

from statistics import median

from bench.children import call, command
from bench.setup import Setup
from bench.table import Table, Target

PIECES = 300
LATENCY_TARGET = Target(50, "ms")
COMMIT_TARGET = Target(0, "")


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"deltas: {PIECES} pieces of an answer, one every 10 ms")
    [found] = setup.interleave(lambda: call(command("deltas", setup.folder("log"), PIECES)))
    latest = [taken["p95_ms"] for taken in found]
    table.add(
        "from sent to seen, p95",
        f"{median(latest):.1f} ms",
        f"p50: {median(taken['p50_ms'] for taken in found):.1f} ms",
        median(latest),
        LATENCY_TARGET,
    )
    commits = max(taken["commits"] for taken in found)
    table.add("commits meanwhile", f"{commits}", "", commits, COMMIT_TARGET)
    return table
