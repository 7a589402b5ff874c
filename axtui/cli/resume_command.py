"""Let a paused run go on. Nothing drives it by that; what does is printed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.control import configure, told
from axtui.client import Refused
from axtui.model.fold import is_open, status

if TYPE_CHECKING:
    from axtui.client import Client

__all__ = ["configure", "run"]


async def run(client: Client, args: argparse.Namespace) -> int:
    """Record it."""
    found = (await client.resolve(args.conversation)).summary.id
    state = await client.mark_resumed(found)
    if not is_open(state):
        last = f"the last one is {status(state)}" if state.run.state else "it never had one"
        raise Refused("state", f"conversation {found} has no run to resume: {last}")
    await told(client, args, state, "resumed")
    return 0
