"""The write side of one conversation: where events get their seq, their bytes and their fold."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Protocol, TypeAlias

from axtui.model.events import (
    STEP_KINDS,
    Draft,
    Head,
    Record,
    blobs_of,
    envelope_hash,
    seal,
)
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


# An event as the store has it, column by column: number, seq, kind, envelope, payload. It is made
# for every event, at a third of the price of a named tuple.
Row: TypeAlias = tuple[int, int, str, bytes, bytes | None]


class Append(Commit):
    """One append on its way to the disk, and what the store is told with it."""

    __slots__ = (
        "blob_refs",
        "blobs",
        "conversation",
        "head",
        "keyframes",
        "requests",
        "rows",
        "summary",
    )

    def __init__(self, conversation: Conversation, blobs: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__([])
        self.conversation = conversation
        self.head = conversation.head
        self.rows: list[Row] = []
        self.blobs = blobs
        self.blob_refs: list[tuple[int, bytes]] = []
        self.requests: list[tuple[str, int]] = []
        self.summary: Summary | None = None
        self.keyframes: list[tuple[int, bytes]] = []

    def add(self, record: Record, event: pb.Event) -> None:
        """Take one more event."""
        conversation = self.conversation
        # What an imported fork has of its source was requested there, not here.
        if event.request_id and event.conversation_id == conversation.id:
            self.requests.append((event.request_id, event.seq))
        self.records.append(record)
        self.rows.append((conversation.number, *record))
        self.head = Head(record.seq, envelope_hash(record.envelope), event.time_us)


class Sink(Protocol):
    """Where appends go: a store's queue, which commits them in order."""

    def submit(self, append: Append) -> None:
        """Take an append. Raises LogFailed or LeaseLost if the store takes no more."""
        ...


class Conversation:
    """Head, state and pending writes of a conversation that this process writes.

    `state` is another object after some appends: who awaits anything has to look again.
    """

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
        data, blob = stored(text)
        if blob is not None:
            self._blobs.append((data.blob.digest, blob))
        return data

    def append(self, *drafts: Draft) -> Commit:
        """Put events behind the head. They count once the commit that is returned is awaited."""
        if not drafts:
            return _nothing()
        now_us = time.time_ns() // 1000
        blobs, self._blobs = self._blobs, []
        append = Append(self, blobs)
        events = []
        for draft in drafts:
            record, event = seal(draft, self.id, append.head, now_us)
            append.add(record, event)
            events.append(event)
        # An edited event may name blobs of the one that it stands in for.
        if blobs or drafts[-1].edited_from:
            append.blob_refs = _blob_refs(events)
        self._submit(append, events)
        return append

    def restore(self, records: Iterable[Record], blobs: Sequence[tuple[bytes, bytes]]) -> Commit:
        """Put records that were exported behind the head, byte for byte, in one transaction."""
        append = Append(self, blobs)
        events = []
        for record in records:
            event = record.event()
            append.add(record, event)
            events.append(event)
        append.blob_refs = _blob_refs(events)
        self._submit(append, events)
        return append

    def _submit(self, append: Append, events: Sequence[pb.Event]) -> None:
        self._sink.submit(append)
        self.head = append.head
        self.last_commit = append
        for event in events:
            apply(self.state, event)
            if event.seq - self.keyframe_seq >= KEYFRAME_EVERY:
                append.keyframes.append(self._keyframe())
        if self._may_change_summary(events):
            summary = summarise(self.state)
            if summary != self.summary:
                self.summary = append.summary = summary
        for listener in tuple(self.on_append):
            for event in events:
                listener(event)

    def _keyframe(self) -> tuple[int, bytes]:
        data = self.state.SerializeToString()
        # What a message of protobuf has dropped takes memory for as long as it is there itself.
        self.state = st.State.FromString(data)
        self.keyframe_seq = self.state.seq
        return self.state.seq, data

    def _may_change_summary(self, events: Sequence[pb.Event]) -> bool:
        # Nearly all events are of steps of a run that runs, and change nothing that a list shows.
        if self.summary is None or self.summary.state == "pending" or self.state.questions:
            return True
        return any(
            event.kind not in STEP_KINDS
            or (event.kind == "step.completed" and event.step_completed.HasField("usage"))
            for event in events
        )

    def committed(self, append: Append) -> None:
        """For the store: these records are on disk, and may be told."""
        self.recent.extend(append.records)
        self.committed_seq = append.head.seq


def stored(text: str) -> tuple[pb.Data, bytes | None]:
    """`text` as an event has it, and the blob that it refers to, if it does. See
    `Conversation.data`."""
    if len(text) <= INLINE_LIMIT // 4 and text.isascii():
        return pb.Data(text=text), None
    encoded = text.encode(errors="replace")
    text = encoded.decode()
    if len(encoded) <= INLINE_LIMIT:
        return pb.Data(text=text), None
    if len(encoded) > BLOB_LIMIT:
        raise ValueError(f"{len(encoded):,} bytes are more than the {BLOB_LIMIT:,} a log takes")
    blob = pb.Blob(
        digest=sha256(encoded).digest(), size=len(encoded), preview=text[:_PREVIEW_CHARS]
    )
    return pb.Data(blob=blob), encoded


def _blob_refs(events: Iterable[pb.Event]) -> list[tuple[int, bytes]]:
    return [(event.seq, digest) for event in events for digest in blobs_of(event)]


def _nothing() -> Commit:
    commit = Commit([])
    commit.resolve(None)
    return commit
