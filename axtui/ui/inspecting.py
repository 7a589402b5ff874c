"""All that is to be said of one event, in lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from axtui.model.codec import event_to_json, format_time, load_json
from axtui.model.events import payload_of
from axtui.model.words import printable, size_text, used
from axtui.v1 import event_pb2 as pb

# Of one text; more is for a pager.
MAX_LINES = 5000
MAX_CHARS = 400_000
VIEWS = ("readable", "json")
_DIFF = {"+": "completed", "-": "failed", "@": "running"}


class Line(NamedTuple):
    """A line, what a theme calls its color, and what stands before it in quiet letters."""

    text: str
    style: str = ""
    label: str = ""


def lines_of(event: pb.Event, view: str = "readable") -> list[Line]:
    """An event in full, blobs by their first characters."""
    head = [
        Line(f"#{event.seq} {event.kind}", "strong"),
        Line(f"{format_time(event.time_us)}", "dim"),
        *_named("actor", event.actor),
        *_named("run", event.exec_id),
        *_named("by", event.principal),
        *_named("edited from", str(event.edited_from or "")),
        Line(""),
    ]
    if view == "json":
        text = json.dumps(event_to_json(event), indent=2, ensure_ascii=False)
        return head + text_lines(text)
    payload = payload_of(event)
    if payload is None:
        return [*head, Line("erased by an operator, or of a kind that this version doesn't know")]
    return head + list(_fields(payload))


def text_lines(text: str, style: str = "") -> list[Line]:
    """A text as lines that a terminal doesn't obey, cut off where it is too long for a screen."""
    cut = text[:MAX_CHARS]
    lines = [Line(line.expandtabs(4), style) for line in printable(cut).split("\n")[:MAX_LINES]]
    if len(text) > len(cut) or len(lines) == MAX_LINES:
        lines.append(Line(f"… the whole is {len(text):,} characters long", "waiting"))
    return lines


def _named(name: str, value: str) -> list[Line]:
    return [Line(f"{name:<8} {printable(value)}")] if value else []


def _fields(message: Any, indent: str = "") -> Iterator[Line]:
    for field, value in message.ListFields():
        name = field.name
        if isinstance(value, pb.Usage):
            yield Line(f"{indent}{name}: {used(value)}")
        elif isinstance(value, pb.Data):
            yield from _data(name, value, indent)
        elif isinstance(value, bytes):
            yield Line(f"{indent}{name}: {value.hex()}", "dim")
        elif field.is_repeated and field.message_type is not None and not _is_map(field):
            for part in value:
                yield from _fields(part, indent)
        elif field.message_type is not None and not field.is_repeated:
            yield Line(f"{indent}{name}:", "dim")
            yield from _fields(value, indent + "  ")
        elif _is_map(field):
            for key, part in value.items():
                yield Line(f"{indent}{name} {printable(str(key))}:", "dim")
                if isinstance(part, pb.Data):
                    yield from _data("", part, indent + "  ")
        else:
            words = ", ".join(value) if field.is_repeated else value
            yield from _text(name, str(words), indent)


def _data(name: str, data: pb.Data, indent: str) -> Iterator[Line]:
    if data.HasField("blob"):
        yield Line(
            f"{indent}{name}: {size_text(data.blob.size)}, kept apart; `o` fetches it", "dim"
        )
        yield from text_lines(data.blob.preview + " …")
        return
    if name == "diff":
        yield Line(f"{indent}{name}:", "dim")
        for line in text_lines(data.text):
            yield line._replace(style=_DIFF.get(line.text[:1], ""))
        return
    yield from _text(name, _pretty(data.text), indent)


def _text(name: str, text: str, indent: str) -> Iterator[Line]:
    lines = text_lines(text)
    if len(lines) == 1:
        yield Line(f"{indent}{name}: {lines[0].text}" if name else indent + lines[0].text)
        return
    yield Line(f"{indent}{name}:", "dim")
    for line in lines:
        yield Line(f"{indent}  {line.text}", line.style)


def _pretty(text: str) -> str:
    """JSON as a person reads it best; any other text as it is."""
    if text[:1] not in '{["' or len(text) > MAX_CHARS:
        return text
    try:
        value = load_json(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _is_map(field: Any) -> bool:
    message = field.message_type
    return message is not None and message.GetOptions().map_entry
