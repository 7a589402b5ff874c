"""What is searched for in conversations, what of an event can be found, and what is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from axtui.model.codec import load_json
from axtui.model.events import payload_of, text_of
from axtui.v1 import event_pb2 as pb

FOUND = 50
MAX_FOUND = 1000
MAX_QUERY = 1000
MAX_TERMS = 32
# Of one event; what comes behind isn't found.
MAX_TEXT = 64 * 1024
_TERM = re.compile(r'"([^"]*)(?:"(\*?)|$)|([^\s"]+)')
_ESCAPED = re.compile(r"\\(?:[nrtbf]|u[0-9a-fA-F]{4})")


class Hit(NamedTuple):
    """An event in which all that was searched for occurs.

    `excerpt` is one line of it; `marks` are the places in that line, as (start, end). `internal` is
    for a message that only its own agent sees.
    """

    conversation_id: str
    seq: int
    kind: str
    actor: str
    time_us: int
    excerpt: str
    marks: tuple[tuple[int, int], ...] = ()
    internal: bool = False


class Found(NamedTuple):
    """What a search has come to: with events `left` to be read first, there are no hits yet."""

    hits: list[Hit]
    left: int = 0


class Term(NamedTuple):
    """Words that occur one behind the other; of the last maybe only its beginning."""

    words: str
    is_prefix: bool


def terms(text: str) -> list[Term]:
    """What a person means who types `text`: words, "phrases", and beginnings*.

    Raises ValueError if there is nothing in it that could be found, or too much.
    """
    if len(text) > MAX_QUERY:
        raise ValueError(f"a search takes at most {MAX_QUERY:,} characters")
    found = []
    for phrase, star, word in _TERM.findall(text):
        term = Term(phrase or word.rstrip("*"), bool(star) or word.endswith("*"))
        if any(map(str.isalnum, term.words)):
            found.append(term)
    if not found:
        raise ValueError(f"there is no word in {text!r}: letters and digits are what is found")
    if len(found) > MAX_TERMS:
        raise ValueError(f"a search takes at most {MAX_TERMS} words")
    return found


def searchable(event: pb.Event) -> str:
    """What can be found of an event; nothing of most. Of blobs it is the preview."""
    return "\n".join(_texts(event))[:MAX_TEXT]


def _texts(event: pb.Event) -> Iterator[str]:
    payload = payload_of(event)
    match payload:
        case pb.Message():
            for part in payload.content:
                yield text_of(part.thought if part.HasField("thought") else part.text)
        case pb.StepStarted():
            yield payload.name
            yield _said(payload.arguments)
        case pb.StepCompleted():
            yield _said(payload.result)
        case pb.StepFailed() | pb.RunFailed():
            yield payload.error.message
            yield payload.error.detail
        case pb.ApprovalRequested():
            yield payload.question
            yield payload.subject
            yield _said(payload.detail)
            yield text_of(payload.diff)
        case pb.ApprovalAnswered():
            yield payload.choice
            yield payload.text
            yield _said(payload.edited)
        case pb.Note():
            yield payload.text


def _said(data: pb.Data) -> str:
    """The words of a JSON value, without the marks and escapes around them."""
    text = text_of(data)
    try:
        return "\n".join(_words(load_json(text)))
    except (ValueError, RecursionError):
        # Only the beginning of what is kept elsewhere.
        return _ESCAPED.sub(" ", text)


def _words(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
    elif value is not None:
        yield str(value)
