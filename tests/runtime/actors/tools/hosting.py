"""A host in a process of its own: `python -m … FOLDER TOOL…` calls the tools, tells how much memory
that took, and waits to be killed.
"""

import asyncio
import json
import re
import sys
from pathlib import Path

from axtui.runtime.actors.tools.faults import ToolFault

from .conftest import Caller, unruly


def mebibytes(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert found is not None
    return int(found[1]) / 1024


async def main(folder: Path, tools: list[str]) -> None:
    call = Caller({"bad": unruly(folder), "stubborn": unruly(folder, "stubborn")}, folder)
    await call("bad.echo")
    await call("stubborn.echo")
    before = mebibytes("VmRSS")
    faults = []
    for tool in tools:
        try:
            await call(f"bad.{tool}")
        except ToolFault as fault:
            faults.append(fault.message)
    print(json.dumps({"growth": mebibytes("VmHWM") - before, "faults": faults}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
