"""Waiting for what a screen comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

SECONDS = 30.0


async def until(pilot: Pilot[Any], condition: Callable[[], Any]) -> Any:
    """What the condition gives as soon as that is something."""
    async with asyncio.timeout(SECONDS):
        while not (found := condition()):
            await pilot.pause(0.01)
    return found
