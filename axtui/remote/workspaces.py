"""The folder of its own that each conversation on a server works in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from axtui.local import LocalClient
from axtui.runtime.acting import check_new_id
from axtui.runtime.folders import folder_of

# Folders of those that are being started now: one that is refused leaves none, unless another call
# has just started it.
_starting: Counter[str] = Counter()


@asynccontextmanager
async def workspace_for(client: LocalClient, conversation_id: str) -> AsyncIterator[str]:
    """The folder of a conversation, made for the time in which it is started; if it isn't in the
    end, there is none. Raises Refused for an id that can't be one."""
    if await client.find(conversation_id) is None:
        check_new_id(conversation_id)
    folder = folder_of(client.config, conversation_id)
    folder.mkdir(parents=True, exist_ok=True)
    name = str(folder)
    _starting[name] += 1
    try:
        yield name
    finally:
        _starting[name] -= 1
        if not _starting[name]:
            del _starting[name]
            if await client.find(conversation_id) is None:
                with suppress(OSError):
                    os.rmdir(folder)
