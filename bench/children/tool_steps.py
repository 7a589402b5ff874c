"""Calls a tool that does nothing; prints the controller's own time for each call, and the whole.

Arguments: folder, calls, how many of them at a time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from axtui.agent import Context, agent
from axtui.runtime.config import Budget, Config, Policy, ToolServer
from axtui.runtime.controller import Controller, RunOptions
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.registry import Registry
from bench.work import MAX_STEPS


@agent
async def calls(ctx: Context) -> None:
    """Calls the tool `calls` times, `abreast` at a time, as a model would."""
    abreast = ctx.config["abreast"]
    for start in range(0, ctx.config["calls"], abreast):
        wanted = [
            ctx.act("hostile.nothing", {"text": str(number)})
            for number in range(start, start + abreast)
        ]
        # As the agents do it that come with axtui.
        await (asyncio.gather(*wanted) if len(wanted) > 1 else wanted[0])


async def main(folder: Path, number: int, abreast: int) -> None:
    """Measure after a short warm-up."""
    server = ToolServer((sys.executable, "-m", "bench.children.hostile"))
    budget = Budget(steps=MAX_STEPS)
    config = Config(data_dir=folder, policy=Policy(budget=budget), tools={"hostile": server})
    log = SqliteLog.open_to_write(config.log_path)
    controller = Controller(log, config, Registry([calls]))
    await _take(controller, "warm", 2 * abreast, abreast)
    began, cpu = time.perf_counter(), time.process_time()
    await _take(controller, "run", number, abreast)
    cpu_ms = (time.process_time() - cpu) * 1000 / number
    wall_ms = (time.perf_counter() - began) * 1000 / number
    await controller.close()
    print(json.dumps({"cpu_ms": cpu_ms, "wall_ms": wall_ms}))


async def _take(controller: Controller, name: str, number: int, abreast: int) -> None:
    options = RunOptions(config={"calls": number, "abreast": abreast}, approve="all")
    await controller.start(name, "", "calls", options, "bench")
    if task := controller.driven(name):
        await task
    state = await controller.log.state(name)
    if (state.run.state, state.run.steps) != ("completed", number):
        raise RuntimeError(f"{name} is {state.run.state} after {state.run.steps} steps")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
