"""Agents that do next to nothing, and the controller that runs them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from axtui.agent import Context, agent
from axtui.model.fold import status
from axtui.runtime.config import Budget, Config, Policy
from axtui.runtime.controller import Controller, RunOptions
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.registry import Registry

MAX_STEPS = 1_000_000
PIPE = "AXTUI_BENCH_PIPE"


async def answer(number: int) -> int:
    """The trivial step."""
    return number


async def tell(number: int) -> int:
    """A step of which the process that reads from the pipe learns."""
    os.write(int(os.environ[PIPE]), b"%d\n" % number)
    return number


async def never() -> None:
    """A step that doesn't end."""
    await asyncio.Event().wait()


@agent
async def counts(ctx: Context) -> int:
    """Takes `steps` steps, one after the other."""
    done = 0
    for number in range(1, ctx.config["steps"] + 1):
        done = await ctx.step(answer, number, effect=ctx.config["effect"])
    return done


@agent
async def tells(ctx: Context) -> int:
    """The same with steps that can be seen, and may be repeated."""
    done = 0
    for number in range(1, ctx.config["steps"] + 1):
        done = await ctx.step(tell, number, effect="idempotent")
    return done


@agent
async def stays(ctx: Context) -> None:
    """Waits for an hour, or for a step that doesn't end."""
    if ctx.config == "timer":
        await ctx.sleep(3600)
    else:
        await ctx.step(never)


@asynccontextmanager
async def open_controller(folder: Path) -> AsyncIterator[Controller]:
    """A controller over the log in `folder`."""
    config = Config(data_dir=folder, policy=Policy(budget=Budget(steps=MAX_STEPS)))
    log = SqliteLog.open_to_write(config.log_path)
    controller = Controller(log, config, Registry([counts, tells, stays]))
    try:
        yield controller
    finally:
        await controller.close()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of steps took."""

    steps: int
    seconds: float
    cpu_seconds: float

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds

    @property
    def cpu_ms_per_step(self) -> float:
        return self.cpu_seconds * 1000 / self.steps


async def take_runs(controller: Controller, names: Sequence[str], steps: int, effect: str) -> Cost:
    """Take runs of `counts` at once, in conversations of these names, to their ends."""
    options = RunOptions(config={"steps": steps, "effect": effect})

    async def take(name: str) -> None:
        await controller.start(name, "", "counts", options, "bench")
        if task := controller.driven(name):
            await task

    started, cpu_started = time.perf_counter(), time.process_time()
    await asyncio.gather(*(take(name) for name in names))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    for name in names:
        state = await controller.log.state(name)
        if (status(state), state.run.steps) != ("completed", steps):
            raise RuntimeError(f"{name} is {status(state)} after {state.run.steps} steps")
    return Cost(steps * len(names), seconds, cpu_seconds)


def measure_runs(folder: Path, runs: int, steps: int, effect: str) -> Cost:
    """What `runs` runs at once cost in a new log, after a short warm-up."""

    async def measure() -> Cost:
        async with open_controller(folder) as controller:
            await take_runs(controller, [f"warm-up-{n}" for n in range(runs)], 20, effect)
            return await take_runs(controller, [f"run-{n}" for n in range(runs)], steps, effect)

    return asyncio.run(measure())
