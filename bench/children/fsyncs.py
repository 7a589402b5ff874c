"""Takes runs while strace watches, and prints how many fsyncs each step cost.

Arguments: folder, runs, steps, effect, and the file that strace writes to. Without one it counts
commits, each of which has one fsync; those of checkpoints are then missing.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

from bench.work import open_controller, take_runs

# With -f a call may take two lines; only the first of them has its arguments.
_SYNC_CALL = re.compile(r"\b(?:fsync|fdatasync)\(\d")


async def main(folder: Path, runs: int, steps: int, effect: str, trace: Path | None) -> float:
    """Syncs per step."""
    async with open_controller(folder) as controller:
        await take_runs(controller, [f"warm-up-{n}" for n in range(runs)], 20, effect)
        commits = 0

        def count(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        if trace is None:
            connection = controller.log._write_connection  # type: ignore[attr-defined]
            connection.set_trace_callback(count)
        before = _traced(trace)
        await take_runs(controller, [f"run-{n}" for n in range(runs)], steps, effect)
        syncs = _traced(trace) - before if trace else commits
        return syncs / (runs * steps)


def _traced(trace: Path | None) -> int:
    return len(_SYNC_CALL.findall(trace.read_text(errors="replace"))) if trace else 0


if __name__ == "__main__":
    _, in_folder, runs_, steps_, effect_, *rest = sys.argv
    traced = Path(rest[0]) if rest else None
    print(json.dumps(asyncio.run(main(Path(in_folder), int(runs_), int(steps_), effect_, traced))))
