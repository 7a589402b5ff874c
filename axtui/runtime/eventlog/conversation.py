"""The write side of one conversation: where events get their seq, their bytes and their fold."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Protocol

from axtui.model.events import Draft, Head, Record, blobs_of, envelope_hash, payload_of, seal
from axtui.model.fold import apply
from axtui.model.summary import Summary, summarise
from axtui.runtime.eventlog.base import Commit
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

KEYFRAME_EVERY = 512
RECENT = 256
INLINE_LIMIT = 32 * 1024
BLOB_LIMIT = 64 * 1024 * 1024
_PREVIEW_CHARS = 200


class Row:
    """What the store is told of one event beside its bytes."""

    __slots__ = ("blobs", "record", "request_id", "step")

    def __init__(self, conversation_id: str, record: Record, event: pb.Event, blobs: bool) -> None:
        payload = payload_of(event)
        self.record = record
        self.step: str | None = getattr(payload, "key", None) or None
        # What an imported fork has of its source was requested there, not here.
        own = event.conversation_id == conversation_id
        self.request_id = event.request_id or None if own else None
        self.blobs = tuple(blobs_of(event)) if blobs else ()


class Append:
    """One append on its way to the disk."""

    __slots__ = ("blobs", "commit", "conversation", "head", "keyframes", "rows", "summary")

    def __init__(
        self,
        conversation: Conversation,
        rows: list[Row],
        head: Head,
        blobs: Sequence[tuple[bytes, bytes]],
    ) -> None:
        self.conversation = conversation
        self.rows = rows
        self.head = head
        self.blobs = blobs
        self.commit = Commit([row.record for row in rows])
        self.summary: Summary | None = None
        self.keyframes: list[tuple[int, bytes]] = []


class Sink(Protocol):
    """Where appends go: a store's queue, which commits them in order."""

    def submit(self, append: Append) -> None:
        """Take an append. Raises LogFailed or LeaseLost if the store takes no more."""
        ...


class Conversation:
    """Head, state and pending writes of a conversation that this process writes."""

    def __init__(self, sink: Sink, number: int, conversation_id: str, head: Head) -> None:
        self._sink = sink
        self.number = number
        self.id = conversation_id
        self.head = head
        self.state = st.State()
        self.parent: tuple[int, int] | None = None
        self.summary: Summary | None = None
        self.keyframe_seq = 0
        self.committed_seq = head.seq
        self.recent: deque[Record] = deque(maxlen=RECENT)
        self.last_commit = _nothing()
        self.on_append: list[Callable[[pb.Event], None]] = []
        self._blobs: list[tuple[bytes, bytes]] = []

    def data(self, text: str) -> pb.Data:
        """`text` to put into an event of the next append: inline or, above the limit, a blob.

        Halves of surrogate pairs, which no UTF-8 can hold, become question marks. Raises
        ValueError above 64 MiB.
        """
        if len(text) <= INLINE_LIMIT // 4 and text.isascii():
            return pb.Data(text=text)
        encoded = text.encode(errors="replace")
        text = encoded.decode()
        if len(encoded) <= INLINE_LIMIT:
            return pb.Data(text=text)
        if len(encoded) > BLOB_LIMIT:
            raise ValueError(f"{len(encoded):,} bytes are more than the {BLOB_LIMIT:,} a log takes")
        digest = sha256(encoded).digest()
        self._blobs.append((digest, encoded))
        return pb.Data(
            blob=pb.Blob(digest=digest, size=len(encoded), preview=text[:_PREVIEW_CHARS])
        )

    def append(self, *drafts: Draft) -> Commit:
        """Put events behind the head. They count once the commit that is returned is awaited."""
        if not drafts:
            return _nothing()
        now_us = time.time_ns() // 1000
        head = self.head
        sealed: list[tuple[Record, pb.Event]] = []
        for draft in drafts:
            record, event = seal(draft, self.id, head, now_us)
            head = Head(record.seq, envelope_hash(record.envelope), event.time_us)
            sealed.append((record, event))
        blobs, self._blobs = self._blobs, []
        # An edited event may name blobs of the one that it stands in for.
        names_blobs = bool(blobs or drafts[-1].edited_from)
        return self._submit(sealed, head, blobs, names_blobs)

    def restore(self, records: Iterable[Record], blobs: Sequence[tuple[bytes, bytes]]) -> Commit:
        """Put records that were exported behind the head, byte for byte, in one transaction."""
        sealed = [(record, record.event()) for record in records]
        record, event = sealed[-1]
        head = Head(record.seq, envelope_hash(record.envelope), event.time_us)
        return self._submit(sealed, head, blobs, True)

    def _submit(
        self,
        sealed: Sequence[tuple[Record, pb.Event]],
        head: Head,
        blobs: Sequence[tuple[bytes, bytes]],
        names_blobs: bool,
    ) -> Commit:
        rows = [Row(self.id, record, event, names_blobs) for record, event in sealed]
        append = Append(self, rows, head, blobs)
        was = self.state.run.state if not self.state.questions else ""
        self._sink.submit(append)
        self.head = head
        self.last_commit = append.commit
        for _, event in sealed:
            apply(self.state, event)
            if event.seq - self.keyframe_seq >= KEYFRAME_EVERY:
                self.keyframe_seq = event.seq
                append.keyframes.append((event.seq, self.state.SerializeToString()))
        if self._may_change_summary(was, sealed):
            summary = summarise(self.state)
            if summary != self.summary:
                self.summary = append.summary = summary
        for listener in tuple(self.on_append):
            for _, event in sealed:
                listener(event)
        return append.commit

    def _may_change_summary(self, was: str, sealed: Sequence[tuple[Record, pb.Event]]) -> bool:
        # Nearly all events are of steps of a run that runs, and change nothing that a list shows.
        if was != "running" or self.state.questions or self.summary is None:
            return True
        return any(not record.kind.startswith("step.") for record, _ in sealed)

    def committed(self, append: Append) -> None:
        """For the store: these records are on disk, and may be told."""
        self.recent.extend(append.commit.records)
        self.committed_seq = append.head.seq


def _nothing() -> Commit:
    commit = Commit([])
    commit.resolve(None)
    return commit
