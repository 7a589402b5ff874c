"""Say something to an agent while its run is open. The agent hears it at its next turn, if it asks
what it was told: `planner` and `coding` do, and agents with `ctx.told()`.

What nobody has heard when the run ends is a part of the conversation for the next one.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.arguments import name, text_argument
from axtui.cli.control import add_id, told

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of tell."""
    add_id(parser)
    add = parser.add_argument
    add("text", metavar="TEXT|-|@FILE", help="what to say; - is standard input")
    add(
        "--actor",
        metavar="ID",
        type=name,
        help="an agent that is at work in the run; else the run's own",
    )


async def run(client: Client, args: argparse.Namespace) -> int:
    """Record it."""
    text = await text_argument(args.text, "TEXT")
    found = (await client.resolve(args.conversation)).summary.id
    await client.tell(found, text, args.actor or "")
    await told(client, args, await client.state(found), "told")
    return 0
