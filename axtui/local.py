"""The client of a data directory on this machine."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from axtui.model.events import Record
from axtui.model.ids import new_id
from axtui.model.summary import Listed
from axtui.runtime.config import Config
from axtui.runtime.controller import Accepted, Controller, RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import (
    ALL,
    PAGE,
    LeaseHeld,
    NoLog,
    Taken,
    UnknownConversation,
)
from axtui.runtime.eventlog.lease import held_since, holder
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.inventory import (
    AgentInfo,
    Offered,
    ToolsInfo,
    list_agents,
    list_offered,
    list_tools,
)
from axtui.runtime.journal import Delta
from axtui.runtime.registry import load_registry
from axtui.runtime.transfer import Imported, export_lines, import_lines
from axtui.runtime.verify import Fault, verify
from axtui.v1 import state_pb2 as st

MAX_ID = 200
_CANDIDATES = 8
# What an id that was made here may be cut down to; any other is written in full.
_SHORTENED = re.compile(r"[0-9a-f]{4}[0-9a-f-]*")
_MADE_HERE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class LocalClient:
    """Works on the data directory. Takes the lease when the first thing has to be written.

    Raises Refused where there can't be such a folder.
    """

    def __init__(self, config: Config) -> None:
        _check_folder(config.log_path.parent)
        self._config = config
        self._log: SqliteLog | None = None
        self._controller: Controller | None = None
        self._principal = _principal()

    # Runs

    async def start(
        self, conversation_id: str, input: str, agent: str, options: RunOptions
    ) -> Accepted:
        """Accept a run and drive it here."""
        if await self.find(conversation_id) is None:
            check_new_id(conversation_id)
        controller = await self._write()
        return await controller.start(
            conversation_id, input, agent, options, self._principal, new_id()
        )

    async def resume(self, conversation_id: str, options: RunOptions) -> st.State:
        """Go on with an unfinished run here."""
        return await (await self._write()).resume(
            conversation_id, options, self._principal, new_id()
        )

    async def mark_resumed(self, conversation_id: str) -> st.State:
        """Say that a run is to go on, and leave it to whoever drives it next."""
        controller = await self._write()
        return await controller.resume(
            conversation_id, RunOptions(), self._principal, new_id(), drive=False
        )

    async def pause(self, conversation_id: str, reason: str) -> None:
        """Begin no more steps in a run."""
        await (await self._write()).pause(conversation_id, reason, self._principal, new_id())

    async def cancel(self, conversation_id: str, reason: str) -> None:
        """End a run for good."""
        await (await self._write()).cancel(conversation_id, reason, self._principal, new_id())

    async def answer(
        self, conversation_id: str, question_id: str, choice: str, text: str, always: bool
    ) -> st.State:
        """Answer an open question."""
        controller = await self._write()
        return await controller.answer(
            conversation_id, question_id, choice, text, always, self._principal, new_id()
        )

    async def fork(
        self, source_id: str, seq: int | None, new: str, edit: dict[str, Any] | None
    ) -> str:
        """Make a conversation of another's events up to `seq`; gives back its id."""
        name = new or new_id()
        check_new_id(name)
        if await self.find(name) is not None:
            raise Taken(name)
        controller = await self._write()
        await controller.fork(source_id, seq, name, edit, self._principal, new_id())
        return name

    async def delete(self, conversation_id: str, reason: str) -> None:
        """Hide a conversation."""
        await (await self._write()).delete(conversation_id, reason, self._principal, new_id())

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation for good."""
        await (await self._write()).purge(conversation_id, self._principal)

    # Looking

    async def find(self, conversation_id: str) -> Listed | None:
        """What a list says of a conversation, if there is one of that very id."""
        if self._is_empty():
            return None
        return await self._read().find(conversation_id)

    async def resolve(self, name: str) -> Listed:
        """The conversation that a person means: its id or, of an id that was made here, the
        beginning, at least four characters of it. Raises Refused if that fits several.
        """
        found = await self.find(name)
        if found is not None:
            return found
        fits = await self._beginning_with(name) if _SHORTENED.fullmatch(name) else []
        if not fits:
            raise UnknownConversation(name)
        if len(fits) > 1:
            named = ", ".join(listed.summary.id for listed in fits[:_CANDIDATES])
            more = ", …" if len(fits) > _CANDIDATES else ""
            raise Refused("usage", f"{name!r} is the beginning of several ids", f"{named}{more}")
        return fits[0]

    async def conversations(
        self, *, states: Sequence[str] = (), agent: str = "", limit: int = PAGE
    ) -> list[Listed]:
        """Conversations, the latest changed first; none where there is no log yet."""
        if self._is_empty():
            return []
        return await self._read().conversations(states=states, agent=agent, limit=limit)

    async def state(self, conversation_id: str, seq: int | None = None) -> st.State:
        """The state of a conversation, after event `seq` if given."""
        return await self._read(conversation_id).state(conversation_id, seq)

    async def read(
        self,
        conversation_id: str,
        *,
        after: int = 0,
        limit: int = PAGE,
        kinds: Sequence[str] = (),
    ) -> list[Record]:
        """A page of events."""
        log = self._read(conversation_id)
        return await log.read(conversation_id, after=after, limit=limit, kinds=kinds)

    async def blob(self, digest: bytes) -> bytes:
        """A blob by its SHA-256."""
        return await self._read().blob(digest)

    async def watch(self, conversation_id: str, after: int) -> AsyncIterator[list[Record | Delta]]:
        """Events after `after`, each once, as they are committed, and deltas between them."""
        log = self._read(conversation_id)
        if self._controller is None:
            async for page in log.tail(conversation_id, after):
                yield [*page]
            return
        with self._controller.watching(conversation_id) as watcher:
            async for page in log.tail(conversation_id, after, watcher.wake):
                yield [*page, *watcher.take_deltas()]

    async def export(self, conversation_id: str) -> AsyncIterator[str]:
        """The lines of an export."""
        async for line in export_lines(self._read(conversation_id), conversation_id):
            yield line

    async def restore(self, lines: Any) -> Imported:
        """Store an exported conversation."""
        return await import_lines((await self._write()).log, lines)

    async def verify(self, conversation_id: str | None) -> AsyncIterator[Fault | str]:
        """Check conversations: the id of each that is sound, and every fault."""
        async for found in verify(self._read(conversation_id or ""), conversation_id):
            yield found

    async def size(self) -> int:
        """Bytes that the store takes."""
        return self._read().size()

    async def agents(self) -> list[AgentInfo]:
        """The agents that there are, and whether they can run."""
        return list_agents(self._config)

    async def tools(self, server: str = "") -> ToolsInfo:
        """The tools that a model would be offered, or those of one server."""
        return await list_tools(self._config, server)

    async def resources(self, server: str = "") -> Offered:
        """The resources of the servers of tools, or of one."""
        return await list_offered(self._config, "resources", server)

    async def prompts(self, server: str = "") -> Offered:
        """The prompts of the servers of tools, or of one."""
        return await list_offered(self._config, "prompts", server)

    async def running_elsewhere(self) -> int:
        """The pid of another process that writes this log; 0 if there is none."""
        return 0 if self._controller is not None else holder(self._config.log_path)

    async def running_since_us(self) -> int:
        """Since when some process writes this log; 0 if none does."""
        return int(held_since(self._config.log_path) * 1e6)

    def take_warning(self) -> str:
        """What there is to be said of how commands are run here; each thing once."""
        toolbox = self._controller and self._controller.toolbox
        return toolbox.environment.take_warning() if toolbox else ""

    async def prunable(self, before_us: int, states: Sequence[str]) -> list[Listed]:
        """Conversations whose run has ended, or that were deleted, and that are old enough."""
        if self._is_empty():
            return []
        found = await self._read().conversations(deleted=True, limit=ALL)
        return [
            listed
            for listed in found
            if listed.updated_us <= before_us
            and (listed.summary.deleted_us or not listed.open)
            and (not states or listed.summary.state in states)
        ]

    async def suspend(self, reason: str) -> None:
        """Pause what runs here, for whoever drives it next."""
        if self._controller is not None:
            await self._controller.suspend(self._principal, reason)

    async def close(self) -> None:
        """Pause what runs here and let go of everything."""
        if self._controller is not None:
            await self._controller.close(self._principal)
        elif self._log is not None:
            await self._log.close()

    # Below

    async def _beginning_with(self, prefix: str) -> list[Listed]:
        if self._is_empty():
            return []
        found = await self._read().conversations(prefix=prefix)
        return [listed for listed in found if _MADE_HERE.fullmatch(listed.summary.id)]

    async def _write(self) -> Controller:
        if self._controller is None:
            registry = load_registry(self._config)
            try:
                log = SqliteLog.open_to_write(self._config.log_path)
            except LeaseHeld as error:
                raise Refused("held", str(error), error.hint) from None
            if self._log is not None:
                await self._log.close()
            self._log = log
            self._controller = Controller(log, self._config, registry)
        return self._controller

    def _is_empty(self) -> bool:
        """Whether nothing was written yet."""
        try:
            self._read()
        except NoLog:
            return True
        return False

    def _read(self, conversation_id: str = "") -> SqliteLog:
        if self._log is None:
            try:
                self._log = SqliteLog.open_to_read(self._config.log_path)
            except NoLog:
                if conversation_id:
                    raise UnknownConversation(conversation_id) from None
                raise
        return self._log


def check_new_id(name: str) -> None:
    """Raise Refused for an id that can't be written on a command line, or is reserved."""
    bad = name.startswith(("$", "-")) or not name.isprintable() or set(name) & set(" :")
    if not name or bad:
        raise Refused(
            "usage",
            f"{name!r} can't be the id of a conversation",
            "it has no spaces and no colons, and doesn't begin with - or $",
        )
    if len(name) > MAX_ID:
        raise Refused("usage", f"an id has at most {MAX_ID} characters; this one has {len(name)}")


def _check_folder(folder: Path) -> None:
    """Raise Refused if there can't be a folder of that name."""
    found = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), None)
    if found is not None and not found.is_dir():
        raise Refused(
            "usage",
            f"the log can't be kept in {folder}: {found} isn't a folder",
            "name another with --data-dir, or in the configuration",
        )


def _principal() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
