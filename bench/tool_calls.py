"""A call of a tool through the tool host, against one with the SDK's client alone."""

from __future__ import annotations

from statistics import median

from bench.children import call, command
from bench.setup import Setup
from bench.table import Table, Target

CALLS = 1_000


def measure(setup: Setup) -> Table:
    """The benchmark."""
    ours, theirs = setup.interleave(
        lambda: call(command("tool_calls", "hosted", CALLS)),
        lambda: call(command("tool_calls", "bare", CALLS)),
    )
    table = Table(f"tool-calls: {CALLS:,} calls of a tool that does nothing, over pipes")
    (cpu, wall), (bare_cpu, bare_wall) = (
        [list(side) for side in zip(*taken, strict=True)] for taken in (ours, theirs)
    )
    table.add(
        "CPU of the host per call",
        f"{median(cpu):.2f} ms",
        f"the SDK alone: {median(bare_cpu):.2f} ms",
        median(a - b for a, b in zip(cpu, bare_cpu, strict=True)),
        Target(2, "ms more"),
    )
    table.add("a call", f"{median(wall):.2f} ms", f"the SDK alone: {median(bare_wall):.2f} ms")
    return table
