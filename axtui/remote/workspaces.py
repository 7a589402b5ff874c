"""The folder of its own that each conversation on a server works in."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from axtui.local import LocalClient
from axtui.runtime.acting import check_new_id
from axtui.runtime.config import Config

# Of a folder's name, with room for what is put behind one that is cut off.
_MAX_NAME = 160
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


def folder_of(config: Config, conversation_id: str) -> Path:
    """Where the folder of a conversation is."""
    beside = config.data_dir.with_name(f"{config.data_dir.name}-workspaces")
    name = quote(conversation_id, safe="")
    if not name.strip("."):
        # Else it is this folder, or the one above.
        name = name.replace(".", "%2E")
    if len(name) > _MAX_NAME:
        name = f"{name[: _MAX_NAME // 2]}-{sha256(conversation_id.encode()).hexdigest()}"
    return Path(config.environment.workspace or beside, name)
