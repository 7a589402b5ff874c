"""Takes trivial steps while another run of the same controller calls a tool that misbehaves.

Arguments: folder, case, the fewest steps on either side in a turn, turns. Prints how that call
ended, by how much the controller's memory grew meanwhile, and how long steps took then and in the
turns between, since the mood of a machine changes.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from axtui.agent import Context, StepFailed, agent
from axtui.runtime.config import Budget, Config, Policy, ToolServer
from axtui.runtime.controller import Controller, RunOptions
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.registry import Registry
from bench.children import peak_rss_mib
from bench.work import MAX_STEPS, answer

TIMEOUT = 3.0
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "a tool sleeps for ever": ("hostile.hang", {}),
    "a server exits": ("hostile.leave", {}),
    "a server sends no JSON-RPC": ("hostile.babble", {}),
}
for _mib in (64, 1024):
    _print = f"head -c {_mib << 20} /dev/zero | tr '\\0' x"
    CASES[f"a command prints {_mib} MiB"] = "shell", {"command": _print}
    CASES[f"a server sends {_mib} MiB"] = "hostile.flood", {"mib": _mib}


@agent
async def victim(ctx: Context) -> list[float]:
    """Takes steps until the other run has ended; how long each took."""
    seconds: list[float] = []
    while len(seconds) < ctx.config["least"] or _going_on:
        began = time.perf_counter()
        await ctx.step(answer, len(seconds))
        seconds.append(time.perf_counter() - began)
    return seconds


@agent
async def calls(ctx: Context) -> Any:
    """Makes one call; how it ended."""
    try:
        result = await ctx.tool(ctx.config["tool"], **ctx.config["arguments"])
    except StepFailed as failed:
        return {"failed": failed.code}
    return {"kept": len(json.dumps(result))}


_going_on = False


async def main(folder: Path, case: str, least: int, turns: int) -> None:
    """Measure one case."""
    global _going_on
    hostile = ToolServer((sys.executable, "-m", "bench.children.hostile"), timeout=TIMEOUT)
    budget = Budget(steps=MAX_STEPS)
    config = Config(data_dir=folder, policy=Policy(budget=budget), tools={"hostile": hostile})
    log = SqliteLog.open_to_write(config.log_path)
    controller = Controller(log, config, Registry([victim, calls]))
    # Whatever is only done once belongs to neither side.
    await _output(
        controller, "warm", "calls", {"tool": "hostile.nothing", "arguments": {"text": ""}}
    )
    quiet: list[float] = []
    beside: list[float] = []
    before, ended = 0.0, None
    tool, arguments = CASES[case]
    call = {"tool": tool, "arguments": arguments}
    for turn in range(turns):
        quiet += await _output(controller, f"quiet{turn}", "victim", {"least": least})
        before = before or _rss_mib()
        _going_on = True
        steps = asyncio.create_task(
            _output(controller, f"beside{turn}", "victim", {"least": least})
        )
        ended = await _output(controller, f"call{turn}", "calls", call)
        _going_on = False
        beside += await steps
    found = {
        "ended": ended,
        "growth_mib": peak_rss_mib() - before,
        "quiet_p99": _p99(quiet),
        "beside_p99": _p99(beside),
    }
    await controller.close()
    print(json.dumps(found))


async def _output(controller: Controller, name: str, agent: str, config: Any) -> Any:
    options = RunOptions(config=config, on_interrupted="fail", workspace=str(Path.cwd()))
    await controller.start(name, "", agent, options, "bench")
    if task := controller.driven(name):
        await task
    state = await controller.log.state(name)
    if state.run.state != "completed":
        raise RuntimeError(f"{name} is {state.run.state}: {state.run.error.message}")
    output = state.run.output
    blob = output.HasField("blob")
    return json.loads(await controller.log.blob(output.blob.digest) if blob else output.text)


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


def _rss_mib() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_rss_mib()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
