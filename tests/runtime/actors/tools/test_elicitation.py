"""What a server wants to know in the middle of a call, as a question to a person."""

from __future__ import annotations

from typing import Any

import pytest

from axtui.runtime.actors.tools.elicitation import MAX_CHOICES, MAX_TEXT, question, reply


def asked(properties: Any, message: str = "Which?") -> dict[str, Any]:
    return {"message": message, "schema": {"type": "object", "properties": properties}}


@pytest.mark.parametrize(
    ("field", "answer", "content"),
    [
        ({"type": "boolean"}, "true", True),
        ({"enum": ["red", "blue"]}, "blue", "blue"),
        ({"type": "string", "enum": ["1", "2"]}, "2", "2"),
        ({"type": "integer", "enum": [1, 2]}, "2", 2),
    ],
)
def test_choices(field: dict[str, Any], answer: str, content: Any) -> None:
    put = question("s.tool", asked({"it": field}))
    assert put.text == "s.tool asks: Which?"
    assert answer in put.choices
    assert put.choices[-1] == "decline"
    assert reply(asked({"it": field}), answer) == {"action": "accept", "content": {"it": content}}
    assert reply(asked({"it": field}), "decline") == {"action": "decline"}


@pytest.mark.parametrize("properties", [None, [], "it", 5, {}, {"it": 5}, {"it": None}])
def test_nothing_to_fill_in(properties: Any) -> None:
    put = question("s.tool", asked(properties))
    assert (put.choices, put.about) == (("accept", "decline"), None)
    assert reply(asked(properties), "accept") == {"action": "accept"}


@pytest.mark.parametrize(
    "listed",
    [
        *(5, "text", {"a": 1}, [], ["accept", "decline"]),
        *([*range(MAX_CHOICES + 1)], ["x" * (MAX_TEXT + 1)]),
    ],
    ids=["number", "text", "mapping", "empty", "decline", "many", "long"],
)
def test_choices_that_cannot_be_put_as_such(listed: Any) -> None:
    put = question("s.tool", asked({"it": {"enum": listed}}))
    assert put.choices == ()
    assert put.text == "s.tool asks: Which? (a JSON object, or 'decline')"


def test_a_long_message_is_cut() -> None:
    assert len(question("s.tool", asked({}, "x" * 10_000_000)).text) < MAX_TEXT + 100
