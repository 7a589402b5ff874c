"""The server as a process: it prints its URL, and serves until it is ended."""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from tests.providers import ProviderServer


async def _serve(script: list[dict[str, Any]], log: Path | None) -> None:
    async with ProviderServer(script, log) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


parser = argparse.ArgumentParser(prog="python -m tests.providers", description=__doc__)
parser.add_argument("script", type=Path, help="a JSON list of turns")
parser.add_argument("--log", type=Path, help="where each request is written as a line of JSON")
args = parser.parse_args()
asyncio.run(_serve(json.loads(args.script.read_text()), args.log))
