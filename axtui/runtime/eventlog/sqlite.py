"""The event log in one SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from google.protobuf.message import DecodeError

from axtui.model.events import Head, Record
from axtui.model.fold import FOLD_VERSION
from axtui.model.records import Block
from axtui.model.search import Found, Term
from axtui.model.summary import Listed, summarise
from axtui.runtime.eventlog import purge
from axtui.runtime.eventlog.base import (
    PAGE,
    Commit,
    LogError,
    LogFailed,
    NoLog,
    Taken,
    UnknownConversation,
)
from axtui.runtime.eventlog.blocks import settle
from axtui.runtime.eventlog.conversation import Append, Conversation
from axtui.runtime.eventlog.lease import Lease
from axtui.runtime.eventlog.reader import Query, Reader, within
from axtui.runtime.eventlog.schema import (
    STORE_ERRORS,
    check_current,
    connect,
    create,
    damaged,
    explain,
    prepare,
)
from axtui.runtime.eventlog.search import Search
from axtui.runtime.eventlog.writer import Job, Writer
from axtui.v1 import state_pb2 as st

_POLL_SECONDS = 0.05
_MAX_POLL_SECONDS = 0.2
# For how long a search reads what is new before it says how much is left, and for how long those
# that hold the lease do so from time to time.
_SEARCH_SECONDS = 0.25
_INDEX_SECONDS = 0.02
T = TypeVar("T")


class SqliteLog:
    """An open log. With a lease it can be written, without it only read.

    Belongs to the event loop it was opened in. Reads run in a thread of their own.
    """

    def __init__(self, path: Path, reader: sqlite3.Connection) -> None:
        self.path = path
        self._closed = False
        self._reader = Reader(reader, path)
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="axtui-reader")
        self._search = Search(path)
        self._search_thread: ThreadPoolExecutor | None = None
        self._loop = asyncio.get_running_loop()
        self._lease: Lease | None = None
        self._writer: Writer | None = None
        self._write_connection: sqlite3.Connection | None = None
        self._failed: LogError | None = None
        self._pending: list[Append] = []
        self._open: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        # One at a time is opened or made: what was read of it must still hold, though another that
        # had it open meanwhile has written to it and let it go.
        self._opening = asyncio.Lock()
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._next_number = 0
        # Numbers of conversations that were purged since this was opened.
        self._gone: set[int] = set()

    @classmethod
    def open_to_read(cls, path: Path, *, probe: bool = False) -> SqliteLog:
        """Open an existing log without the lease. Raises LogError if there is none.

        `probe` is for one look, which leaves nothing beside the file.
        """
        path = Path(os.path.realpath(path))
        with ExitStack() as undo:
            try:
                if not path.is_file():
                    raise NoLog(path)
                reader = connect(path, write=False, probe=probe)
                undo.callback(reader.close)
                check_current(reader, path)
            except STORE_ERRORS as error:
                raise explain(error, path) from None
            undo.pop_all()
        return cls(path, reader)

    @classmethod
    def open_to_write(cls, path: Path) -> SqliteLog:
        """Take the lease, make the log if there is none, or bring it to this version.

        Raises LeaseHeld if another process has the lease, LogError for anything else.
        """
        path = Path(os.path.realpath(path))
        with ExitStack() as undo:
            lease, connection, epoch, last = _begin_to_write(path, undo)
            log = cls.open_to_read(path)
            undo.pop_all()
        log._next_number = last + 1
        log._lease = lease
        log._writer = Writer(connection, path, epoch, log._done_in_thread)
        log._write_connection = connection
        return log

    @staticmethod
    def upgrade(path: Path) -> None:
        """Bring a log to this version, and let go of it. Raises as `open_to_write` does."""
        with ExitStack() as undo:
            _begin_to_write(Path(os.path.realpath(path)), undo)

    @property
    def writable(self) -> bool:
        """Whether this process holds the lease."""
        return self._writer is not None

    async def close(self) -> None:
        """Commit what was appended, then let go of the files and the lease."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        if self._writer is not None:
            await asyncio.to_thread(self._writer.stop)
        for conversation_id in list(self._watchers):
            self._wake(conversation_id)
        if self._search_thread is not None:
            # Before the writer: the last to close folds the write-ahead log in.
            await self._loop.run_in_executor(self._search_thread, self._search.close)
            self._search_thread.shutdown()
        await self._loop.run_in_executor(self._read_thread, self._close_files)
        self._read_thread.shutdown()
        if self._lease is not None:
            self._lease.release()

    def _close_files(self) -> None:
        self._reader.close()
        if self._write_connection is not None:
            _close_quietly(self._write_connection)

    # Writing

    def submit(self, append: Append) -> None:
        """Take an append; those of one turn of the loop reach the writer together."""
        if self._failed is not None:
            raise self._failed
        self._check_open()
        self._check_not_gone(append.conversation)
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(append)

    def _flush(self) -> None:
        if self._pending and self._writer is not None:
            self._writer.put(self._pending)
            self._pending = []

    def _check_open(self) -> None:
        if self._closed:
            raise LogFailed(f"{self.path} was closed")

    def _check_not_gone(self, conversation: Conversation) -> None:
        if conversation.number in self._gone:
            raise UnknownConversation(conversation.id)
        source = conversation.parent
        # Once a fork has an event of its own, a purge of its source sees it.
        if source is not None and source[0] in self._gone and conversation.head.seq == source[1]:
            raise LogError(f"what {conversation.id!r} was to be a fork of has been purged")

    def _done_in_thread(self, batch: list[Append], error: LogError | None) -> None:
        self._tell(self._done, batch, error)

    def _tell(self, function: Callable[..., None], *args: Any) -> None:
        # A loop that was ended without closing the log has nobody left who could be told.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    def _done(self, batch: list[Append], error: LogError | None) -> None:
        self._failed = error
        for append in batch:
            if error is None:
                append.conversation.committed(append)
            append.resolve(error)
        for conversation_id in {append.conversation.id for append in batch}:
            self._wake(conversation_id)

    def _wake(self, conversation_id: str) -> None:
        for event in self._watchers.get(conversation_id, ()):
            event.set()

    async def conversation(self, conversation_id: str, *, create: bool = False) -> Conversation:
        """The write side of a conversation. Raises UnknownConversation unless `create`."""
        self._check_writable()
        async with self._opening:
            opened = self._open.get(conversation_id)
            if opened is not None:
                return opened
            loaded = await self._in_thread(self._reader.load, conversation_id)
            if loaded is None:
                if not create:
                    raise UnknownConversation(conversation_id)
                return self._new(conversation_id)
            if loaded.number in self._gone:
                raise UnknownConversation(conversation_id)
            conversation = Conversation(self, loaded.number, conversation_id, loaded.head)
            conversation.state = loaded.state
            conversation.summary = summarise(loaded.state)
            conversation.keyframe_seq = loaded.keyframe_seq
            self._open[conversation_id] = conversation
            return conversation

    async def fork(self, source_id: str, seq: int, new_id: str) -> Conversation:
        """The write side of a conversation whose first `seq` events are the source's.

        It exists once something is appended. Raises LogError if `new_id` does already.
        """
        self._check_writable()
        async with self._opening:
            await self._refuse_taken(new_id)
            source = await self._in_thread(self._reader.load, source_id, seq)
            if source is None or source.number in self._gone:
                raise UnknownConversation(source_id)
            conversation = self._new(new_id)
            conversation.head = source.head
            conversation.committed_seq = seq
            conversation.state = source.state
            conversation.parent = (source.number, seq)
            conversation.keyframe_seq = source.keyframe_seq
            return conversation

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation's events for good. Forks of it get what they refer to."""
        self._check_writable()
        number = await self._in_thread(self._reader.number_of, conversation_id)
        # From here on nothing is written to it, nor is it forked.
        self._gone.add(number)
        opened = self._open.pop(conversation_id, None)
        try:
            await self._in_writer(lambda connection: purge.purge(connection, number))
        except LogError:
            self._gone.discard(number)
            if opened is not None:
                self._open[conversation_id] = opened
            raise
        self._wake(conversation_id)

    async def restore(
        self,
        conversation_id: str,
        records: Iterable[Record],
        blobs: Sequence[tuple[bytes, bytes]],
    ) -> None:
        """Store an exported conversation as it was, bytes and all, in one transaction.

        Raises LogError if there is a conversation of that id.
        """
        self._check_writable()
        async with self._opening:
            await self._refuse_taken(conversation_id)
            conversation = self._new(conversation_id)
        await conversation.restore(records, blobs)

    async def _refuse_taken(self, conversation_id: str) -> None:
        if conversation_id in self._open or await self.find(conversation_id) is not None:
            raise Taken(conversation_id)

    def _new(self, conversation_id: str) -> Conversation:
        conversation = Conversation(self, self._next_number, conversation_id, Head())
        conversation.state.version = FOLD_VERSION
        self._next_number += 1
        self._open[conversation_id] = conversation
        return conversation

    def _check_writable(self) -> None:
        if self._writer is None:
            raise LogError(f"{self.path} is open for reading only")
        self._check_open()

    async def _in_writer(self, job: Job) -> None:
        assert self._writer is not None
        commit = Commit([])
        self._flush()
        self._writer.call(job, lambda error: self._tell(commit.resolve, error))
        await commit

    # Reading

    async def find(self, conversation_id: str) -> Listed | None:
        """What a list says of one conversation, deleted ones included."""
        return await self._in_thread(self._reader.find, conversation_id)

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
        where = "c.id NOT LIKE '$%'" + ("" if deleted else " AND c.deleted_us = 0")
        values: list[object] = []
        if states:
            where += f" AND c.state IN ({','.join('?' * len(states))})"
            values += states
        if agent:
            where += " AND c.agent = ?"
            values.append(agent)
        if prefix:
            # Not a pattern: the index on the id leads to where they begin.
            where += " AND unlikely(c.id >= ?) AND substr(c.id, 1, ?) = ?"
            values += [prefix, len(prefix), prefix]
        if since_us > 0:
            where += " AND h.updated_us >= ?"
            values.append(within(since_us))
        return await self._in_thread(self._reader.listed, where, values, limit)

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
        query = Query(after, before, limit, kinds, step, newest_first)
        return await self._in_thread(self._reader.read, conversation_id, query)

    async def packed(
        self, conversation_id: str, *, after: int, last: int, size: int
    ) -> list[Block]:
        """Events with after < seq <= last, for those who send them on as they are stored: in all
        about `size` bytes, if there are as many."""
        return await self._in_thread(self._reader.packed, conversation_id, after, last, size)

    async def state(self, conversation_id: str, seq: int | None = None) -> st.State:
        """The state at the head, or after event `seq`. Raises LogError if there is no such seq."""
        return await self._in_thread(self._reader.state, conversation_id, seq)

    async def head(self, conversation_id: str) -> Head:
        """Where a conversation's log ends."""
        return await self._in_thread(self._reader.head, conversation_id)

    async def request_seq(self, conversation_id: str, request_id: str) -> int | None:
        """The seq of the event that a request has already caused."""
        return await self._in_thread(self._reader.request_seq, conversation_id, request_id)

    async def blob(self, digest: bytes) -> bytes:
        """A blob by its SHA-256. Raises LogDamaged if it is missing or isn't what it was."""
        return await self._in_thread(self._reader.blob, digest)

    async def search(
        self, terms: Sequence[Term], *, conversation_id: str = "", limit: int = PAGE
    ) -> Found:
        """The newest events in which all terms occur, of conversations that aren't deleted, or of
        one. Works on for a moment on what has to be read first: ask again while something is left.
        """
        return await self._in_search_thread(
            self._search.search, terms, conversation_id, within(limit), _SEARCH_SECONDS
        )

    async def index(self) -> int:
        """Read a little of what a search would have to read first, if anybody ever searches; gives
        back how many events are left."""
        if not self._search.is_wanted:
            return 0
        return await self._in_search_thread(self._search.catch_up, _INDEX_SECONDS)

    async def faults(self) -> list[str]:
        """What is wrong with the store as a whole, that no single conversation shows."""
        return await self._in_thread(self._reader.faults)

    async def tail(
        self, conversation_id: str, after: int, wake: asyncio.Event | None = None
    ) -> AsyncIterator[list[Record]]:
        """Every event after `after`, those that are there and those to come, each once.

        An empty page says that there is nothing more for now. Who has something of his own to
        wait for gives `wake`: setting it yields an empty page. It ends when the log is closed.
        """
        wake = wake or asyncio.Event()
        watchers = self._watchers.setdefault(conversation_id, set())
        watchers.add(wake)
        pause = _POLL_SECONDS
        try:
            while not self._closed:
                wake.clear()
                page = self._recent(conversation_id, after)
                if page is None:
                    page = await self.read(conversation_id, after=after)
                if page:
                    after = page[-1].seq
                yield page
                if page:
                    pause = _POLL_SECONDS
                    continue
                if self._failed is not None:
                    raise self._failed
                with suppress(TimeoutError):
                    # Without the lease nobody here learns of a commit.
                    async with asyncio.timeout(pause if self._writer is None else None):
                        await wake.wait()
                # Where nothing comes, it is looked for less often.
                pause = min(2 * pause, _MAX_POLL_SECONDS)
        finally:
            watchers.discard(wake)
            if not watchers:
                self._watchers.pop(conversation_id, None)

    def _recent(self, conversation_id: str, after: int) -> list[Record] | None:
        """What follows `after`, if it needs no look at the disk."""
        conversation = self._open.get(conversation_id)
        if conversation is None:
            return None
        recent = conversation.recent
        if after >= conversation.committed_seq:
            return []
        if not recent or recent[0].seq > after + 1:
            return None
        return [record for record in recent if record.seq > after]

    def size(self) -> int:
        """Bytes on disk, the write-ahead log included."""
        total = 0
        for name in (self.path, f"{self.path}-wal"):
            with suppress(OSError):
                total += os.stat(name).st_size
        return total

    async def _in_search_thread(self, function: Callable[..., T], *args: Any) -> T:
        self._check_open()
        if self._search_thread is None:
            self._search_thread = ThreadPoolExecutor(1, thread_name_prefix="axtui-search")
        return await self._loop.run_in_executor(self._search_thread, function, *args)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        self._check_open()
        return await self._loop.run_in_executor(
            self._read_thread, self._reader.call, function, *args
        )


def _begin_to_write(path: Path, undo: ExitStack) -> tuple[Lease, sqlite3.Connection, int, int]:
    """The lease, a connection to a log of this version, its new epoch, and the last number in use;
    `undo` lets go of them. Raises LeaseHeld and LogError."""
    try:
        make_folder(path.parent)
        lease = Lease.acquire(path)
        undo.callback(lease.release)
        create(path)
        connection = connect(path, write=True)
        undo.callback(_close_quietly, connection)
        prepare(connection, path)
        epoch, last = _take_over(connection, path)
    except (*STORE_ERRORS, DecodeError) as error:
        raise explain(error, path) from None
    return lease, connection, epoch, last


def _take_over(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    """Shut out earlier writers, and tidy up; the new epoch and the last number in use."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE lease SET epoch = epoch + 1")
    settle(connection)
    connection.execute("DELETE FROM keyframes WHERE fold_version <> ?", (FOLD_VERSION,))
    _sum_up(connection, path)
    row = connection.execute(
        "SELECT epoch, (SELECT coalesce(max(number), 0) FROM conversations) FROM lease"
    ).fetchone()
    connection.execute("COMMIT")
    if row is None or tuple(map(type, row)) != (int, int):
        raise damaged(path, "the row of the lease")
    epoch, last = row
    return epoch, last


def _sum_up(connection: sqlite3.Connection, path: Path) -> None:
    """Fill in the usage of conversations that were written before there was a place for it."""
    reader = Reader(connection, path)
    found = connection.execute("SELECT number, id FROM conversations WHERE tokens IS NULL")
    for number, conversation_id in found.fetchall():
        # One that is damaged must not keep the others from being opened; it says so when it is.
        with suppress(LogError, DecodeError):
            used = summarise(reader.state(conversation_id, None))[-3:]
            connection.execute(
                "UPDATE conversations SET tokens = ?, cost_nusd = ?, unpriced_calls = ?"
                " WHERE number = ?",
                (*used, number),
            )


def _close_quietly(connection: sqlite3.Connection) -> None:
    # The last connection folds the write-ahead log into the file, which a full disk or a file that
    # is gone can refuse; all that matters is synced by now.
    with suppress(sqlite3.Error):
        connection.close()


def make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and see that its name is on disk too."""
    if folder.exists():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
