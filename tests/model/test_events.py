"""Events as bytes, and identifiers."""

import time
import uuid
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axtui.model.events import (
    PAYLOAD_TYPES,
    Draft,
    Head,
    Record,
    blobs_of,
    envelope_hash,
    kind_of,
    message_text,
    payload_of,
    seal,
    user_message,
)
from axtui.model.ids import new_id
from axtui.v1 import event_pb2 as pb

from .strategies import TEXT, payloads

HEADS = st.builds(
    Head, seq=st.integers(0, 2**62), hash=st.binary(max_size=32), time_us=st.integers(0, 2**60)
)
DRAFTS = st.builds(
    Draft,
    payload=payloads(),
    exec_id=TEXT,
    actor=TEXT,
    principal=TEXT,
    request_id=TEXT,
    edited_from=st.integers(0, 2**62),
)


@given(DRAFTS, TEXT, HEADS, st.integers(0, 2**60))
def test_sealed_bytes_are_the_event(draft, conversation_id, head, now_us):
    record, event = seal(draft, conversation_id, head, now_us)
    assert record.event() == event == pb.Event.FromString(record.envelope + record.payload)
    assert payload_of(event) == draft.payload
    assert (
        (record.seq, record.kind)
        == (event.seq, event.kind)
        == (head.seq + 1, kind_of(draft.payload))
    )
    assert event.time_us == max(now_us, head.time_us)
    assert event.prev_hash == head.hash
    assert event.payload_digest == sha256(record.payload).digest()
    assert (event.conversation_id, event.exec_id) == (conversation_id, draft.exec_id)
    assert (event.actor, event.principal) == (draft.actor, draft.principal)
    assert (event.request_id, event.edited_from) == (draft.request_id, draft.edited_from)


@given(DRAFTS)
def test_envelope_and_payload_stand_apart(draft):
    record, event = seal(draft, "c", Head(), 1)
    erased = record._replace(payload=None).event()
    assert payload_of(erased) is None
    assert erased.kind == event.kind
    assert pb.Event.FromString(record.payload).kind == ""
    erased.MergeFromString(record.payload)
    assert erased == event


def test_what_is_sealed_does_not_change_with_its_draft():
    note = pb.Note(text="before")
    record, event = seal(Draft(note), "c", Head(), 1)
    note.text = "after"
    assert event.note.text == record.event().note.text == "before"


def test_each_kind_has_its_own_type():
    assert {kind_of(cls()) for cls in PAYLOAD_TYPES.values()} == set(PAYLOAD_TYPES)
    assert {"message", "note", "run.started", "step.completed", "approval.answered"} <= set(
        PAYLOAD_TYPES
    )


def test_a_kind_of_a_later_version_is_kept():
    # Field 99 is nobody's yet.
    record = Record(
        1,
        "run.teleported",
        pb.Event(seq=1, kind="run.teleported").SerializeToString(),
        b"\x9a\x06\x02hi",
    )
    event = record.event()
    assert payload_of(event) is None
    assert event.SerializeToString() == record.data
    assert envelope_hash(record.envelope) == sha256(record.envelope).digest()


@given(payloads())
def test_blobs_are_found_wherever_they_are(payload):
    record, event = seal(Draft(payload), "c", Head(), 1)
    for digest in blobs_of(event):
        assert digest in record.payload


def test_blobs_in_lists_and_maps():
    blob = [pb.Data(blob=pb.Blob(digest=bytes([n]))) for n in range(4)]
    message = pb.Message(content=[pb.Content(text=blob[0]), pb.Content(thought=blob[1])])
    completed = pb.RunCompleted(output=blob[2], agent_states={"a": blob[3]})
    found = [*blobs_of(message), *blobs_of(completed), *blobs_of(pb.Event(message=message))]
    assert sorted(found) == [b"\0", b"\0", b"\1", b"\1", b"\2", b"\3"]


def test_text_of_a_message_leaves_thoughts_out():
    message = user_message("hello ")
    message.content.add().thought.text = "hm"
    message.content.add().text.blob.preview = "long"
    assert message_text(message) == "hello long…"


class TestIds:
    def test_is_a_uuid_of_version_7(self):
        before = time.time_ns() // 1_000_000
        made = [uuid.UUID(new_id()) for _ in range(100)]
        after = time.time_ns() // 1_000_000
        assert len(set(made)) == 100
        for one in made:
            assert one.version == 7
            assert one.variant == uuid.RFC_4122
            assert before <= one.int >> 80 <= after

    @pytest.mark.parametrize("step_ms", [1, 1000, 10**9])
    def test_sorts_by_time(self, monkeypatch, step_ms):
        now = iter(range(10**18, 10**18 + 50 * step_ms * 10**6, step_ms * 10**6))
        monkeypatch.setattr(time, "time_ns", lambda: next(now))
        made = [new_id() for _ in range(50)]
        assert made == sorted(made)
