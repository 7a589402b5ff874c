"""Work that has to be done whatever becomes of who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await something short, whoever cancels meanwhile; and only then be canceled."""
    task = asyncio.create_task(work)
    canceled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            canceled = error
    if canceled is not None:
        raise canceled
