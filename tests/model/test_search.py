"""What people mean by what they type, and what of an event can be found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axtui.model.events import Draft, Head, Payload, seal
from axtui.model.search import MAX_QUERY, MAX_TERMS, MAX_TEXT, Term, searchable, terms
from axtui.v1 import event_pb2 as pb


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("one two", [("one", False), ("two", False)]),
        ('say "hello there" now', [("say", False), ("hello there", False), ("now", False)]),
        ("begin* end", [("begin", True), ("end", False)]),
        ('"hello wor"*', [("hello wor", True)]),
        ('"never closed', [("never closed", False)]),
        ('a"b"c', [("a", False), ("b", False), ("c", False)]),
        ("c++ -- '", [("c++", False)]),
        ("* ** x", [("x", False)]),
        ("foo.bar", [("foo.bar", False)]),
        ("AND NOT near(", [("AND", False), ("NOT", False), ("near(", False)]),
    ],
)
def test_what_is_typed(text: str, wanted: list[tuple[str, bool]]) -> None:
    assert terms(text) == [Term(*term) for term in wanted]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no word"),
        ('" "', "no word"),
        ("--- ***", "no word"),
        ("x" * (MAX_QUERY + 1), "at most 1,000 characters"),
        ("x " * (MAX_TERMS + 1), "at most 32 words"),
    ],
)
def test_what_nothing_can_be_found_by(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        terms(text)


@given(st.text())
def test_whatever_is_typed_has_words_or_is_refused(text: str) -> None:
    try:
        found = terms(text)
    except ValueError:
        return
    assert all('"' not in term.words and any(map(str.isalnum, term.words)) for term in found)


def data(text: str) -> pb.Data:
    return pb.Data(text=text)


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (
            pb.Message(content=[pb.Content(text=data("a")), pb.Content(thought=data("b"))]),
            "a b",
        ),
        (
            pb.StepStarted(name="shell", arguments=data('{"command": "a\\nb \\u00e9", "n": [1]}')),
            "shell command a b é n 1",
        ),
        (pb.StepCompleted(result=data('"one\\ttwo"')), "one two"),
        (
            pb.StepCompleted(result=pb.Data(blob=pb.Blob(preview='{"out": "a\\nb'))),
            '{"out": "a b…',
        ),
        (pb.StepFailed(error=pb.Error(message="no", detail="why")), "no why"),
        (pb.RunFailed(error=pb.Error(message="no")), "no"),
        (
            pb.ApprovalRequested(
                question="May it?", subject="rm", detail=data('["x"]'), diff=data("+ y")
            ),
            "May it? rm x + y",
        ),
        (pb.ApprovalAnswered(choice="deny", text="because"), "deny because"),
        (pb.Note(text="note"), "note"),
        (pb.RunStarted(agent="writer"), ""),
        (pb.StepCompleted(result=data("[" * 100_000)), "[" * MAX_TEXT),
    ],
)
def test_what_can_be_found(payload: Payload, wanted: str) -> None:
    event = seal(Draft(payload), "c", Head(), 1)[1]
    assert " ".join(searchable(event).split()) == wanted
