"""What the peer programs share: their arguments, the meter and the line they print."""

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

WARM_UP_STEPS = 20

_DEFAULTS = {"seq": (1, 2000), "conc": (32, 100)}
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# With -f a call may take two lines; only the first of them has its arguments.
_SYNC_CALL = re.compile(r"\b(?:fsync|fdatasync)\(\d")


@dataclass(frozen=True)
class Job:
    """`runs` runs at the same time, each of `steps` steps."""

    workload: str
    runs: int
    steps: int
    folder: Path
    fsync_log: Path | None = None

    @property
    def total_steps(self) -> int:
        return self.runs * self.steps


def parse_job(argv: Sequence[str] | None = None) -> Job:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", choices=sorted(_DEFAULTS), required=True)
    parser.add_argument("--steps", type=int, help="steps of each run")
    parser.add_argument("--runs", type=int, help="runs at the same time; seq is always one")
    parser.add_argument("--dir", type=Path, required=True, help="a folder on the disk to measure")
    parser.add_argument(
        "--fsync-log", type=Path, help="what strace is writing of this program, to count syncs in"
    )
    args = parser.parse_args(argv)
    runs, steps = _DEFAULTS[args.workload]
    if args.workload == "conc" and args.runs is not None:
        runs = args.runs
    args.dir.mkdir(parents=True, exist_ok=True)
    return Job(args.workload, runs, args.steps or steps, args.dir.resolve(), args.fsync_log)


class Meter:
    """Measures the block under `with`, over the processes that do the work."""

    def __init__(
        self, job: Job, pids: Sequence[int] = (), count_fsyncs: Callable[[], int] | None = None
    ) -> None:
        self._job = job
        self._pids = pids or (os.getpid(),)
        if count_fsyncs is None and job.fsync_log is not None:
            count_fsyncs = partial(_traced_fsyncs, job.fsync_log)
        self._count_fsyncs = count_fsyncs

    def __enter__(self) -> Self:
        # The clock starts last here and stops first below, so that reading is not measured.
        self._fsyncs = self._count_fsyncs() if self._count_fsyncs else 0
        self._cpu_seconds = self._read_cpu()
        self._seconds = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = time.perf_counter() - self._seconds
        self._cpu_seconds = self._read_cpu() - self._cpu_seconds
        self._fsyncs = self._count_fsyncs() - self._fsyncs if self._count_fsyncs else 0
        self._peak_rss_mib = sum(_peak_rss_kib(pid) for pid in self._pids) / 1024

    def _read_cpu(self) -> float:
        return sum(_cpu_seconds(pid) for pid in self._pids)

    def print_result(self, peer: str, version: str, durability: str) -> None:
        job = self._job
        fsyncs = round(self._fsyncs / job.total_steps, 3) if self._count_fsyncs else None
        result = {
            "peer": peer,
            "version": version,
            "workload": job.workload,
            "runs": job.runs,
            "steps": job.steps,
            "seconds": round(self._seconds, 3),
            "steps_per_s": round(job.total_steps / self._seconds, 1),
            "cpu_ms_per_step": round(self._cpu_seconds * 1000 / job.total_steps, 3),
            "fsyncs_per_step": fsyncs,
            "peak_rss_mib": round(self._peak_rss_mib, 1),
            "durability": durability,
        }
        print(json.dumps(result), flush=True)


def check_results(job: Job, results: Sequence[int]) -> None:
    """Every run answers how many steps it took: a peer that skips work must not look fast."""
    if list(results) != [job.steps] * job.runs:
        raise SystemExit(f"expected {job.runs} runs of {job.steps} steps, got {list(results)}")


def _traced_fsyncs(log: Path) -> int:
    return len(_SYNC_CALL.findall(log.read_text(errors="replace")))


def _cpu_seconds(pid: int) -> float:
    # The second field is the program's name, which may itself have spaces and brackets.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / _TICKS_PER_SECOND


def _peak_rss_kib(pid: int) -> int:
    # getrusage's ru_maxrss would not do: a child starts with what its parent had at the fork.
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) if match else 0
