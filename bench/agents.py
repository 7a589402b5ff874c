"""What a step costs, depending on where its agent runs."""

from __future__ import annotations

from functools import partial
from statistics import median

from bench.children import call, command
from bench.setup import Setup, ratio
from bench.table import Table

STEPS = 1000
PLACES = ("inline", "process", "grpc")


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"agents: {STEPS:,} trivial steps, one after the other, by where the agent runs")
    for effect in ("readonly", ""):

        def one(place: str, effect: str = effect) -> dict[str, float]:
            found: dict[str, float] = call(
                command("agents", setup.folder("log"), place, STEPS, effect)
            )
            return found

        found = setup.interleave(*(partial(one, place) for place in PLACES))
        inline = [taken["rate"] for taken in found[0]]
        for place, taken in zip(PLACES, found, strict=True):
            rates = [one["rate"] for one in taken]
            table.add(
                f"{effect or 'neither readonly nor idempotent'}, {place}",
                f"{median(rates):,.0f} steps/s",
                f"{median(one['cpu_ms'] for one in taken):.2f} ms CPU of the controller a step",
                ratio(rates, inline),
            )
    return table
