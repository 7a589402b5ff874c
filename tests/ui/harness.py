"""Waiting for what a screen comes to."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from axtui.runtime.eventlog.lease import holder

SECONDS = 30.0


async def until(pilot: Pilot[Any], condition: Callable[[], Any]) -> Any:
    """What the condition gives as soon as that is something."""
    async with asyncio.timeout(SECONDS):
        while not (found := condition()):
            await pilot.pause(0.01)
    return found


def end_holder(log: Path) -> None:
    """End the process that drives the runs of a log, if there is one, and wait until it has."""
    if pid := holder(log)[0]:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + SECONDS
    while holder(log)[0]:
        assert time.monotonic() < end
        time.sleep(0.02)
