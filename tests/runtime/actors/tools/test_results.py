"""What is made of results: every kind of content, and how much of it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult, TextContent

from axtui.runtime.actors.tools import results
from axtui.runtime.actors.tools.results import MAX_PARTS, bounded, result_of

from .conftest import Caller, unruly

_NOTE = re.compile(r"\n\[… ([\d,]+) characters left out …\]\n")


def made_of(*content: dict[str, Any], limit: int = 100, **more: Any) -> dict[str, Any]:
    return result_of(CallToolResult.model_validate({"content": content, **more}), limit)


def test_every_kind_of_content() -> None:
    data = b64encode(b"data").decode()
    found = made_of(
        {"type": "text", "text": "hello"},
        {"type": "image", "data": data, "mimeType": "image/png"},
        {"type": "audio", "data": data, "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "a:b", "mimeType": "text/csv", "text": "1,2"}},
        {"type": "resource", "resource": {"uri": "a:c", "blob": data}},
        {"type": "resource_link", "uri": "a:d", "name": "d", "mimeType": "text/html"},
        structuredContent=[1],
    )
    assert found == {
        "content": [
            {"text": "hello"},
            {"media": {"type": "image/png", "data": data}},
            {"media": {"type": "audio/wav", "data": data}},
            {"resource": {"uri": "a:b", "type": "text/csv", "text": "1,2"}},
            {"resource": {"uri": "a:c", "type": "", "data": data}},
            {"resource": {"uri": "a:d", "type": "text/html", "name": "d"}},
        ],
        "structured": [1],
        "error": False,
    }


def test_a_long_text_loses_its_middle() -> None:
    text = "a " * 40 + " b" * 40
    (part,) = made_of({"type": "text", "text": text}, isError=True)["content"]
    assert part["text"] == "a " * 25 + "\n[… 60 characters left out …]\n" + " b" * 25


def test_no_word_is_cut() -> None:
    """It may be a secret, which nobody knows by a part of it."""
    text = f"begin {'s' * 80} middle {'s' * 80} end"
    (part,) = made_of({"type": "text", "text": text})["content"]
    assert part["text"] == "begin \n[… 168 characters left out …]\n end"
    contents = [{"type": "text", "text": f"begin {'s' * 80}"}, {"type": "text", "text": "s" * 90}]
    texts = [part["text"] for part in made_of(*contents)["content"]]
    assert texts == ["begin \n[… 170 characters left out …]\n", ""]


def test_long_texts_are_counted_as_one() -> None:
    contents = [{"type": "text", "text": f" {letter} " * 13} for letter in "abcde"]
    texts = [part["text"] for part in made_of(*contents)["content"]]
    note = "\n[… 97 characters left out …]\n"
    assert texts == [" a " * 13, " b " * 3 + " " + note, "", " " + " d " * 3, " e " * 13]


@given(st.lists(st.text(max_size=20), max_size=8), st.integers(1, 60))
def test_what_is_kept_is_the_beginning_and_the_end(texts: list[str], limit: int) -> None:
    whole = "".join(texts)
    kept = "".join(part["text"] for part in bounded([{"text": text} for text in texts], limit))
    if len(whole) <= limit:
        assert kept == whole
    else:
        found = _NOTE.search(kept)
        assert found
        head, tail = kept[: found.start()], kept[found.end() :]
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert (
            int(found[1].replace(",", ""))
            == len(whole) - len(head) - len(tail)
            >= len(whole) - limit
        )


def test_much_structured_content_is_left_out() -> None:
    found = made_of(structuredContent={"a": "b" * 100})
    assert found["content"] == [{"text": "[… structured content of 109 characters left out …]"}]
    assert "structured" not in found
    found = made_of({"type": "text", "text": "enough"}, structuredContent={"a": "b" * 100})
    assert found == {"content": [{"text": "enough"}], "error": False}


def test_media_that_are_too_much_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_RESULT", 1000)
    image = {"type": "image", "data": "x" * 600, "mimeType": "image/png"}
    content = made_of({"type": "text", "text": "two"}, image, image)["content"]
    assert content[0] == {"text": "two"}
    assert content[1]["media"]["data"] == "x" * 600
    assert content[2] == {"text": "[… image/png of 600 characters left out …]"}


def test_there_are_only_so_many_parts() -> None:
    content = made_of(*[{"type": "text", "text": ""}] * (MAX_PARTS + 5))["content"]
    assert len(content) == MAX_PARTS + 1
    assert content[-1] == {"text": "[… 5 more parts left out …]"}


def test_the_note_is_all_there_is_of_no_space() -> None:
    content = [TextContent(text="abc")]
    (part,) = result_of(CallToolResult(content=content), 1)["content"]
    assert part["text"] == "\n[… 3 characters left out …]\n"


async def test_by_default_it_is_a_mebi_character(
    start: Callable[..., Caller], tmp_path: Path
) -> None:
    call = start(default=unruly(tmp_path), short=unruly(tmp_path, max_output=10))
    length = 2 << 20
    (part,) = (await call("default.long", length=length))["content"]
    found = _NOTE.search(part["text"])
    assert found
    assert (1 << 20) - 2 <= len(part["text"]) - len(found[0]) <= 1 << 20
    (part,) = (await call("short.long", length=100))["content"]
    assert part["text"] == "a · \n[… 93 characters left out …]\n · z"


def test_names_addresses_and_types_are_cut() -> None:
    long = "x" * (results.MAX_NAME + 1)
    cut = "x" * results.MAX_NAME + "…"
    found = made_of(
        {"type": "image", "data": "", "mimeType": long},
        {"type": "resource", "resource": {"uri": long, "mimeType": long, "text": "1"}},
        {"type": "resource_link", "uri": long, "name": long, "mimeType": long},
    )
    assert found["content"] == [
        {"media": {"type": cut, "data": ""}},
        {"resource": {"uri": cut, "type": cut, "text": "1"}},
        {"resource": {"uri": cut, "type": cut, "name": cut}},
    ]
