"""What a run notices of another one of the same controller, whose tool misbehaves."""

from __future__ import annotations

from statistics import median

from bench.children import call, command
from bench.children.isolation import CASES
from bench.setup import Setup, ratio
from bench.table import Table, Target

# Of fewer, the slowest one in a hundred says little.
STEPS, TURNS = 500, 3
MEMORY_TARGET = Target(50, "MiB")
LATENCY_TARGET = Target(2)


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table("isolation: a run of trivial steps beside one whose tool misbehaves")
    for case in CASES:

        def one(case: str = case) -> dict[str, float]:
            folder = setup.folder("log")
            found: dict[str, float] = call(command("isolation", folder, case, STEPS, TURNS))
            return found

        [found] = setup.interleave(one)
        growths = [taken["growth_mib"] for taken in found]
        table.add(
            f"{case}: memory",
            f"{max(growths):.1f} MiB more",
            "",
            max(growths),
            MEMORY_TARGET,
        )
        beside = [taken["beside_p99"] for taken in found]
        quiet = [taken["quiet_p99"] for taken in found]
        table.add(
            "its neighbor's steps, p99",
            f"{median(beside) * 1000:.1f} ms",
            f"before: {median(quiet) * 1000:.1f} ms",
            ratio(beside, quiet),
            LATENCY_TARGET,
        )
    return table
