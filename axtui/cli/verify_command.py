"""Check that the log is what was written: hashes, payloads, blobs, and what is derived from them.

It finds damage, cuts and reordering; it can't stop a forger who may write to the file.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.arguments import name
from axtui.cli.output import print_json, print_text
from axtui.model.words import count

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of verify."""
    parser.add_argument(
        "conversation", metavar="ID", nargs="?", type=name, help="only this; else all there are"
    )


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print every fault; exit 1 if there is one."""
    only = None
    if args.conversation is not None:
        only = (await client.resolve(args.conversation)).summary.id
    sound, faults = 0, 0
    async for found in client.verify(only):
        if isinstance(found, str):
            sound += 1
            if args.output == "json":
                print_json({"conversation_id": found, "sound": True})
            continue
        faults += 1
        if args.output == "json":
            print_json({**found._asdict(), "sound": False})
        else:
            where = f"{found.conversation_id}:{found.seq}" if found.conversation_id else "the store"
            print_text(f"{where}: {found.what}")
    if args.output == "text":
        print_text(f"sound: {count(sound, 'conversation')}; found: {count(faults, 'fault')}")
    return 1 if faults else 0
