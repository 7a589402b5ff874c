"""The client of a data directory on this machine."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from axtui.host import Host, Server
from axtui.model.events import Record
from axtui.model.search import FOUND, MAX_FOUND, Found, Hit, terms
from axtui.model.summary import Listed
from axtui.model.tokens import Token
from axtui.remote.door import Holder, knock
from axtui.runtime.acting import Acting, check_new_id
from axtui.runtime.config import Config
from axtui.runtime.controller import Accepted, RunOptions
from axtui.runtime.errors import Refused, Warned
from axtui.runtime.eventlog import lease
from axtui.runtime.eventlog.base import (
    ALL,
    PAGE,
    LeaseHeld,
    NoLog,
    OldLog,
    UnknownConversation,
)
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.inventory import (
    AgentInfo,
    Offered,
    ToolsInfo,
    list_agents,
    list_offered,
    list_tools,
    log_in,
)
from axtui.runtime.journal import Delta
from axtui.runtime.tokens import configured_tokens, made_tokens
from axtui.runtime.transfer import Imported, export_lines
from axtui.runtime.verify import Fault, verify
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.remote.client import RemoteClient

Serve: TypeAlias = Callable[["LocalClient", str], Awaitable[Server]]
Writer: TypeAlias = "Acting | RemoteClient"
Admitting: TypeAlias = Callable[[str], AbstractContextManager[object]]
_CANDIDATES = 8
# Who has just taken the lease opens its door in a moment, and who is about to let go of it has
# closed it.
_DOOR_SECONDS = 5.0
_POLL_SECONDS = 0.02
# What an id that was made here may be cut down to; any other is written in full.
_SHORTENED = re.compile(r"[0-9a-f]{4}[0-9a-f-]*")
_MADE_HERE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class LocalClient:
    """Works on the data directory. Reads it itself; what is to be written goes to whoever holds
    the lease: another process, through its door, or this one, which takes the lease when the first
    thing has to be written. Then others find it, and `serve` is called once one of them does.

    Raises Refused where there can't be such a folder.
    """

    def __init__(self, config: Config, serve: Serve) -> None:
        _check_folder(config.log_path.parent)
        self.config = config
        self._serve = serve
        self._log: SqliteLog | None = None
        self.host: Host | None = None
        self._owner: RemoteClient | None = None
        self._principal = _principal()
        self._request_id = ""
        self._admitting: Admitting = _admit

    def acting(
        self, principal: str, request_id: str = "", admitting: Admitting | None = None
    ) -> LocalClient:
        """The same for somebody else, in the process that holds the lease. `admitting` is entered
        with the conversation's id while a run is started or resumed."""
        other = copy(self)
        other._principal, other._request_id = principal, request_id
        other._admitting = admitting or _admit
        return other

    # Runs

    async def start(
        self, conversation_id: str, input: str, agent: str, options: RunOptions
    ) -> Accepted:
        """Accept a run and drive it, here or where others are driven."""
        if await self.find(conversation_id) is None:
            check_new_id(conversation_id)
        with self._admitting(conversation_id):
            return await (await self._write()).start(conversation_id, input, agent, options)

    async def resume(self, conversation_id: str, options: RunOptions) -> st.State:
        """Go on with an unfinished run, here or where others are driven."""
        with self._admitting(conversation_id):
            return await (await self._write()).resume(conversation_id, options)

    async def mark_resumed(self, conversation_id: str) -> st.State:
        """Say that a run is to go on, and leave it to whoever drives it."""
        return await (await self._write()).mark_resumed(conversation_id)

    async def pause(self, conversation_id: str, reason: str) -> None:
        """Begin no more steps in a run."""
        await (await self._write()).pause(conversation_id, reason)

    async def cancel(self, conversation_id: str, reason: str) -> None:
        """End a run for good."""
        await (await self._write()).cancel(conversation_id, reason)

    async def answer(
        self,
        conversation_id: str,
        question_id: str,
        choice: str,
        text: str = "",
        always: bool = False,
        edit: dict[str, Any] | None = None,
    ) -> st.State:
        """Answer an open question. `edit` has the arguments that are approved in the place of those
        asked about."""
        writer = await self._write()
        return await writer.answer(conversation_id, question_id, choice, text, always, edit)

    async def tell(self, conversation_id: str, text: str, actor: str = "") -> None:
        """Say something to an agent while its run is open."""
        await (await self._write()).tell(conversation_id, text, actor)

    async def fork(
        self, source_id: str, seq: int | None, new: str, edit: dict[str, Any] | None
    ) -> str:
        """Make a conversation of another's events up to `seq`; gives back its id."""
        if new:
            check_new_id(new)
        return await (await self._write()).fork(source_id, seq, new, edit)

    async def delete(self, conversation_id: str, reason: str) -> None:
        """Hide a conversation."""
        await (await self._write()).delete(conversation_id, reason)

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation for good."""
        await (await self._write()).purge(conversation_id)

    async def restore(self, lines: Iterable[str]) -> Imported:
        """Store an exported conversation."""
        return await (await self._write()).restore(lines)

    async def create_token(self, name: str, role: str, hash: bytes, expires_us: int) -> None:
        """Let somebody in."""
        await (await self._write()).create_token(name, role, hash, expires_us)

    async def revoke_token(self, name: str) -> None:
        """Let somebody in no more."""
        await (await self._write()).revoke_token(name)

    # Looking

    async def tokens(self) -> list[Token]:
        """Every token there has been, those of the configuration included."""
        made = {} if self._is_empty() else await made_tokens(self._read())
        return sorted([*configured_tokens(self.config), *made.values()])

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
        self,
        *,
        states: Sequence[str] = (),
        agent: str = "",
        since_us: int = 0,
        deleted: bool = False,
        limit: int = PAGE,
    ) -> list[Listed]:
        """Conversations, the latest changed first; none where there is no log yet. Those whose last
        event is at `since_us` or later: asking again and again costs nearly nothing while nothing
        happens. Those that are hidden only if wanted; their `deleted_us` tells.
        """
        if self._is_empty():
            return []
        return await self._read().conversations(
            states=states, agent=agent, since_us=since_us, deleted=deleted, limit=limit
        )

    async def state(self, conversation_id: str, seq: int | None = None) -> st.State:
        """The state of a conversation, after event `seq` if given."""
        return await self._read(conversation_id).state(conversation_id, seq)

    async def read(
        self,
        conversation_id: str,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = PAGE,
        kinds: Sequence[str] = (),
        step: str = "",
        newest_first: bool = False,
    ) -> list[Record]:
        """A page of events with after < seq < before, of some kinds or of one step if wanted. It
        may be shorter than `limit`, but is empty only where there are no more."""
        return await self._read(conversation_id).read(
            conversation_id,
            after=after,
            before=before,
            limit=limit,
            kinds=kinds,
            step=step,
            newest_first=newest_first,
        )

    async def search(
        self,
        text: str,
        *,
        conversation_id: str = "",
        limit: int = FOUND,
        tell: Callable[[int], None] | None = None,
    ) -> list[Hit]:
        """The newest events, at most 1,000, in which all words of `text` occur: "phrases" as they
        are, and beginnings with a * behind. `tell` hears how many events have to be read first.
        """
        while (found := await self.search_on(text, conversation_id, limit)).left:
            if tell is not None:
                tell(found.left)
        return found.hits

    async def search_on(self, text: str, conversation_id: str, limit: int) -> Found:
        """A part of that which takes but a moment."""
        try:
            wanted = terms(text)
        except ValueError as error:
            raise Refused(
                "usage", str(error), 'it takes words, "phrases" and beginnings*'
            ) from None
        if not conversation_id and self._is_empty():
            return Found([])
        return await self._read(conversation_id).search(
            wanted, conversation_id=conversation_id, limit=min(limit, MAX_FOUND)
        )

    async def blob(self, digest: bytes) -> bytes:
        """A blob by its SHA-256."""
        return await self._read().blob(digest)

    async def watch(self, conversation_id: str, after: int) -> AsyncIterator[list[Record | Delta]]:
        """Events after `after`, each once, as they are committed, and deltas between them."""
        if self._owner is not None:
            async for items in self._owner.watch(conversation_id, after):
                yield items
            return
        log = self._read(conversation_id)
        if self.host is None:
            async for page in log.tail(conversation_id, after):
                yield [*page]
            return
        with self.host.controller.watching(conversation_id) as watcher:
            async for page in log.tail(conversation_id, after, watcher.wake):
                yield [*page, *watcher.take_deltas()]

    async def export(self, conversation_id: str) -> AsyncIterator[str]:
        """The lines of an export."""
        async for line in export_lines(self._read(conversation_id), conversation_id):
            yield line

    async def verify(self, conversation_id: str | None) -> AsyncIterator[Fault | str]:
        """Check conversations: the id of each that is sound, and every fault."""
        async for found in verify(self._read(conversation_id or ""), conversation_id):
            yield found

    async def size(self) -> int:
        """Bytes that the store takes."""
        return self._read().size()

    async def agents(self) -> list[AgentInfo]:
        """The agents that there are, and whether they can run."""
        return await list_agents(self.config)

    async def tools(self, server: str = "") -> ToolsInfo:
        """The tools that a model would be offered, or those of one server."""
        return await list_tools(self.config, server)

    async def log_in(self, server: str, show: Callable[[str], None]) -> None:
        """Have a person log in at a server of tools; `show` gets the address to open."""
        await log_in(self.config, server, show)

    async def resources(self, server: str = "") -> Offered:
        """The resources of the servers of tools, or of one."""
        return await list_offered(self.config, "resources", server)

    async def prompts(self, server: str = "") -> Offered:
        """The prompts of the servers of tools, or of one."""
        return await list_offered(self.config, "prompts", server)

    async def join(self, *, start: bool) -> bool:
        """Have another process drive what is started from here on, and tell of what it drives:
        the one that holds the lease or, with `start`, one in the background. Whether there is one.
        """
        if self._owner is None and self.host is None:
            there = start or await knock(self.config.log_path, "status") is not None
            self._owner = self._neighbour() if there else None
        return self._owner is not None

    async def holder(self) -> Holder:
        """Who drives runs of this data directory; its pid is 0 if nobody does."""
        if self.host is not None:
            controller = self.host.controller
            driving, calls = controller.driving(), controller.roster.calls()
            return Holder(os.getpid(), self.host.since_us, driving, calls)
        pid, since = lease.holder(self.config.log_path)
        if not pid:
            return Holder()
        told = await knock(self.config.log_path, "status") or {}
        driving = frozenset(map(str, told.get("driving", ())))
        return Holder(pid, int(since * 1e6), driving, dict(told.get("calls", {})))

    @property
    def hosts(self) -> bool:
        """Whether the runs that are driven end with this process."""
        return self.host is not None

    async def refusals(self) -> Mapping[str, str]:
        """Nothing is refused to whoever the data directory belongs to."""
        return {}

    def take_warning(self) -> Warned | None:
        """What there is to be said of how commands are run here, or of who drives the run; each
        thing once."""
        if self._owner is not None:
            return self._owner.take_warning()
        said = self.host.controller.toolbox.environment.take_warning() if self.host else ""
        return Warned("sandbox", said) if said else None

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

    async def suspend(self, reason: str, stopped: str = "") -> None:
        """Pause what runs here, for whoever drives it next; the run of the conversation that a
        person has `stopped`, for whoever is told to."""
        if self.host is not None:
            await self.host.controller.suspend(self._principal, reason, stopped)

    async def close(self) -> None:
        """Pause what runs here and let go of everything."""
        if self._owner is not None:
            await self._owner.close()
        if self.host is not None:
            await self.host.close(self._principal)
        elif self._log is not None:
            await self._log.close()

    # Below

    async def _beginning_with(self, prefix: str) -> list[Listed]:
        if self._is_empty():
            return []
        found = await self._read().conversations(prefix=prefix)
        return [listed for listed in found if _MADE_HERE.fullmatch(listed.summary.id)]

    async def hold(self) -> Host:
        """Become the process that holds the lease. Raises LeaseHeld if another one does."""
        if self.host is None:
            self.host = await Host.open(self.config, partial(self._serve, self))
            if self._log is not None:
                await self._log.close()
            self._log = self.host.log
        return self.host

    async def _write(self) -> Writer:
        end = time.monotonic() + _DOOR_SECONDS
        while self._owner is None:
            try:
                host = await self.hold()
                return Acting(host.controller, self._principal, self._request_id)
            except LeaseHeld as error:
                if await knock(self.config.log_path, "status") is not None:
                    self._owner = self._neighbour()
                elif time.monotonic() > end:
                    raise Refused("held", str(error), error.hint) from None
                else:
                    await asyncio.sleep(_POLL_SECONDS)
        return self._owner

    def _neighbour(self) -> RemoteClient:
        from axtui.remote.client import RemoteClient
        from axtui.remote.dialing import Neighbour

        return RemoteClient(Neighbour(self.config))

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
                self._log = _open_to_read(self.config.log_path)
            except NoLog:
                if conversation_id:
                    raise UnknownConversation(conversation_id) from None
                raise
        return self._log


def _admit(conversation_id: str) -> AbstractContextManager[object]:
    return nullcontext()


def _open_to_read(path: Path) -> SqliteLog:
    try:
        return SqliteLog.open_to_read(path)
    except OldLog as old:
        try:
            SqliteLog.upgrade(path)
        except LeaseHeld:
            # By an earlier axtui: it isn't taken away from that.
            raise old from None
        return SqliteLog.open_to_read(path)


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
