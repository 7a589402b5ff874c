"""All that is to be said of one event, in lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from axtui.model.codec import event_to_json, format_time, load_json
from axtui.model.events import Record, envelope_hash, payload_of
from axtui.model.words import printable, size_text, used
from axtui.ui.line import Line
from axtui.ui.rows import event_of
from axtui.v1 import event_pb2 as pb

# Of one text; more is for a pager.
MAX_LINES = 5000
MAX_CHARS = 400_000
# Of the bytes that are stored.
_MAX_RAW = 16 << 10
_RAW_WIDTH = 8
VIEWS = ("readable", "json", "raw")
_DIFF = {"+": "completed", "-": "failed", "@": "running"}
_OUTSIDE = "`e` opens all of it in $EDITOR, `p` in $PAGER"
_ENDS = {"+++": "strong", "---": "strong"}


# The texts of blobs that were fetched, by digest.
Fetched = Mapping[bytes, str]


def lines_of(record: Record, view: str = "readable", fetched: Fetched | None = None) -> list[Line]:
    """An event in full, as far as it is fit for a screen; blobs that weren't fetched by their
    first characters."""
    event = event_of(record)
    head = [
        Line(f"#{record.seq} {printable(record.kind)}", "strong"),
        Line(format_time(event.time_us), "dim"),
    ]
    if view == "raw":
        return [*head, Line(""), *_raw(record)]
    head += [
        *_named("actor", event.actor),
        *_named("run", event.exec_id),
        *_named("by", event.principal),
        *_named("request", event.request_id),
        *_named(
            "edited", f"in the place of event {event.edited_from}" if event.edited_from else ""
        ),
        *_private(event),
        Line(""),
    ]
    if view == "json":
        return head + text_lines(json.dumps(event_to_json(event), indent=2, ensure_ascii=False))
    payload = payload_of(event)
    if payload is None:
        return [*head, Line(_nothing(record), "dim")]
    return head + list(_fields(payload, fetched or {}))


def whole_text(event: pb.Event, fetched: Fetched) -> str:
    """All that an event says, however long; blobs as they were fetched."""
    payload = payload_of(event)
    found = [f"#{event.seq} {event.kind} {event.actor}"]
    for name, data in datas(payload):
        text = (
            fetched.get(data.blob.digest, data.blob.preview) if data.HasField("blob") else data.text
        )
        found.append(f"{name}:\n{_pretty(text)}" if name else text)
    if len(found) == 1:
        found.append(json.dumps(event_to_json(event), indent=2, ensure_ascii=False))
    return "\n\n".join(found) + "\n"


def datas(message: Any, name: str = "") -> Iterator[tuple[str, pb.Data]]:
    """The texts that a message holds, wherever in it they are, each with its name."""
    if isinstance(message, pb.Data):
        yield name, message
        return
    for field, value in message.ListFields() if message is not None else ():
        if field.message_type is None:
            continue
        if _is_map(field):
            parts = list(value.items())
        else:
            parts = [(field.name, part) for part in (value if field.is_repeated else (value,))]
        for key, part in parts:
            if hasattr(part, "ListFields"):
                yield from datas(part, str(key))


def text_lines(text: str, style: str = "") -> list[Line]:
    """A text as lines that a terminal doesn't obey, cut off where it is too long for a screen."""
    cut = text[:MAX_CHARS]
    lines = [Line(line.expandtabs(4), style) for line in printable(cut).split("\n", MAX_LINES)]
    if len(text) > len(cut) or len(lines) > MAX_LINES:
        del lines[MAX_LINES:]
        lines.append(Line(f"… of {len(text):,} characters; {_OUTSIDE}", "waiting"))
    return lines


def _nothing(record: Record) -> str:
    if record.payload is None:
        return "an operator has erased what it said"
    return "it can't be read: damaged, or of a kind that this version doesn't know"


def _named(name: str, value: str) -> list[Line]:
    return [Line(printable(value), "", f"{name:<8}")] if value else []


def _private(event: pb.Event) -> list[Line]:
    private = event.message.internal_only
    return (
        [Line("private: nobody but the agent that wrote it is told", "waiting")] if private else []
    )


def _raw(record: Record) -> Iterator[Line]:
    data = record.data
    yield Line(envelope_hash(record.envelope).hex(), "", "hash    ")
    yield Line(event_of(record).prev_hash.hex() or "none", "", "before  ")
    stored = f"{size_text(len(record.envelope))} envelope, {size_text(len(record.payload or b''))}"
    yield Line(f"{stored} payload", "", "stored  ")
    yield Line("")
    for start in range(0, min(len(data), _MAX_RAW), _RAW_WIDTH):
        part = data[start : start + _RAW_WIDTH]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in part)
        yield Line(f"{part.hex(' '):<{_RAW_WIDTH * 3}} {letters}", "", f"{start:05x}  ")
    if len(data) > _MAX_RAW:
        yield Line(f"… of {size_text(len(data))}; `axtui export` has all of it", "waiting")


def _fields(message: Any, fetched: Fetched, indent: str = "") -> Iterator[Line]:
    for field, value in message.ListFields():
        name = field.name
        if isinstance(value, pb.Usage):
            yield Line(used(value), "", f"{indent}{name}: ")
        elif isinstance(value, pb.Data):
            yield from _data(name, value, indent, fetched)
        elif isinstance(value, bytes):
            yield Line(value.hex(), "dim", f"{indent}{name}: ")
        elif _is_map(field):
            for key, part in value.items():
                yield from _data(f"{name} {printable(str(key))}", part, indent, fetched)
        elif field.message_type is not None and field.is_repeated:
            for part in value:
                yield from _fields(part, fetched, indent)
        elif field.message_type is not None:
            yield Line(f"{indent}{name}:", "dim")
            yield from _fields(value, fetched, indent + "  ")
        else:
            words = ", ".join(map(str, value)) if field.is_repeated else str(value)
            yield from _text(name, words, indent)


def _data(name: str, data: pb.Data, indent: str, fetched: Fetched) -> Iterator[Line]:
    text = data.text
    if data.HasField("blob"):
        blob = data.blob
        text = fetched.get(blob.digest, "")
        if not text:
            yield Line(
                f"{size_text(blob.size)}, kept apart; `o` fetches it", "waiting", f"{name}: "
            )
            yield from text_lines(blob.preview + " …")
            return
    if name == "diff":
        yield Line(f"{indent}{name}:", "dim")
        for line in text_lines(text):
            style = _ENDS.get(line.text[:3]) or _DIFF.get(line.text[:1], line.style)
            yield line._replace(style=style)
    else:
        yield from _text(name, _pretty(text), indent)
    if data.HasField("blob") and len(text) < data.blob.size // 4:
        yield Line(f"… of {size_text(data.blob.size)}; {_OUTSIDE}", "waiting")


def _text(name: str, text: str, indent: str) -> Iterator[Line]:
    lines = text_lines(text)
    if len(lines) == 1:
        yield lines[0]._replace(label=f"{indent}{name}: ")
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
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _is_map(field: Any) -> bool:
    message = field.message_type
    return message is not None and message.GetOptions().map_entry
