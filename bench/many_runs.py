"""32 runs at once: steps per second against the peers, CPU and fsyncs per step."""

from __future__ import annotations

import shutil
from statistics import median

from bench import peer_results
from bench.children import call, command
from bench.peers.install import STRACE
from bench.setup import Setup
from bench.table import Table, Target
from bench.work import Cost, measure_runs

RUNS = 32
STEPS = 100
EFFECTS = {"readonly": "readonly", "undeclared": ""}
PEER_TARGET = Target(6, at_least=True)
CPU_TARGET = Target(0.2, "ms")
FSYNC_TARGET = Target(0.1, "")


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"many-runs: {RUNS} runs at once, {STEPS} trivial durable steps each")

    def readonly() -> Cost:
        return measure_runs(setup.folder("readonly"), RUNS, STEPS, "readonly")

    def undeclared() -> Cost:
        return measure_runs(setup.folder("undeclared"), RUNS, STEPS, "")

    sides = setup.interleave(readonly, undeclared)
    speeds: dict[str, float] = {}
    for (name, effect), costs in zip(EFFECTS.items(), sides, strict=True):
        speeds[name] = median(cost.steps_per_second for cost in costs)
        cpu = median(cost.cpu_ms_per_step for cost in costs)
        table.add(f"CPU per step, {name}", f"{cpu:.3f} ms", "", cpu, CPU_TARGET)
        fsyncs = _fsyncs_per_step(setup, effect)
        table.add(f"fsyncs per step, {name}", f"{fsyncs:.3g}", "", fsyncs, FSYNC_TARGET)
    peer_results.add_rows(table, setup, "conc", RUNS, STEPS, speeds, PEER_TARGET)
    if shutil.which("strace") is None:
        table.notes.append("No strace: what counts as fsyncs are commits, without checkpoints.")
    return table


def _fsyncs_per_step(setup: Setup, effect: str) -> float:
    program = command("fsyncs", setup.folder("fsyncs"), RUNS, STEPS, effect)
    if shutil.which("strace") is None:
        return float(call(program))
    trace = setup.folder("strace") / "trace"
    trace.touch()
    return float(call([*STRACE, "-o", str(trace), *program, str(trace)]))
