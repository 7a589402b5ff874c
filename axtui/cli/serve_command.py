"""Drive every run that should be running, and let terminals attach.

It listens on this machine alone unless the configuration (server.address) or --address says
otherwise; any other address takes TLS, and tokens or client certificates.

SIGTERM or Ctrl+C ends it: its runs are paused, and go on once it is started again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from axtui.cli.common import current_folder
from axtui.cli.interrupt import Interrupt
from axtui.cli.output import print_json, print_text, say
from axtui.client import LeaseHeld, load_config, serving

if TYPE_CHECKING:
    from axtui.client import Serving


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of serve."""
    add = parser.add_argument
    add("--address", metavar="ADDR", help="HOST:PORT or unix:PATH; else server.address")
    add(
        "--insecure",
        action="store_true",
        help="listen in the clear, and let in whoever comes, on any address: whoever reaches it "
        "may run commands as you",
    )
    add("--background", metavar="SECONDS", type=float, help=argparse.SUPPRESS)


async def run_alone(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    config = load_config(args.config, args.data_dir, os.environ, current_folder())
    with Interrupt(args) as interrupt:
        if args.background is not None:
            # Somebody may be faster, and drives what there is to drive.
            with suppress(LeaseHeld):
                async with serving(config, []) as held:
                    await _until_idle(held, interrupt, args.background)
            return 0
        address = args.address or config.server.address
        async with serving(config, [address], insecure=args.insecure) as held:
            _tell(args, held)
            await interrupt.wait()
    return 0


def _tell(args: argparse.Namespace, held: Serving) -> None:
    for name, error in held.failed.items():
        say(f"axtui: the run of {name} can't go on: {error}")
    for warning in held.warnings:
        say(f"axtui: warning: {warning}")
    for address in held.addresses:
        if args.output == "json":
            print_json({"kind": "listening", "address": address, "pid": os.getpid()})
        else:
            print_text(f"axtui listens on {address}")


async def _until_idle(held: Serving, interrupt: Interrupt, seconds: float) -> None:
    """Return once there was nothing to do for so long, another one wants to take over, or a signal
    has come."""
    host = held.host
    host.gives_way = True
    ends = {asyncio.create_task(host.wanted.wait()), asyncio.create_task(interrupt.wait())}
    try:
        while (left := seconds - await host.idle_seconds()) > 0:
            done, _ = await asyncio.wait(
                ends, timeout=max(left, 0.1), return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                return
    finally:
        for end in ends:
            end.cancel()
