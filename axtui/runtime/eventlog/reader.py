"""What is asked of a SQLite log, in its reader's thread: every answer from one snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from axtui.model.events import Head, Record, envelope_hash, payload_of
from axtui.model.fold import FOLD_VERSION, apply
from axtui.model.records import Block, portions
from axtui.model.summary import Listed, Summary
from axtui.runtime.eventlog.base import (
    ALL,
    PAGE,
    LogDamaged,
    LogError,
    UnknownConversation,
    UnknownEvent,
)
from axtui.runtime.eventlog.blocks import BLOCK_BYTES, fresh, kinds_in, settled
from axtui.runtime.eventlog.schema import STORE_ERRORS, damaged, explain
from axtui.runtime.eventlog.segments import Segment, segments
from axtui.v1 import state_pb2 as st

_VERIFY = "`axtui verify` says what else is"
_MAX_FAULTS = 100
_SUMMARY = (
    "c.id, c.state, c.agent, c.exec_id, c.title, c.waiting_for, c.created_us, c.parent_id,"
    " c.parent_seq, c.deleted_us, coalesce(c.tokens, 0), coalesce(c.cost_nusd, 0),"
    " coalesce(c.unpriced_calls, 0), h.seq, h.updated_us"
)
_LISTED = (str,) * 6 + (int, str) + (int,) * 7
_HEAD = (int, bytes, int)
_ORPHANS = {
    "there are events of no conversation, under number": (
        "SELECT number FROM (SELECT number FROM blocks UNION SELECT number FROM fresh)"
        " WHERE number NOT IN (SELECT number FROM conversations)"
    ),
    "there is a head of no conversation, under number": (
        "SELECT number FROM heads WHERE number NOT IN (SELECT number FROM conversations)"
    ),
    "no head is on record of conversation": (
        "SELECT id FROM conversations WHERE number NOT IN (SELECT number FROM heads)"
    ),
    "there are events behind the head of conversation": (
        "SELECT id FROM conversations c JOIN heads h USING (number)"
        " WHERE EXISTS (SELECT 1 FROM blocks b WHERE b.number = h.number AND b.last > h.seq)"
        " OR EXISTS (SELECT 1 FROM fresh f WHERE f.number = h.number AND f.seq > h.seq)"
    ),
    "no event keeps the blob": (
        "SELECT lower(hex(digest)) FROM blobs WHERE digest NOT IN (SELECT digest FROM blob_refs)"
    ),
}
_ALL_BLOCKS = "SELECT number, kinds, first, last, records FROM blocks"
T = TypeVar("T")


class Query(NamedTuple):
    """Which of a conversation's events are wanted: after < seq < before."""

    after: int = 0
    before: int | None = None
    limit: int = PAGE
    kinds: Sequence[str] = ()
    step: str = ""
    newest_first: bool = False


class Loaded(NamedTuple):
    """A conversation as it is on disk, at its end or at an earlier event."""

    number: int
    head: Head
    state: st.State
    keyframe_seq: int


class Reader:
    """A connection that only reads. Used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call one of the methods below, all of it on one snapshot. Raises LogError."""
        try:
            self._connection.execute("BEGIN")
            return function(*args)
        except (*STORE_ERRORS, DecodeError) as error:
            raise explain(error, self._path) from None
        except UnicodeEncodeError as error:
            raise LogError(f"{error.object!r} isn't a text that could be in a log") from None
        finally:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def number_of(self, conversation_id: str) -> int:
        """The number that a conversation's rows are under."""
        row = self._connection.execute(
            "SELECT number FROM conversations WHERE id = ?", (conversation_id,)
        ).fetchone()
        if row is None:
            raise UnknownConversation(conversation_id)
        return int(row[0])

    def find(self, conversation_id: str) -> Listed | None:
        """What a list says of one conversation."""
        found = self.listed("c.id = ?", (conversation_id,), 1)
        if not found:
            with suppress(UnknownConversation):
                # Raises LogDamaged: it is there, but not its head.
                self.head(conversation_id)
        return found[0] if found else None

    def listed(self, where: str, values: Sequence[object], limit: int) -> list[Listed]:
        """What a list says of the conversations that a condition holds for."""
        rows = self._connection.execute(
            f"SELECT {_SUMMARY} FROM conversations c JOIN heads h ON h.number = c.number"
            f" WHERE {where} ORDER BY h.updated_us DESC, h.number DESC LIMIT ?",
            (*values, within(limit)),
        )
        return [
            Listed(Summary(*row[:-2]), *row[-2:])
            for row in self._typed(rows, _LISTED, "the list of conversations")
        ]

    def load(self, conversation_id: str, seq: int | None = None) -> Loaded | None:
        """What it takes to write behind a conversation's last event, or behind event `seq`."""
        try:
            number = self.number_of(conversation_id)
        except UnknownConversation:
            return None
        state, keyframe_seq = self._fold(number, conversation_id, seq)
        if seq is None:
            head = self._head(number, conversation_id)
        else:
            found = self._read(number, conversation_id, Query(after=seq - 1, limit=1))
            if not found:
                raise self._missing(conversation_id, seq)
            [record] = found
            head = Head(seq, envelope_hash(record.envelope), state.time_us)
        return Loaded(number, head, state, keyframe_seq)

    def head(self, conversation_id: str) -> Head:
        """Where a conversation's log ends."""
        return self._head(self.number_of(conversation_id), conversation_id)

    def state(self, conversation_id: str, seq: int | None) -> st.State:
        """The state at the head, or after event `seq`."""
        return self._fold(self.number_of(conversation_id), conversation_id, seq)[0]

    def read(self, conversation_id: str, query: Query) -> list[Record]:
        """A page of events."""
        return self._read(self.number_of(conversation_id), conversation_id, query)

    def packed(self, conversation_id: str, after: int, last: int, size: int) -> list[Block]:
        """Events in blocks."""
        found: list[Block] = []
        number = self.number_of(conversation_id)
        after, last = within(after), within(last)
        for part in segments(self._connection, number):
            for block in self._blocks(part.number, max(after, part.after), min(last, part.end)):
                if block.first != after + 1:
                    raise self._missing(conversation_id, after + 1)
                found.append(block)
                after = block.last
                size -= len(block.data)
                if size <= 0:
                    return found
        if after < min(last, self._head(number, conversation_id).seq):
            raise self._missing(conversation_id, after + 1)
        return found

    def request_seq(self, conversation_id: str, request_id: str) -> int | None:
        """The seq of the first event that a request has caused."""
        rows = self._connection.execute(
            "SELECT seq FROM requests WHERE number = ? AND id = ?",
            (self.number_of(conversation_id), request_id),
        )
        for (seq,) in self._typed(rows, (int,), "the seq of a request"):
            return int(seq)
        return None

    def blob(self, digest: bytes) -> bytes:
        """A blob, if it is what it was."""
        row = self._connection.execute(
            "SELECT data FROM blobs WHERE digest = ?", (digest,)
        ).fetchone()
        data = None if row is None else row[0]
        if not isinstance(data, bytes) or sha256(data).digest() != digest:
            raise LogDamaged(
                f"blob {digest.hex()[:12]}… of {self._path} is missing or damaged", _VERIFY
            )
        return data

    def faults(self) -> list[str]:
        """What SQLite itself finds wrong, and rows that belong to nothing."""
        checked = self._connection.execute(f"PRAGMA integrity_check({_MAX_FAULTS})")
        found = [str(what) for (what,) in checked if what != "ok"]
        for what, query in _ORPHANS.items():
            found += [f"{what} {row[0]}" for row in self._connection.execute(query)]
        for number, kinds, *block in self._connection.execute(_ALL_BLOCKS):
            # What isn't sound itself is found where its conversation is read.
            with suppress(DecodeError, TypeError):
                if kinds != kinds_in(Block(*block).records()):
                    found.append(f"events from {block[0]} under number {number} are filed wrongly")
        return found[:_MAX_FAULTS]

    # Below

    def _head(self, number: int, conversation_id: str) -> Head:
        rows = self._connection.execute(
            "SELECT seq, hash, updated_us FROM heads WHERE number = ?", (number,)
        )
        for row in self._typed(rows, _HEAD, f"the head of conversation {conversation_id}"):
            return Head(*row)
        raise LogDamaged(f"the head of conversation {conversation_id} is missing", _VERIFY)

    def _fold(self, number: int, conversation_id: str, seq: int | None) -> tuple[st.State, int]:
        """A state, and the seq of the keyframe that it was made from."""
        last = self._head(number, conversation_id).seq
        wanted = last if seq is None else seq
        if not 1 <= wanted <= last:
            raise UnknownEvent(
                f"conversation {conversation_id} has no event {wanted}", f"its last is {last}"
            )
        state = self._keyframe(segments(self._connection, number), wanted)
        keyframe_seq = state.seq
        while state.seq < wanted:
            page = self._read(number, conversation_id, Query(state.seq, wanted + 1))
            if not page:
                raise self._missing(conversation_id, state.seq + 1)
            for record in page:
                event = record.event()
                if event.seq != record.seq:
                    raise self._missing(conversation_id, record.seq)
                apply(state, event)
        return state, keyframe_seq

    def _keyframe(self, parts: Sequence[Segment], wanted: int) -> st.State:
        for part in reversed(parts):
            rows = self._connection.execute(
                "SELECT seq, state FROM keyframes WHERE number = ? AND seq > ? AND seq <= ?"
                " AND fold_version = ? ORDER BY seq DESC LIMIT 1",
                (part.number, part.after, min(part.end, wanted), FOLD_VERSION),
            )
            for seq, data in self._typed(rows, (int, bytes), "a keyframe"):
                state = st.State.FromString(data)
                if state.seq != seq:
                    raise damaged(self._path, f"keyframe {seq}")
                return state
        return st.State(version=FOLD_VERSION)

    def _read(self, number: int, conversation_id: str, query: Query) -> list[Record]:
        parts = segments(self._connection, number)
        found: list[Record] = []
        after, limit = within(query.after), within(query.limit)
        last = ALL if query.before is None else within(query.before - 1)
        stored = (
            self._stored(part.number, max(after, part.after), min(last, part.end), query)
            for part in (reversed(parts) if query.newest_first else parts)
        )
        for records in chain.from_iterable(stored):
            found += records
            if len(found) >= limit:
                break
        del found[limit:]
        if not query.kinds and not query.step:
            head = self._head(number, conversation_id).seq
            ends = (record.seq for record in found[:1] + found[-1:])
            end = min(last, max(head, after, *ends))
            count = min(limit, end - after)
            wanted = range(after + 1, after + 1 + count)
            if query.newest_first:
                wanted = range(end, end - count, -1)
            self._check_whole(conversation_id, found, wanted)
        return found

    def _stored(self, number: int, after: int, last: int, query: Query) -> Iterator[list[Record]]:
        """What is wanted of the events under a number, some at a time."""
        how: dict[str, Any] = {"kinds": query.kinds, "newest_first": query.newest_first}
        limit = ALL if query.step else within(query.limit)
        span = self._connection, number, after, last
        if query.newest_first:
            yield _chosen(fresh(*span, limit=limit, **how), after, last, query)
        for block in settled(*span, **how):
            records = block.records()
            if query.newest_first:
                records.reverse()
            yield _chosen(records, after, last, query)
        if not query.newest_first:
            yield _chosen(fresh(*span, limit=limit, **how), after, last, query)

    def _blocks(self, number: int, after: int, last: int) -> Iterator[Block]:
        for block in settled(self._connection, number, after, last):
            block.check()
            yield block.within(after, last)
            after = block.last
        while recent := fresh(self._connection, number, after, last, limit=PAGE):
            yield from map(Block.of, portions(recent, BLOCK_BYTES))
            after = recent[-1].seq

    def _check_whole(
        self, conversation_id: str, found: Sequence[Record], wanted: Sequence[int]
    ) -> None:
        seqs = [record.seq for record in found]
        if seqs != list(wanted):
            pairs = zip_longest(seqs, wanted, fillvalue=0)
            raise self._missing(conversation_id, next(w for seq, w in pairs if seq != w))

    def _missing(self, conversation_id: str, seq: int) -> LogDamaged:
        return LogDamaged(
            f"event {seq} of conversation {conversation_id} is missing from {self._path}", _VERIFY
        )

    def _typed(
        self, rows: Iterable[tuple[Any, ...]], shape: tuple[type, ...], what: str
    ) -> Iterator[tuple[Any, ...]]:
        """The rows, each checked: in a damaged file a column may hold any type."""
        for row in rows:
            if tuple(map(type, row)) != shape:
                raise damaged(self._path, what)
            yield row


def _chosen(records: list[Record], after: int, last: int, query: Query) -> list[Record]:
    if query.kinds:
        records = [record for record in records if record.kind in query.kinds]
    if query.step:
        key = query.step.encode()
        records = [r for r in records if key in (r.payload or b"") and _step(r) == query.step]
    return [record for record in records if after < record.seq <= last]


def _step(record: Record) -> str:
    return getattr(payload_of(record.event()), "key", "")


def within(count: int) -> int:
    """`count` as SQLite takes it: below 0 it would be no limit, far above an error."""
    return min(max(count, 0), ALL)
