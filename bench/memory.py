"""The memory of a controller with many conversations, most of them idle."""

from __future__ import annotations

from bench.children import call, command
from bench.setup import Setup
from bench.table import Table, Target

IDLE, RUNNING = 1000, 100


def measure(setup: Setup) -> Table:
    """The benchmark."""
    found = call(command("idle", setup.folder("idle"), IDLE, RUNNING))
    bare = call(command("idle", setup.folder("bare"), 0, 0))
    table = Table(f"memory: {IDLE:,} idle conversations and {RUNNING} running ones")
    table.add(
        "peak memory",
        f"{found['peak_rss_mib']:.0f} MiB",
        f"with none: {bare['peak_rss_mib']:.0f} MiB",
        found["peak_rss_mib"],
        Target(150, "MiB"),
    )
    return table
