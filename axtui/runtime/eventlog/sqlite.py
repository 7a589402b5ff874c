"""The event log in one SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from google.protobuf.message import DecodeError

from axtui.model.events import Head, Record, envelope_hash
from axtui.model.fold import FOLD_VERSION, apply
from axtui.model.summary import Listed, Summary, summarise
from axtui.runtime.eventlog import purge
from axtui.runtime.eventlog.base import (
    PAGE,
    LogDamaged,
    LogError,
    UnknownConversation,
)
from axtui.runtime.eventlog.conversation import Append, Conversation
from axtui.runtime.eventlog.lease import Lease
from axtui.runtime.eventlog.schema import check, connect, explain, prepare
from axtui.runtime.eventlog.segments import Segment, segments
from axtui.runtime.eventlog.writer import Job, Writer, settle
from axtui.v1 import state_pb2 as st

_POLL_SECONDS = 0.05
_SUMMARY = (
    "c.id, c.state, c.agent, c.exec_id, c.title, c.waiting_for, c.created_us, c.parent_id,"
    " c.parent_seq, c.deleted_us, h.seq, h.updated_us"
)
T = TypeVar("T")


class SqliteLog:
    """An open log. With a lease it can be written, without it only read.

    Belongs to the event loop it was opened in. Reads run in a thread of their own.
    """

    def __init__(self, path: Path, reader: sqlite3.Connection) -> None:
        self.path = path
        self._reader = reader
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="axtui-reader")
        self._loop = asyncio.get_running_loop()
        self._lease: Lease | None = None
        self._writer: Writer | None = None
        self._write_connection: sqlite3.Connection | None = None
        self._failed: LogError | None = None
        self._pending: list[Append] = []
        self._open: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._next_number = 0

    @classmethod
    def open_to_read(cls, path: Path) -> SqliteLog:
        """Open an existing log without the lease. Raises LogError if there is none."""
        if not path.exists():
            raise LogError(f"there is no log at {path}", "`axtui exec` makes one")
        try:
            reader = connect(path, write=False)
        except sqlite3.Error as error:
            raise explain(error, path) from None
        check(reader, path)
        return cls(path, reader)

    @classmethod
    def open_to_write(cls, path: Path) -> SqliteLog:
        """Take the lease, make the log if there is none, or bring it to this version.

        Raises LeaseHeld if another process has the lease, LogError for anything else.
        """
        path = Path(os.path.realpath(path))
        try:
            make_folder(path.parent)
            lease = Lease.acquire(path)
        except OSError as error:
            raise explain(error, path) from None
        try:
            connection = connect(path, write=True)
            os.chmod(path, 0o600)
            prepare(connection, path)
            epoch = connection.execute(
                "UPDATE lease SET epoch = epoch + 1 RETURNING epoch"
            ).fetchone()[0]
            settle(connection)
            connection.execute("DELETE FROM keyframes WHERE fold_version <> ?", (FOLD_VERSION,))
            log = cls.open_to_read(path)
        except (sqlite3.Error, OSError) as error:
            lease.release()
            raise explain(error, path) from None
        except BaseException:
            lease.release()
            raise
        last = connection.execute("SELECT max(number) FROM conversations").fetchone()[0]
        log._next_number = (last or 0) + 1
        log._lease = lease
        log._writer = Writer(connection, path, epoch, log._done_in_thread)
        log._write_connection = connection
        return log

    @property
    def writable(self) -> bool:
        """Whether this process holds the lease."""
        return self._writer is not None

    async def close(self) -> None:
        """Commit what was appended, then let go of the files and the lease."""
        if self._writer is not None:
            self._flush()
            await asyncio.to_thread(self._writer.stop)
        await self._in_thread(self._reader.close)
        self._read_thread.shutdown()
        if self._write_connection is not None:
            # The last connection folds the write-ahead log into the file, which a full disk or a
            # file that is gone can refuse; all that matters is synced by now.
            with suppress(sqlite3.Error):
                self._write_connection.close()
        if self._lease is not None:
            self._lease.release()

    # Writing

    def submit(self, append: Append) -> None:
        """Take an append; those of one turn of the loop reach the writer together."""
        if self._failed is not None:
            raise self._failed
        if self._writer is None:
            raise LogError(f"{self.path} is open for reading only")
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(append)

    def _flush(self) -> None:
        if self._pending and self._writer is not None:
            self._writer.put(self._pending)
            self._pending = []

    def _done_in_thread(self, batch: list[Append], error: LogError | None) -> None:
        self._loop.call_soon_threadsafe(self._done, batch, error)

    def _done(self, batch: list[Append], error: LogError | None) -> None:
        self._failed = error
        for append in batch:
            if error is None:
                append.conversation.committed(append)
            append.commit.resolve(error)
        for conversation_id in {append.conversation.id for append in batch}:
            for event in self._watchers.get(conversation_id, ()):
                event.set()

    async def conversation(self, conversation_id: str, *, create: bool = False) -> Conversation:
        """The write side of a conversation. Raises UnknownConversation unless `create`."""
        if conversation_id in self._open:
            return self._open[conversation_id]
        loaded = await self._in_thread(self._load, conversation_id)
        # Somebody else may have opened it while this was reading; there must be one.
        if conversation_id in self._open:
            return self._open[conversation_id]
        if loaded is None:
            if not create:
                raise UnknownConversation(conversation_id)
            return await self._new(conversation_id)
        number, head, state = loaded
        conversation = Conversation(self, number, conversation_id, head)
        conversation.state = state
        conversation.summary = summarise(state)
        conversation.keyframe_seq = head.seq
        self._open[conversation_id] = conversation
        return conversation

    async def fork(self, source_id: str, seq: int, new_id: str) -> Conversation:
        """The write side of a conversation whose first `seq` events are the source's.

        It exists once something is appended. Raises LogError if `new_id` does already.
        """
        conversation = await self._new(new_id)
        state = await self.state(source_id, seq)
        record = (await self.read(source_id, after=seq - 1, limit=1))[0]
        conversation.head = Head(seq, envelope_hash(record.envelope), state.time_us)
        conversation.committed_seq = seq
        conversation.state = state
        conversation.parent = (await self._in_thread(self._number_of, source_id), seq)
        conversation.keyframe_seq = seq
        return conversation

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation's events for good. Forks of it get what they refer to."""
        number = await self._in_thread(self._number_of, conversation_id)
        await self._in_writer(lambda connection: purge.purge(connection, number))

    async def restore(
        self,
        conversation_id: str,
        records: Iterable[Record],
        blobs: Sequence[tuple[bytes, bytes]],
    ) -> None:
        """Store an exported conversation as it was, bytes and all, in one transaction.

        Raises LogError if there is a conversation of that id.
        """
        conversation = await self._new(conversation_id)
        await conversation.restore(records, blobs)

    async def _new(self, conversation_id: str) -> Conversation:
        if conversation_id in self._open or await self.find(conversation_id) is not None:
            raise LogError(
                f"there is a conversation {conversation_id!r} already", "choose another id"
            )
        conversation = Conversation(self, self._number(), conversation_id, Head())
        conversation.state.version = FOLD_VERSION
        self._open[conversation_id] = conversation
        return conversation

    async def _in_writer(self, job: Job) -> None:
        if self._writer is None:
            raise LogError(f"{self.path} is open for reading only")
        done = self._loop.create_future()

        def run(connection: sqlite3.Connection) -> None:
            error: LogError | None = None
            try:
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    job(connection)
            except sqlite3.Error as failure:
                error = explain(failure, self.path)
            except LogError as failure:
                error = failure
            self._loop.call_soon_threadsafe(done.set_result, error)

        self._flush()
        self._writer.call(run)
        error = await done
        if error is not None:
            raise error

    def _number(self) -> int:
        number = self._next_number
        self._next_number += 1
        return number

    # Reading

    async def find(self, conversation_id: str) -> Listed | None:
        """What a list says of one conversation, deleted ones included."""
        found = await self._in_thread(self._list, "c.id = ?", (conversation_id,), 1)
        return found[0] if found else None

    async def conversations(
        self,
        *,
        states: Sequence[str] = (),
        agent: str = "",
        deleted: bool = False,
        limit: int = PAGE,
    ) -> list[Listed]:
        """Conversations, the latest changed first; those that are deleted only if wanted."""
        where = "c.id NOT LIKE '$%'" + ("" if deleted else " AND c.deleted_us = 0")
        values: list[object] = []
        if states:
            where += f" AND c.state IN ({','.join('?' * len(states))})"
            values += states
        if agent:
            where += " AND c.agent = ?"
            values.append(agent)
        return await self._in_thread(self._list, where, values, limit)

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
        where = ""
        values: list[object] = []
        if kinds:
            where += f" AND kind IN ({','.join('?' * len(kinds))})"
            values += kinds
        if step:
            where += " AND step = ?"
            values.append(step)

        def read() -> list[Record]:
            number = self._number_of(conversation_id)
            return self._read(number, after, before, limit, where, values, newest_first)

        return await self._in_thread(read)

    async def state(self, conversation_id: str, seq: int | None = None) -> st.State:
        """The state at the head, or after event `seq`. Raises LogError if there is no such seq."""
        return await self._in_thread(self._state, conversation_id, seq)

    async def head(self, conversation_id: str) -> Head:
        """Where a conversation's log ends."""

        def find() -> Head:
            number = self._number_of(conversation_id)
            row = self._reader.execute(
                "SELECT seq, hash, updated_us FROM heads WHERE number = ?", (number,)
            ).fetchone()
            return Head(*row)

        return await self._in_thread(find)

    async def request_seq(self, conversation_id: str, request_id: str) -> int | None:
        """The seq of the event that a request has already caused."""

        def find() -> int | None:
            row = self._reader.execute(
                "SELECT e.seq FROM events e JOIN conversations c ON c.number = e.number"
                " WHERE c.id = ? AND e.request_id = ?",
                (conversation_id, request_id),
            ).fetchone()
            return None if row is None else row[0]

        return await self._in_thread(find)

    async def blob(self, digest: bytes) -> bytes:
        """A blob by its SHA-256. Raises LogDamaged if it is missing or isn't what it was."""

        def find() -> bytes:
            row = self._reader.execute(
                "SELECT data FROM blobs WHERE digest = ?", (digest,)
            ).fetchone()
            if row is None or sha256(row[0]).digest() != digest:
                raise LogDamaged(
                    f"blob {digest.hex()[:12]}… of {self.path} is missing or damaged",
                    "`axtui verify` says what else is",
                )
            return bytes(row[0])

        return await self._in_thread(find)

    async def tail(
        self, conversation_id: str, after: int, wake: asyncio.Event | None = None
    ) -> AsyncIterator[list[Record]]:
        """Every event after `after`, those that are there and those to come, each once.

        Who has something of his own to wait for gives `wake`: setting it yields an empty page.
        """
        wake = wake or asyncio.Event()
        watchers = self._watchers.setdefault(conversation_id, set())
        watchers.add(wake)
        try:
            while True:
                wake.clear()
                page = self._recent(conversation_id, after)
                if page is None:
                    page = await self.read(conversation_id, after=after)
                if page:
                    after = page[-1].seq
                yield page
                if page:
                    continue
                if self._failed is not None:
                    raise self._failed
                if self._writer is None:
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    await wake.wait()
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

    # In the reader's thread

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        def guarded() -> T:
            try:
                return function(*args)
            except (sqlite3.Error, DecodeError) as error:
                raise explain(error, self.path) from None

        return await self._loop.run_in_executor(self._read_thread, guarded)

    def _number_of(self, conversation_id: str) -> int:
        row = self._reader.execute(
            "SELECT number FROM conversations WHERE id = ?", (conversation_id,)
        ).fetchone()
        if row is None:
            raise UnknownConversation(conversation_id)
        return int(row[0])

    def _list(self, where: str, values: Sequence[object], limit: int) -> list[Listed]:
        rows = self._reader.execute(
            f"SELECT {_SUMMARY} FROM conversations c JOIN heads h ON h.number = c.number"
            f" WHERE {where} ORDER BY h.updated_us DESC, c.number DESC LIMIT ?",
            (*values, limit),
        )
        return [Listed(Summary(*row[:10]), row[10], row[11]) for row in rows]

    def _load(self, conversation_id: str) -> tuple[int, Head, st.State] | None:
        row = self._reader.execute(
            "SELECT c.number, h.seq, h.hash, h.updated_us FROM conversations c"
            " JOIN heads h ON h.number = c.number WHERE c.id = ?",
            (conversation_id,),
        ).fetchone()
        if row is None:
            return None
        return row[0], Head(*row[1:]), self._state(conversation_id, row[1])

    def _state(self, conversation_id: str, seq: int | None) -> st.State:
        number = self._number_of(conversation_id)
        head = self._reader.execute("SELECT seq FROM heads WHERE number = ?", (number,))
        last = head.fetchone()[0]
        wanted = last if seq is None else seq
        if not 1 <= wanted <= last:
            raise LogError(
                f"conversation {conversation_id} has no event {wanted}", f"its last is {last}"
            )
        state = self._keyframe(segments(self._reader, number), wanted)
        while state.seq < wanted:
            page = self._read(number, state.seq, wanted + 1, PAGE, "", (), False)
            if not page:
                raise _missing(self.path, conversation_id, state.seq + 1)
            for record in page:
                apply(state, record.event())
        return state

    def _keyframe(self, parts: Sequence[Segment], wanted: int) -> st.State:
        for part in reversed(parts):
            row = self._reader.execute(
                "SELECT state FROM keyframes WHERE number = ? AND seq > ? AND seq <= ?"
                " AND fold_version = ? ORDER BY seq DESC LIMIT 1",
                (part.number, part.after, min(part.end, wanted), FOLD_VERSION),
            ).fetchone()
            if row is not None:
                return st.State.FromString(row[0])
        return st.State(version=FOLD_VERSION)

    def _read(
        self,
        number: int,
        after: int,
        before: int | None,
        limit: int,
        where: str,
        values: Sequence[object],
        newest_first: bool,
    ) -> list[Record]:
        parts = segments(self._reader, number)
        found: list[Record] = []
        for part in reversed(parts) if newest_first else parts:
            end = part.end if before is None else min(part.end, before - 1)
            rows = self._reader.execute(
                "SELECT seq, kind, envelope, payload FROM events WHERE number = ? AND seq > ?"
                f" AND seq <= ? {where} ORDER BY seq {'DESC' if newest_first else ''} LIMIT ?",
                (part.number, max(after, part.after), end, *values, limit - len(found)),
            )
            found.extend(Record(*row) for row in rows)
        if not where:
            self._check_gapless(number, found, after, newest_first)
        return found

    def _check_gapless(
        self, number: int, found: Sequence[Record], after: int, newest_first: bool
    ) -> None:
        step = -1 if newest_first else 1
        previous = found[0].seq - step if newest_first and found else after
        for record in found:
            if record.seq != previous + step:
                raise _missing(self.path, f"number {number}", previous + step)
            previous = record.seq


def _missing(path: Path, conversation: str, seq: int) -> LogDamaged:
    return LogDamaged(
        f"event {seq} of conversation {conversation} is missing from {path}",
        "`axtui verify` says what else is",
    )


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
