"""Begin no more steps in a run; `axtui resume` undoes it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.control import configure, told

if TYPE_CHECKING:
    from axtui.client import Client

__all__ = ["configure", "run"]


async def run(client: Client, args: argparse.Namespace) -> int:
    """Record it."""
    await client.pause(args.conversation, args.reason)
    told(args, args.conversation, await client.state(args.conversation), "paused")
    return 0
