"""What a server hands back, as parts of plain JSON, and bounded.

A part is {"text"}, {"media": {"type", "data"}} with base64 data, or {"resource": {"uri", "type"}}
with a "text", with base64 "data", or, where it's a link, with its "name".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from axtui.runtime.actors.cut import beginning, ending

# Of text and media together, in characters.
MAX_RESULT = 16 << 20
MAX_PARTS = 1_000
# Of a name, an address or a type.
MAX_NAME = 1_000

Part = dict[str, Any]


def result_of(result: CallToolResult, max_text: int) -> dict[str, Any]:
    """The result of a tool: {"content": parts, "structured"?: JSON, "error": bool}.

    Of texts that are longer together than `max_text` characters the middle is left out, and so
    are structured content of that length and media beyond `MAX_RESULT`; a line says so.
    """
    found: dict[str, Any] = {"content": parts_of(result.content, max_text)}
    if result.structured_content is not None:
        size = len(json.dumps(result.structured_content))
        if size <= max_text:
            found["structured"] = result.structured_content
        elif not result.content:
            found["content"].append(_note(f"structured content of {size:,} characters"))
    found["error"] = result.is_error
    return found


def parts_of(content: Sequence[ContentBlock], max_text: int) -> list[Part]:
    """The content as parts, within the limits of `result_of`."""
    parts = [_part(block) for block in content[:MAX_PARTS]]
    if len(content) > MAX_PARTS:
        parts.append(_note(f"{len(content) - MAX_PARTS:,} more parts"))
    return bounded(parts, max_text)


def contents_of(contents: Sequence[TextResourceContents | BlobResourceContents]) -> list[Part]:
    """What a resource holds, as parts."""
    return [_resource(held) for held in contents[:MAX_PARTS]]


def bounded(parts: list[Part], max_text: int) -> list[Part]:
    """The parts with the middle of their text left out, and the media that are too much."""
    texts = [holder for part in parts if "text" in (holder := part.get("resource", part))]
    length = sum(len(holder["text"]) for holder in texts)
    if length > max_text:
        _cut(texts, max_text - max_text // 2, length - max_text // 2)
    left = MAX_RESULT - min(length, max_text)
    kept = []
    for part in parts:
        holder = part.get("media") or part.get("resource") or {}
        left -= len(holder.get("data", ""))
        if left < 0 and "data" in holder:
            part = _note(f"{holder['type']} of {len(holder['data']):,} characters")
        kept.append(part)
    return kept


def _cut(texts: list[dict[str, Any]], begin: int, end: int) -> None:
    """Take what is from `begin` to `end` out of the texts, which are counted as one, with the words
    that it begins and ends in."""
    at, holders, left_out = 0, [], 0
    for holder in texts:
        text = holder["text"]
        start, stop = (min(max(edge - at, 0), len(text)) for edge in (begin, end))
        at += len(text)
        if start < stop:
            first = beginning(text[:start]) if start else ""
            last = ending(text[stop:])
            left_out += len(text) - len(first) - len(last)
            holders.append((holder, first, last))
    note = f"\n[… {left_out:,} characters left out …]\n"
    for holder, first, last in holders:
        holder["text"] = first + note + last
        note = ""


def _note(what: str) -> Part:
    return {"text": f"[… {what} left out …]"}


def _part(block: ContentBlock) -> Part:
    match block:
        case TextContent():
            return {"text": block.text}
        case ImageContent() | AudioContent():
            return {"media": {"type": _short(block.mime_type), "data": block.data}}
        case EmbeddedResource():
            return _resource(block.resource)
        case ResourceLink():
            name = _short(block.title or block.name)
            return {"resource": {**_about(block.uri, block.mime_type), "name": name}}


def _resource(held: TextResourceContents | BlobResourceContents) -> Part:
    resource = _about(held.uri, held.mime_type)
    if isinstance(held, TextResourceContents):
        return {"resource": {**resource, "text": held.text}}
    return {"resource": {**resource, "data": held.blob}}


def _about(uri: str, kind: str | None) -> dict[str, str]:
    return {"uri": _short(uri), "type": _short(kind or "")}


def _short(text: str) -> str:
    return text if len(text) <= MAX_NAME else text[:MAX_NAME] + "…"
