"""End a run for good. What it has done so far stays in its log."""

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
    await client.cancel(found, args.reason)
    await told(client, args, await client.state(found), "canceled")
    return 0
