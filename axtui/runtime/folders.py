"""The folders of conversations that have one for themselves, as those on a server do."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from shlex import quote as quoted
from urllib.parse import quote

from axtui.agent import ToolError
from axtui.runtime.actors.environment import Environment
from axtui.runtime.actors.patience import to_the_end
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import UnknownConversation, UnknownEvent
from axtui.v1 import state_pb2 as st

# Of a folder's name, with room for what is put behind one that is cut off.
_MAX_NAME = 160


def folder_of(config: Config, conversation_id: str) -> Path:
    """Where the folder of a conversation is."""
    name = quote(conversation_id, safe="")
    if not name.strip("."):
        # Else it is the folder of all, or the one above.
        name = name.replace(".", "%2E")
    if len(name) > _MAX_NAME:
        name = f"{name[: _MAX_NAME // 2]}-{sha256(conversation_id.encode()).hexdigest()}"
    return _folder_of_all(config) / name


def _is_of(config: Config, folder: Path, conversation_id: str) -> bool:
    """Whether a folder is one that was made for a conversation, perhaps under a longer name."""
    own = folder_of(config, conversation_id)
    return folder.parent == own.parent and f"{folder.name}-".startswith(f"{own.name}-")


def _folder_of_all(config: Config) -> Path:
    beside = config.data_dir.with_name(f"{config.data_dir.name}-workspaces")
    return Path(config.environment.workspace or beside)


@asynccontextmanager
async def folder_for_fork(
    config: Config, environment: Environment, forked: st.State, new: str
) -> AsyncIterator[str]:
    """A copy of the source's folder, as it is now, while the fork is made; removed if it isn't in
    the end. None, and so the source's own, where that is what a person began in. Raises Refused."""
    source = forked.run.workspace
    # Older forks work in the folder of what they were made from.
    owners = filter(None, (forked.conversation_id, forked.parent_id))
    is_ours = any(_is_of(config, Path(source), owner) for owner in owners)
    if not (is_ours and await asyncio.to_thread(os.path.isdir, source)):
        yield ""
        return
    folder = folder_of(config, new)
    try:
        folder.mkdir()
    except FileExistsError:
        # Of one that was purged, which may be all that is left of its work.
        folder = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        await _copy(environment, source, folder)
    except BaseException:
        await to_the_end(_remove(folder))
        raise
    try:
        yield str(folder)
    except (Refused, UnknownConversation, UnknownEvent, OSError):
        # Whoever is canceled, or meets a log that fails, may have made the fork all the same.
        await _remove(folder)
        raise


async def _remove(folder: Path) -> None:
    # A tree that is too deep for Python stays.
    with suppress(RecursionError):
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _copy(environment: Environment, source: str, folder: Path) -> None:
    """As a command in the sandbox: what is still at work in the source could have a copy that is
    made outside follow links to other places."""
    command = f"cp -a -- {quoted(source)}/. ."
    try:
        done = await environment.run(command, workspace=str(folder), readable=[source])
    except ToolError as error:
        raise Refused("state", f"{source} can't be copied for the fork: {error}") from None
    why = done["output"].strip().rpartition("\n")[2] or f"exit status {done['exit_status']}"
    if done.get("timed_out"):
        why = "that takes longer than environment.limits.time"
    if done["exit_status"]:
        raise Refused("state", f"{source} can't be copied for the fork: {why}")
