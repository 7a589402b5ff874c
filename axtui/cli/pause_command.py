"""Begin no more steps in a run; steps in flight may end."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.control import configure, told

if TYPE_CHECKING:
    from axtui.client import Client

__all__ = ["configure", "run"]


async def run(client: Client, args: argparse.Namespace) -> int:
    """Record it."""
    found = (await client.resolve(args.conversation)).summary.id
    await client.pause(found, args.reason)
    await told(client, args, await client.state(found), "paused")
    return 0
