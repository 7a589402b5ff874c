"""A tool call as a step of a run: what the controller itself spends on it."""

from __future__ import annotations

from statistics import median

from bench.children import call, command
from bench.setup import Setup
from bench.table import Table, Target

CALLS = 500
TARGET = Target(2, "ms")


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"tool-steps: {CALLS:,} calls of a tool that does nothing, each a durable step")
    for abreast in (1, 50):

        def one(abreast: int = abreast) -> dict[str, float]:
            folder = setup.folder("log")
            found: dict[str, float] = call(command("tool_steps", folder, CALLS, abreast))
            return found

        [found] = setup.interleave(one)
        cpu = [taken["cpu_ms"] for taken in found]
        wall = median(taken["wall_ms"] for taken in found)
        table.add(
            f"CPU of the controller per call, {abreast} at a time",
            f"{median(cpu):.2f} ms",
            f"from one to the next: {wall:.2f} ms",
            median(cpu),
            TARGET,
        )
    return table
