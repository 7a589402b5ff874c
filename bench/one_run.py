"""One run of trivial steps, against one commit per step by hand and the peers."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from statistics import median

from axtui.runtime.eventlog.blocks import fresh, settled
from axtui.runtime.eventlog.segments import NO_END
from bench import floor, peer_results
from bench.setup import Setup, ratio
from bench.table import Table, Target
from bench.work import Cost, measure_runs

STEPS = 2000
EFFECTS = ("readonly", "undeclared")
FLOOR_TARGET = Target(0.4, at_least=True)
PEER_TARGET = Target(4, at_least=True)


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"one-run: one run of {STEPS:,} trivial durable steps")
    outcomes: list[floor.FloorRow] = []

    def readonly() -> Cost:
        folder = setup.folder("readonly")
        cost = measure_runs(folder, 1, STEPS, "readonly")
        outcomes[:] = outcomes or _outcomes(folder)
        return cost

    def undeclared() -> Cost:
        return measure_runs(setup.folder("undeclared"), 1, STEPS, "")

    def raw() -> Cost:
        speed = floor.rows_per_second(setup.folder("raw"), outcomes, 1)
        return Cost(STEPS, STEPS / speed, 0)

    *ours, theirs = setup.interleave(readonly, undeclared, raw)
    floor_speeds = [cost.steps_per_second for cost in theirs]
    for effect, costs in zip(EFFECTS, ours, strict=True):
        speeds = [cost.steps_per_second for cost in costs]
        table.add(
            f"steps/s, {effect}",
            f"{median(speeds):,.0f}",
            f"raw SQLite, one row and commit per step: {median(floor_speeds):,.0f}",
            ratio(speeds, floor_speeds),
            FLOOR_TARGET,
        )
        cpu = median(cost.cpu_ms_per_step for cost in costs)
        table.add(f"CPU per step, {effect}", f"{cpu:.3f} ms")
    medians = {
        effect: median(cost.steps_per_second for cost in costs)
        for effect, costs in zip(EFFECTS, ours, strict=True)
    }
    peer_results.add_rows(table, setup, "seq", 1, STEPS, medians, PEER_TARGET)
    return table


def _outcomes(folder: Path) -> list[floor.FloorRow]:
    """The rows that hold the steps' outcomes, as our log has them."""
    connection = sqlite3.connect(folder / "log.db")
    number = connection.execute("SELECT max(number) FROM conversations").fetchone()[0]
    span = connection, number, 0, NO_END
    stored = [record for block in settled(*span) for record in block.records()]
    stored += fresh(*span, limit=NO_END)
    connection.close()
    outcomes = [record for record in stored if record.kind == "step.completed"]
    return [floor.row(number, record) for record in outcomes[:STEPS]]
