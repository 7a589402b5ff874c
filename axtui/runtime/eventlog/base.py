"""What every store of event logs offers, and what can go wrong with one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from axtui.model.events import Head, Record
from axtui.model.records import Block
from axtui.model.search import Found, Term
from axtui.model.summary import Listed
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.runtime.eventlog.conversation import Conversation

PAGE = 500
ALL = 2**62
CONTROL_LOG = "$control"


class LogError(Exception):
    """Something is wrong with the store; `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NoLog(LogError):
    """Nothing was written yet: there is no file, or one that a crash left without its tables."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no log at {path}", "`axtui exec` makes one")


class OldLog(LogError):
    """The log is of an earlier version of axtui, and can be brought to this one."""


class LogFailed(LogError):
    """A write failed. Nothing after the last acknowledged commit counts; open the log again."""


class LogDamaged(LogError):
    """The store holds something else than was written."""


class LeaseHeld(LogError):
    """Another process writes this log."""

    def __init__(self, message: str, hint: str, pid: int) -> None:
        super().__init__(message, hint)
        self.pid = pid


class LeaseLost(LogFailed):
    """This process has stopped being the writer."""


class UnknownConversation(LogError):
    """No conversation has that id."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(
            f"there is no conversation {conversation_id!r}", "`axtui list` shows those there are"
        )


class UnknownEvent(LogError):
    """A conversation has no event of that seq."""


class Taken(LogError):
    """There is a conversation of that id already."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(
            f"there is a conversation {conversation_id!r} already", "choose another id"
        )


class Commit:
    """Records that have their place in the log; awaiting it returns once they are on disk."""

    __slots__ = ("_error", "_waiters", "done", "records")

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.done = False
        self._error: LogError | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def resolve(self, error: LogError | None) -> None:
        """For the store: the records are on disk, or never will be."""
        self.done = True
        self._error = error
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def __await__(self) -> Generator[None, None, None]:
        if not self.done:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            yield from waiter
        if self._error is not None:
            raise self._error


class EventLog(Protocol):
    """Conversations and their events.

    Writing goes through `conversation`; it takes the lease that the store was opened with.
    Everything else reads, and needs no lease. All raise LogError.
    """

    async def conversation(self, conversation_id: str, *, create: bool = False) -> Conversation:
        """The write side of a conversation. Raises UnknownConversation unless `create`."""
        ...

    async def fork(self, source_id: str, seq: int, new_id: str) -> Conversation:
        """The write side of a new conversation whose first `seq` events are the source's."""
        ...

    async def find(self, conversation_id: str) -> Listed | None:
        """What a list says of one conversation, deleted ones included."""
        ...

    async def conversations(
        self,
        *,
        states: Sequence[str] = (),
        agent: str = "",
        prefix: str = "",
        since_us: int = 0,
        deleted: bool = False,
        limit: int = PAGE,
    ) -> list[Listed]:
        """Conversations, the latest changed first, of those whose ids begin with `prefix` and
        whose last event is at `since_us` or later.

        Those that are deleted only if wanted.
        """
        ...

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
        """A page of events with after < seq < before, of some kinds or of one step if wanted."""
        ...

    async def packed(
        self, conversation_id: str, *, after: int, last: int, size: int
    ) -> list[Block]:
        """Events with after < seq <= last, for those who send them on as they are stored: in all
        about `size` bytes, if there are as many."""
        ...

    async def state(self, conversation_id: str, seq: int | None = None) -> st.State:
        """The state at the head, or after event `seq`."""
        ...

    async def head(self, conversation_id: str) -> Head:
        """Where a conversation's log ends."""
        ...

    async def request_seq(self, conversation_id: str, request_id: str) -> int | None:
        """The seq of the event that a request has already caused."""
        ...

    async def blob(self, digest: bytes) -> bytes:
        """A blob by its SHA-256. Raises LogDamaged if it is missing or isn't what it was."""
        ...

    async def search(
        self, terms: Sequence[Term], *, conversation_id: str = "", limit: int = PAGE
    ) -> Found:
        """The newest events in which all terms occur, of conversations that aren't deleted, or of
        one. Works on for a moment on what has to be read first: ask again while something is left.
        """
        ...

    async def index(self) -> int:
        """Read a little of what a search would have to read first, if anybody ever searches; gives
        back how many events are left."""
        ...

    async def faults(self) -> list[str]:
        """What is wrong with the store as a whole, that no single conversation shows."""
        ...

    def tail(
        self, conversation_id: str, after: int, wake: asyncio.Event | None = None
    ) -> AsyncIterator[list[Record]]:
        """Every event after `after`, those that are there and those to come, each once.

        An empty page says that there is nothing more for now. Who has something of his own to
        wait for gives `wake`: setting it yields an empty page. It ends when the log is closed.
        """
        ...

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation's events for good. Forks of it get what they refer to."""
        ...

    async def restore(
        self,
        conversation_id: str,
        records: Iterable[Record],
        blobs: Sequence[tuple[bytes, bytes]],
    ) -> None:
        """Store an exported conversation as it was. Raises LogError if the id is taken."""
        ...

    def size(self) -> int:
        """Bytes that the store takes."""
        ...

    async def close(self) -> None:
        """Commit what was appended, then let go of the store and the lease."""
        ...
