"""What every benchmark is given."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Setup:
    """`cache` stays from one bench run to the next; `scratch` is gone after the benchmark."""

    cache: Path
    scratch: Path
    rounds: int
    peers: bool
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def folder(self, name: str) -> Path:
        """A new folder in the scratch folder."""
        folder = self.scratch / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def interleave(self, *sides: Callable[[], T], rounds: int = 0) -> list[list[T]]:
        """The results of each side, taken in turns: A B A B, since the machine's mood changes."""
        results: list[list[T]] = [[] for _ in sides]
        for _ in range(max(rounds, self.rounds)):
            for side, taken in zip(sides, results, strict=True):
                gc.collect()
                taken.append(side())
        return results


def ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times theirs ours is: the median over the rounds, each of which is one moment."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
