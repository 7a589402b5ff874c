"""The one door: what front ends use, whether the controller is in this process or elsewhere."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from axtui.model.events import Record
from axtui.model.ids import new_id
from axtui.model.summary import Listed
from axtui.runtime.config import Config
from axtui.runtime.controller import Accepted, Controller, RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import ALL, PAGE, LeaseHeld, UnknownConversation
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.journal import Delta
from axtui.runtime.registry import load_registry
from axtui.runtime.transfer import Imported, export_lines, import_lines
from axtui.runtime.verify import Fault, verify
from axtui.v1 import state_pb2 as st


class Client(Protocol):
    """What can be done with conversations. Raises Refused and LogError, nothing else expected."""

    async def start(
        self, conversation_id: str, input: str, agent: str, options: RunOptions
    ) -> Accepted: ...
    async def resume(self, conversation_id: str, options: RunOptions) -> st.State: ...
    async def mark_resumed(self, conversation_id: str) -> st.State: ...
    async def pause(self, conversation_id: str, reason: str) -> None: ...
    async def cancel(self, conversation_id: str, reason: str) -> None: ...
    async def answer(
        self, conversation_id: str, question_id: str, choice: str, text: str, always: bool
    ) -> st.State: ...
    async def fork(
        self, source_id: str, seq: int | None, new: str, edit: dict[str, Any] | None
    ) -> str: ...
    async def delete(self, conversation_id: str, reason: str) -> None: ...
    async def purge(self, conversation_id: str) -> None: ...
    async def find(self, conversation_id: str) -> Listed | None: ...
    async def conversations(
        self, *, states: Sequence[str] = (), agent: str = "", limit: int = PAGE
    ) -> list[Listed]: ...
    async def state(self, conversation_id: str, seq: int | None = None) -> st.State: ...
    async def read(
        self,
        conversation_id: str,
        *,
        after: int = 0,
        limit: int = PAGE,
        kinds: Sequence[str] = (),
    ) -> list[Record]: ...
    async def blob(self, digest: bytes) -> bytes: ...
    def watch(self, conversation_id: str, after: int) -> AsyncIterator[list[Record | Delta]]: ...
    def export(self, conversation_id: str) -> AsyncIterator[str]: ...
    async def restore(self, lines: Any) -> Imported: ...
    def verify(self, conversation_id: str | None) -> AsyncIterator[Fault | str]: ...
    async def size(self) -> int: ...
    async def running_elsewhere(self) -> int: ...
    async def prunable(self, before_us: int, states: Sequence[str]) -> list[Listed]: ...
    async def suspend(self, reason: str) -> None: ...
    async def close(self) -> None: ...


def connect(config: Config) -> Client:
    """The client for a configuration."""
    return LocalClient(config)


class LocalClient:
    """Works on the data directory. Takes the lease when the first thing has to be written."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._log: SqliteLog | None = None
        self._controller: Controller | None = None
        self._principal = _principal()

    # Runs

    async def start(
        self, conversation_id: str, input: str, agent: str, options: RunOptions
    ) -> Accepted:
        """Accept a run and drive it here."""
        controller = await self._write()
        return await controller.start(
            conversation_id, input, agent, options, self._principal, new_id()
        )

    async def resume(self, conversation_id: str, options: RunOptions) -> st.State:
        """Go on with an unfinished run here."""
        return await (await self._write()).resume(conversation_id, options, self._principal)

    async def mark_resumed(self, conversation_id: str) -> st.State:
        """Say that a run is to go on, and leave it to whoever drives it next."""
        controller = await self._write()
        return await controller.resume(conversation_id, RunOptions(), self._principal, drive=False)

    async def pause(self, conversation_id: str, reason: str) -> None:
        """Begin no more steps in a run."""
        await (await self._write()).pause(conversation_id, reason, self._principal)

    async def cancel(self, conversation_id: str, reason: str) -> None:
        """End a run for good."""
        await (await self._write()).cancel(conversation_id, reason, self._principal)

    async def answer(
        self, conversation_id: str, question_id: str, choice: str, text: str, always: bool
    ) -> st.State:
        """Answer an open question."""
        controller = await self._write()
        return await controller.answer(
            conversation_id, question_id, choice, text, always, self._principal
        )

    async def fork(
        self, source_id: str, seq: int | None, new: str, edit: dict[str, Any] | None
    ) -> str:
        """Make a conversation of another's events up to `seq`; gives back its id."""
        controller = await self._write()
        name = new or new_id()
        await controller.fork(source_id, seq, name, edit, self._principal)
        return name

    async def delete(self, conversation_id: str, reason: str) -> None:
        """Hide a conversation."""
        await (await self._write()).delete(conversation_id, reason, self._principal)

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation for good."""
        await (await self._write()).purge(conversation_id, self._principal)

    # Looking

    async def find(self, conversation_id: str) -> Listed | None:
        """What a list says of a conversation."""
        return await self._read().find(conversation_id)

    async def conversations(
        self, *, states: Sequence[str] = (), agent: str = "", limit: int = PAGE
    ) -> list[Listed]:
        """Conversations, the latest changed first; none where there is no log yet."""
        if self._log is None and not self._config.log_path.exists():
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

    async def running_elsewhere(self) -> int:
        """The pid of another process that writes this log; 0 if there is none."""
        from axtui.runtime.eventlog.lease import holder

        return 0 if self._controller is not None else holder(self._config.log_path)

    async def prunable(self, before_us: int, states: Sequence[str]) -> list[Listed]:
        """Conversations whose run has ended, or that were deleted, and that are old enough."""
        if self._log is None and not self._config.log_path.exists():
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

    def _read(self, conversation_id: str = "") -> SqliteLog:
        if self._log is None:
            path: Path = self._config.log_path
            if conversation_id and not path.exists():
                raise UnknownConversation(conversation_id)
            self._log = SqliteLog.open_to_read(path)
        return self._log


def _principal() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
