"""Generated payloads and events, for property tests."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message
from hypothesis import strategies as st

from axtui.model.codec import dump_json
from axtui.model.events import PAYLOAD_TYPES
from axtui.v1 import event_pb2 as pb

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.fixed_dictionaries({"blob": inner, "size": inner, "preview": inner})
        | st.fixed_dictionaries({"inline": inner})
    ),
    max_leaves=8,
)
BLOBS = st.builds(pb.Blob, digest=st.binary(max_size=32), size=INT64, preview=TEXT)
# Few words, so that events meet: an outcome its step, an answer its question.
WORDS: dict[str, st.SearchStrategy[Any]] = {
    "key": st.sampled_from(["", "1", "2", "2/~1/4"]),
    "id": st.sampled_from(["a", "b"]),
    "next": st.sampled_from(["", "end", "retry", "decide"]),
    "type": st.sampled_from(["tool", "agent", "timer", "budget", "permission", "interrupted"]),
    "choice": st.sampled_from(["", "yes", "more"]),
    "subject": st.sampled_from(["", "steps", "seconds", "shell"]),
    "role": st.sampled_from(["user", "assistant"]),
}
_SCALARS = {
    Field.TYPE_STRING: TEXT,
    Field.TYPE_BYTES: st.binary(max_size=8),
    Field.TYPE_BOOL: st.booleans(),
    Field.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    Field.TYPE_INT64: INT64,
}


def data(*, as_text: bool) -> st.SearchStrategy[pb.Data]:
    """Data as it is written: text or JSON, inline or a blob."""
    texts = TEXT if as_text else JSON.map(dump_json)
    return st.builds(pb.Data, text=texts) | st.builds(pb.Data, blob=BLOBS)


@st.composite
def messages(draw: st.DrawFn, cls: type[Message]) -> Message:
    """Any message of a type: each field empty or not."""
    result = cls()
    for field in cls.DESCRIPTOR.fields:
        one = field.containing_oneof
        if draw(st.booleans()) and not (one and result.WhichOneof(one.name)):
            _fill(draw, result, field)
    return result


def _fill(draw: st.DrawFn, message: Message, field: Any) -> None:
    target = getattr(message, field.name)
    if field.message_type is None:
        values = WORDS.get(field.name, _SCALARS[field.type])
        if field.is_repeated:
            target.extend(draw(st.lists(values, max_size=3)))
        else:
            setattr(message, field.name, draw(values))
    elif field.message_type.GetOptions().map_entry:
        for key, value in draw(st.dictionaries(TEXT, data(as_text=False), max_size=2)).items():
            target[key].CopyFrom(value)
    elif field.is_repeated:
        target.extend(draw(st.lists(_message_of(message, field), max_size=2)))
    else:
        target.SetInParent()
        target.CopyFrom(draw(_message_of(message, field)))


def _message_of(message: Message, field: Any) -> st.SearchStrategy[Any]:
    if field.message_type is pb.Data.DESCRIPTOR:
        return data(as_text=isinstance(message, pb.Content))
    return messages(getattr(pb, field.message_type.name))


def payloads() -> st.SearchStrategy[Any]:
    """A payload of any kind."""
    return st.one_of([messages(cls) for cls in PAYLOAD_TYPES.values()])


@st.composite
def events(draw: st.DrawFn) -> pb.Event:
    """Any event: of a known kind, of a later version's, or with its payload erased."""
    kind = draw(st.sampled_from([*PAYLOAD_TYPES, *PAYLOAD_TYPES, "run.teleported"]))
    event = pb.Event(
        conversation_id=draw(TEXT),
        seq=draw(INT64),
        exec_id=draw(TEXT),
        time_us=draw(st.integers(0, 10**6) | INT64),
        actor=draw(st.sampled_from(["", "writer", "shell"])),
        kind=kind,
        principal=draw(TEXT),
    )
    if kind in PAYLOAD_TYPES and draw(st.integers(0, 9)):
        payload = draw(messages(PAYLOAD_TYPES[kind]))
        getattr(event, kind.replace(".", "_")).CopyFrom(payload)
    return event
