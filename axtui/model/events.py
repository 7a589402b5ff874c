"""Events: from a payload that somebody wants recorded to the bytes that are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.message import Message

from axtui.v1 import event_pb2 as pb

Payload: TypeAlias = (
    pb.RunStarted
    | pb.RunPaused
    | pb.RunResumed
    | pb.RunCompleted
    | pb.RunFailed
    | pb.RunCanceled
    | pb.Message
    | pb.StepStarted
    | pb.StepCompleted
    | pb.StepFailed
    | pb.ApprovalRequested
    | pb.ApprovalAnswered
    | pb.Note
    | pb.ConversationForked
    | pb.ConversationDeleted
    | pb.ConversationPurged
    | pb.ActorStarted
    | pb.ActorStopped
    | pb.ActorFailed
    | pb.TokenCreated
    | pb.TokenRevoked
)

_FIELDS = [field.name for field in pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields]
_KINDS = {field: field.replace("_", ".", 1) for field in _FIELDS}
PAYLOAD_TYPES: dict[str, type[Any]] = {
    kind: type(getattr(pb.Event(), field)) for field, kind in _KINDS.items()
}
_FIELD_OF_TYPE = {cls: kind.replace(".", "_") for kind, cls in PAYLOAD_TYPES.items()}
TERMINAL_KINDS = frozenset({"run.completed", "run.failed", "run.canceled"})
STEP_KINDS = frozenset(kind for kind in PAYLOAD_TYPES if kind.startswith("step."))


@dataclass(slots=True)
class Draft:
    """An event before it has a place in a log."""

    payload: Payload
    exec_id: str = ""
    actor: str = ""
    principal: str = ""
    request_id: str = ""
    edited_from: int = 0


class Head(NamedTuple):
    """Where a log ends: its last seq, the hash of that envelope, and the time of that event."""

    seq: int = 0
    hash: bytes = b""
    time_us: int = 0


class Record(NamedTuple):
    """A stored event as bytes. `payload` is None once an operator has erased it."""

    seq: int
    kind: str
    envelope: bytes
    payload: bytes | None

    @property
    def data(self) -> bytes:
        """The bytes of the whole `Event`."""
        return self.envelope + (self.payload or b"")

    def event(self) -> pb.Event:
        """The event, parsed. Raises google.protobuf.message.DecodeError on damaged bytes."""
        return pb.Event.FromString(self.data)


def kind_of(payload: Payload) -> str:
    """The kind under which a payload is recorded, such as `step.completed`."""
    return _KINDS[_FIELD_OF_TYPE[type(payload)]]


def payload_of(event: pb.Event) -> Payload | None:
    """The payload; None for a kind of a later version, or an erased one."""
    field = event.WhichOneof("payload")
    return None if field is None else getattr(event, field)


def seal(draft: Draft, conversation_id: str, head: Head, now_us: int) -> tuple[Record, pb.Event]:
    """Give a draft its place after `head`, and encode it: once, for good.

    Time never falls within a conversation, whatever the clock does.
    """
    field = _FIELD_OF_TYPE[type(draft.payload)]
    event = pb.Event(**{field: draft.payload})  # type: ignore[arg-type]
    payload = event.SerializeToString()
    event.conversation_id = conversation_id
    event.seq = head.seq + 1
    event.exec_id = draft.exec_id
    event.time_us = max(now_us, head.time_us)
    event.actor = draft.actor
    event.kind = _KINDS[field]
    event.prev_hash = head.hash
    event.payload_digest = sha256(payload).digest()
    event.principal = draft.principal
    event.request_id = draft.request_id
    event.edited_from = draft.edited_from
    # Fields are serialised in the order of their numbers, so the payload comes last.
    envelope = event.SerializeToString()[: -len(payload)]
    return Record(head.seq + 1, _KINDS[field], envelope, payload), event


def envelope_hash(envelope: bytes) -> bytes:
    """What the next event names as its `prev_hash`."""
    return sha256(envelope).digest()


def blobs_of(message: Message) -> Iterator[bytes]:
    """The digests of the blobs that a message names, wherever in it they are."""
    if isinstance(message, pb.Blob):
        yield message.digest
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            parts = value.values()
        else:
            parts = value if field.is_repeated else (value,)
        for part in parts:
            if isinstance(part, Message):
                yield from blobs_of(part)


def text_of(data: pb.Data) -> str:
    """The text of inline data; of a blob its preview."""
    return data.blob.preview + "…" if data.HasField("blob") else data.text


def message_text(message: pb.Message) -> str:
    """The visible text of a message, thoughts left out."""
    return "".join(text_of(part.text) for part in message.content if part.HasField("text"))


def user_message(text: str) -> pb.Message:
    """What a person says to an agent."""
    return pb.Message(role="user", content=[pb.Content(text=pb.Data(text=text))])
