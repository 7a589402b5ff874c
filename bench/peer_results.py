"""What the peers do, measured once in a bench run."""

from __future__ import annotations

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


def add_rows(
    table: Table, setup: Setup, workload: str, runs: int, steps: int, ours: float, target: Target
) -> None:
    """Compare our steps/s with each peer's; the target holds for the best of them."""
    results = _measure(workload, runs, steps, setup.cache) if setup.peers else ()
    if not results:
        table.add("steps/s, best peer", f"{ours:,.0f}", "--peers measures them", None, target)
    for place, peer in enumerate(results):
        fsyncs = "?" if peer.fsyncs_per_step is None else f"{peer.fsyncs_per_step:.3g}"
        table.add(
            "steps/s, best peer" if place == 0 else "steps/s, another peer",
            f"{ours:,.0f}",
            f"{peer.name}: {peer.steps_per_second:,.0f}"
            f" ({peer.cpu_ms_per_step:.3g} ms CPU, {fsyncs} fsyncs a step)",
            ours / peer.steps_per_second,
            target if place == 0 else None,
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
