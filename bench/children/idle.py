"""A controller with many idle conversations and some runs that wait; prints its peak memory."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from axtui.runtime.controller import Controller, RunOptions
from bench.children import peak_rss_mib
from bench.work import open_controller, take_runs

STEPS = 10


async def main(folder: Path, idle: int, running: int) -> None:
    """Make them, look at them, and stop."""
    async with open_controller(folder) as controller:
        await take_runs(controller, [f"idle-{n}" for n in range(idle)], STEPS, "readonly")
        kept = [await controller.log.conversation(f"idle-{n}") for n in range(idle)]
        await asyncio.gather(*(_begin(controller, number) for number in range(running)))
        if not all(controller.driven(f"running-{n}") for n in range(running)):
            raise RuntimeError("a run that was to wait has ended")
        print(json.dumps({"peak_rss_mib": peak_rss_mib(), "conversations": len(kept)}), flush=True)
        for number in range(running):
            await controller.cancel(f"running-{number}", "", "bench")


async def _begin(controller: Controller, number: int) -> None:
    """A run that waits in a timer, or in a step."""
    name = f"running-{number}"
    options = RunOptions(config=("timer", "step")[number % 2])
    await controller.start(name, "", "stays", options, "bench")
    async for page in controller.log.tail(name, 0):
        if any(record.kind == "step.started" for record in page):
            return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
