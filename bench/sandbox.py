"""A trivial command in the environment against the same in a bare bubblewrap, and without any."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from axtui.runtime import config
from axtui.runtime.actors.environment import Environment
from axtui.runtime.actors.sandbox import find_sandbox
from bench.setup import Setup, ratio
from bench.table import Table, Target

ROUNDS = 15
COMMANDS = 10
# The least that shows the same `true` in namespaces of its own.
_BARE = (
    *("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
)


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"sandbox: from start to end of `true`, the mean of {COMMANDS} in a row")
    found = find_sandbox()
    if isinstance(found, str):
        table.notes.append(f"There is no sandbox here: {found}.")
        return table
    bare = [found.binary, *_BARE, "--", "true"]
    folder = setup.folder("workspace")
    sandboxed, plain, theirs, process = setup.interleave(
        lambda: _ours(folder, "bubblewrap"),
        lambda: _ours(folder, "none"),
        lambda: _mean(lambda: subprocess.run(bare, check=True)),
        lambda: _mean(lambda: subprocess.run(["true"], check=True)),
        rounds=ROUNDS,
    )
    for name, ours, against, what in (
        ("in the sandbox", sandboxed, theirs, "bwrap … true"),
        ("without one", plain, process, "true"),
    ):
        table.add(
            name,
            f"{median(ours) * 1000:.1f} ms",
            f"{what}: {median(against) * 1000:.1f} ms",
            ratio(ours, against),
            Target(3) if ours is sandboxed else None,
        )
    return table


def _ours(folder: Path, kind: str) -> float:
    async def run() -> float:
        settings = config.Environment(sandbox="none" if kind == "none" else "bubblewrap")
        environment = Environment(settings)
        await environment.run("true", workspace=str(folder))
        started = time.perf_counter()
        for _ in range(COMMANDS):
            done = await environment.run("true", workspace=str(folder))
            if done["exit_status"]:
                raise RuntimeError(f"`true` ended with {done}")
        return (time.perf_counter() - started) / COMMANDS

    return asyncio.run(run())


def _mean(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(COMMANDS):
        run()
    return (time.perf_counter() - started) / COMMANDS
