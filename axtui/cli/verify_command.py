"""Check that the log is what was written: hashes, payloads, blobs, and what is derived from them.

It finds damage, cuts and reordering; it can't stop a forger who may write to the file.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.common import print_json, print_text

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of verify."""
    parser.add_argument("conversation", metavar="ID", nargs="?")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print every fault; exit 1 if there is one."""
    sound, faults = 0, 0
    async for found in client.verify(args.conversation):
        if isinstance(found, str):
            sound += 1
            if args.output == "json":
                print_json({"conversation_id": found, "sound": True})
            continue
        faults += 1
        if args.output == "json":
            print_json({**found._asdict(), "sound": False})
        else:
            print_text(f"{found.conversation_id}:{found.seq}: {found.what}")
    if args.output == "text":
        print_text(f"{sound} conversations are sound, {faults} faults found")
    return 1 if faults else 0
