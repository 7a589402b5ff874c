"""Runs benchmarks by name, or all, and prints a table for each."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from bench import (
    agents,
    appends,
    deltas,
    isolation,
    long_history,
    many_runs,
    memory,
    one_run,
    recovery,
    remote,
    sandbox,
    screens,
    startup,
    tool_calls,
    tool_steps,
)
from bench.setup import Setup
from bench.table import Table

BENCHMARKS: dict[str, Callable[[Setup], Table]] = {
    "appends": appends.measure,
    "one-run": one_run.measure,
    "many-runs": many_runs.measure,
    "recovery": recovery.measure,
    "long-history": long_history.measure,
    "startup": startup.measure,
    "memory": memory.measure,
    "agents": agents.measure,
    "tool-steps": tool_steps.measure,
    "deltas": deltas.measure,
    "isolation": isolation.measure,
    "tool-calls": tool_calls.measure,
    "sandbox": sandbox.measure,
    "remote": remote.measure,
    "screens": screens.measure,
}
DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "axtui-bench"


def main() -> None:
    """Measure; whatever comes out, the exit status is 0: a benchmark judges nothing."""
    args = _parse()
    cache = args.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    print(f"{_machine(cache)}\nA figure is the median of the rounds' own ratios.", flush=True)
    for name in args.names or BENCHMARKS:
        with tempfile.TemporaryDirectory(dir=cache, prefix="scratch-") as scratch:
            setup = Setup(cache, Path(scratch), args.rounds, args.peers)
            try:
                table = BENCHMARKS[name](setup)
            except Exception:
                print(f"\n{name} could not be measured:", file=sys.stderr)
                traceback.print_exc()
            else:
                print(f"\n{table.render()}", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--peers", action="store_true", help="measure other systems too (minutes)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side has its turn")
    parser.add_argument(
        "--cache",
        type=Path,
        default=DEFAULT_CACHE,
        help="where the peers are installed and the data is written: a folder on a real disk",
    )
    args = parser.parse_args()
    if unknown := set(args.names) - set(BENCHMARKS):
        parser.error(
            f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}"
        )
    return args


def _machine(folder: Path) -> str:
    kind = _file_system(folder)
    line = (
        f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"data on {kind or 'an unknown file system'} below {folder}"
    )
    if kind == "tmpfs":
        line += "\nThat is memory, where an fsync is free: choose a --cache on a real disk."
    return line


def _file_system(folder: Path) -> str:
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    kinds = {point: kind for _, point, kind, *_ in map(str.split, mounts.read_text().splitlines())}
    return next((kinds[str(p)] for p in (folder, *folder.parents) if str(p) in kinds), "")


if __name__ == "__main__":
    main()
