"""Runs the agent `tells` through the client, as `axtui exec` would: a new run, or `resume`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from axtui.client import connect
from axtui.runtime.config import Agent, Budget, Config, Policy
from axtui.runtime.controller import RunOptions
from bench.work import MAX_STEPS


async def main(steps: int, verb: str, folder: Path) -> None:
    """Drive the run to its end."""
    client = connect(
        Config(
            data_dir=folder,
            agents=(Agent("tells", "bench.work:tells", isolation="inline"),),
            policy=Policy(budget=Budget(steps=MAX_STEPS)),
        )
    )
    if verb == "resume":
        seq = (await client.state("bench")).seq
        await client.resume("bench", RunOptions())
    else:
        options = RunOptions(config={"steps": steps})
        seq = (await client.start("bench", "", "tells", options)).seq
    async for page in client.watch("bench", seq):
        if any(getattr(item, "kind", "").startswith("run.completed") for item in page):
            break
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
