"""What the peers do, measured once in a bench run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.peers.install import PINS, run_peer
from bench.setup import Setup
from bench.table import Table, Target


class PeerResult(NamedTuple):
    """What the bench needs of what a peer's program prints."""

    name: str
    steps_per_second: float
    cpu_ms_per_step: float
    fsyncs_per_step: float | None

    def __str__(self) -> str:
        fsyncs = "?" if self.fsyncs_per_step is None else f"{self.fsyncs_per_step:.3g}"
        return (
            f"{self.name}: {self.steps_per_second:,.0f}"
            f" ({self.cpu_ms_per_step:.3g} ms CPU, {fsyncs} fsyncs)"
        )


def add_rows(
    table: Table,
    setup: Setup,
    workload: str,
    runs: int,
    steps: int,
    ours: Mapping[str, float],
    target: Target,
) -> None:
    """Compare steps/s of ours, by the steps' effect, with the best peer's; show the others."""
    results = _measure(workload, runs, steps, setup.cache) if setup.peers else ()
    for effect, speed in ours.items():
        best = f"best peer, {results[0]}" if results else "best peer: give --peers"
        figure = speed / results[0].steps_per_second if results else None
        table.add(f"steps/s, {effect}", f"{speed:,.0f}", best, figure, target)
    table.notes += [f"Another peer, {peer}." for peer in results[1:]]
    table.notes.append(
        "Peers repeat a step that was cut short, as ours does where it is declared readonly or"
        " idempotent; undeclared means that the intent is on disk before the step begins."
    )


@cache
def _measure(workload: str, runs: int, steps: int, cache: Path) -> tuple[PeerResult, ...]:
    results = []
    for name in PINS:
        found = run_peer(name, workload, runs, steps, cache)
        if found is not None:
            numbers = (found[key] for key in ("steps_per_s", "cpu_ms_per_step", "fsyncs_per_step"))
            results.append(PeerResult(name, *numbers))
    return tuple(sorted(results, key=lambda result: -result.steps_per_second))
