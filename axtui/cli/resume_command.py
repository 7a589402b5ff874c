"""Let a paused run go on. Nothing drives it by that; what does is printed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.control import configure, told
from axtui.model.fold import is_open, status
from axtui.runtime.errors import Refused

if TYPE_CHECKING:
    from axtui.client import Client

__all__ = ["configure", "run"]


async def run(client: Client, args: argparse.Namespace) -> int:
    """Record it."""
    state = await client.mark_resumed(args.conversation)
    if not is_open(state):
        raise Refused("state", f"there is no run to resume: the last one is {status(state)}")
    told(args, args.conversation, state, "resumed")
    return 0
