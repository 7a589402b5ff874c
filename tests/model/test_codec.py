"""Readable JSON, and the way back."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axtui.model.codec import (
    CodecError,
    dump_json,
    event_to_json,
    format_time,
    load_json,
    message_to_json,
    payload_from_json,
)
from axtui.model.events import PAYLOAD_TYPES, kind_of
from axtui.v1 import event_pb2 as pb

from .strategies import JSON, events, payloads


def result(text):
    return pb.StepCompleted(key="1", result=pb.Data(text=text))


@given(payloads())
@example(result(dump_json({"blob": "not", "size": "a", "preview": "blob"})))
@example(result(dump_json({"inline": {"inline": 1}})))
@example(result(dump_json(2**80)))
@example(pb.Message(content=[pb.Content(text=pb.Data(text='{"not": "parsed"}'))]))
def test_the_way_there_and_back(payload):
    shown = message_to_json(payload)
    assert payload_from_json(kind_of(payload), shown) == payload
    # Also through the text of a file.
    assert payload_from_json(kind_of(payload), json.loads(dump_json(shown))) == payload


@given(events())
def test_any_event_can_be_shown(event):
    shown = event_to_json(event)
    json.dumps(shown)
    dump_json(shown).encode()
    assert shown["kind"] == event.kind


def test_a_kind_of_a_later_version_is_shown_without_data():
    event = pb.Event(conversation_id="c", seq=3, kind="run.teleported", time_us=1_500_000)
    assert event_to_json(event) == {
        "conversation_id": "c",
        "seq": 3,
        "exec_id": "",
        "time": "1970-01-01T00:00:01.500000Z",
        "actor": "",
        "kind": "run.teleported",
        "data": {},
    }


@pytest.mark.parametrize(
    "text",
    ["{", "NaN,", "[" * 100_000, "1" * 5000, "nothing of JSON"],
    ids=["cut", "comma", "deep", "long", "words"],
)
def test_what_is_no_json_is_shown_as_it_is(text):
    assert message_to_json(result(text))["result"] == text


def test_what_is_nested_too_deeply_is_no_json():
    with pytest.raises(ValueError, match="nested too deeply"):
        load_json("[" * 100_000)


@pytest.mark.parametrize("time_us", [2**63 - 1, -(2**63)])
def test_a_time_outside_the_calendar_is_a_number(time_us):
    assert format_time(time_us) == f"{time_us} µs"


def test_numbers_stay_what_they_are():
    shown = message_to_json(result("[1, 1.0, true, 12345678901234567890]"))
    assert [type(item) for item in shown["result"]] == [int, float, bool, int]
    assert dump_json(shown["result"]) == "[1,1.0,true,12345678901234567890]"


@given(JSON)
@example("\ud800")
@example({"\udfff": ["é", "\ud800"]})
def test_json_values_come_back(value):
    text = dump_json(value)
    assert load_json(text) == value
    text.encode()


def test_nothing_is_none():
    assert load_json("") is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", object()])
def test_what_json_has_no_word_for_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        dump_json(value)


@pytest.mark.parametrize(
    ("kind", "data", "where"),
    [
        ("run.teleported", {}, "no kind of event"),
        ("note", {"txt": "x"}, "no field 'txt'"),
        ("note", {"text": 5}, "note.text: expected a text"),
        ("note", {"text": "\ud800"}, "note.text"),
        ("note", [], "note: expected an object"),
        ("step.started", {"attempt": True}, "attempt: expected a whole number"),
        ("step.started", {"attempt": 1.0}, "attempt: expected a whole number"),
        ("step.started", {"attempt": 2**31}, "attempt"),
        ("step.started", {"fingerprint": "zz"}, "fingerprint"),
        ("step.completed", {"skipped": 1}, "skipped: expected a bool"),
        ("step.completed", {"result": float("nan")}, "result"),
        ("step.completed", {"result": {"blob": 1, "size": 1, "preview": ""}}, "digest"),
        ("run.completed", {"agent_states": 5}, "agent_states: expected an object"),
        ("run.failed", {"error": "boom"}, "error: expected an object"),
        ("approval.requested", {"choices": "yes"}, "choices: expected a list"),
        ("approval.requested", {"choices": [1]}, "choices: expected a text"),
        ("message", {"content": {}}, "content: expected a list"),
        ("message", {"content": [{"text": 5}]}, "expected a text"),
        ("message", {"content": ["hello"]}, "expected an object"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(kind, data, where):
    with pytest.raises(CodecError, match=where):
        payload_from_json(kind, data)


@given(
    st.sampled_from(sorted(PAYLOAD_TYPES)),
    st.dictionaries(
        st.sampled_from(
            sorted({f.name for cls in PAYLOAD_TYPES.values() for f in cls.DESCRIPTOR.fields})
        ),
        JSON,
        max_size=3,
    ),
)
def test_nothing_but_a_codec_error_comes_of_any_data(kind, data):
    try:
        payload = payload_from_json(kind, data)
    except CodecError:
        return
    assert kind_of(payload) == kind
