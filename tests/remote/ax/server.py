"""Our AX services in a process of their own, to be killed: `python -m tests.remote.ax.server DIR`.

It prints its address, and has the agents and the folders of the fixture `serving`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.remote.ax.conftest import configured, listening


async def main(folder: Path) -> None:
    kept = await listening(configured(folder))
    print(kept[2], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
