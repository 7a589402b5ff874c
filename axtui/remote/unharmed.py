"""What is asked for is done to its end, though whoever has asked goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Nothing else keeps a task that is under way.
_doing: set[asyncio.Task[Any]] = set()


async def unharmed(doing: Coroutine[Any, Any, T]) -> T:
    """What comes of it. gRPC cancels a call whose client is gone, and a change that is cut off in
    the middle would be in the log without its consequences."""
    task = asyncio.create_task(doing)
    _doing.add(task)
    task.add_done_callback(_done)
    return await asyncio.shield(task)


def _done(task: asyncio.Task[Any]) -> None:
    _doing.discard(task)
    if not task.cancelled():
        # Who asked may be gone, and then nobody else looks at it.
        task.exception()
