"""Takes steps of an agent that is run at one of several places; prints how many a second.

Arguments: folder, place (inline, process or grpc), steps, effect. With `serve` alone it is what
serves the agent.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from axtui.runtime.config import Agent, Budget, Config, Policy
from axtui.runtime.controller import Controller
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.registry import Registered, Registry
from bench.children import command
from bench.work import MAX_STEPS, counts, take_runs


async def main(folder: Path, agent: Registered, steps: int, effect: str) -> None:
    """Measure after a short warm-up."""
    config = Config(data_dir=folder, policy=Policy(budget=Budget(steps=MAX_STEPS)))
    log = SqliteLog.open_to_write(config.log_path)
    controller = Controller(log, config, Registry([agent]))
    await take_runs(controller, ["warm-up"], 20, effect)
    cost = await take_runs(controller, ["run"], steps, effect)
    await controller.close()
    print(json.dumps({"rate": cost.steps_per_second, "cpu_ms": cost.cpu_ms_per_step}))


def _measure(folder: str, place: str, steps: str, effect: str) -> None:
    placed: Registered = counts
    with ExitStack() as stack:
        if place == "process":
            placed = Agent(counts.id, "bench.work:counts")
        elif place == "grpc":
            server = subprocess.Popen(command("agents", "serve"), stdout=subprocess.PIPE, text=True)
            stack.enter_context(server)
            stack.callback(server.terminate)
            assert server.stdout is not None
            address = server.stdout.readline().rpartition(" ")[2].strip()
            placed = Agent(counts.id, address=address)
        asyncio.run(main(Path(folder), placed, int(steps), effect))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        counts.serve("localhost:0")
    else:
        _measure(*sys.argv[1:])
