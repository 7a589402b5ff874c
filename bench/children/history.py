"""Begins a run in a conversation, and prints how long that took and how much memory."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from bench.children import peak_rss_mib
from bench.work import open_controller, take_runs


async def main(folder: Path) -> None:
    """Take one run of one step in the conversation `history`."""
    started = time.perf_counter()
    async with open_controller(folder) as controller:
        await take_runs(controller, ["history"], 1, "")
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "peak_rss_mib": peak_rss_mib()}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
