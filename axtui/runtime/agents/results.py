"""What a model is shown of the results of tools: their text, images and other media.

A model is told where in a result a medium stood, and finds it by its number behind the results: no
provider takes media inside of all results.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

# A model is shown that much of a result; the log has the whole.
MAX_RESULT_CHARS = 40_000
# Of all results of a turn. Providers refuse larger images, and whole requests of some more.
MAX_MEDIA = 20
MAX_MEDIA_CHARS = 5_000_000
# What at least one provider takes.
_TAKEN = re.compile(r"image/(png|jpeg|gif|webp)|application/pdf|(audio|video)/.+")

Json = dict[str, Any]


def told(outcomes: Sequence[tuple[Json, Any, bool]]) -> list[Json]:
    """What a message says of calls: for each one the call, its value, and whether that is an error.
    Media that are too many, too large or damaged are left out, and a word in the result says so.
    """
    media: list[Json] = []
    results = [
        {
            "tool_result": {
                "id": call["id"],
                "name": call["name"],
                "content": _shown(value, media),
                "error": error,
            }
        }
        for call, value, error in outcomes
    ]
    behind = [
        part
        for number, medium in enumerate(media, start=1)
        for part in ({"text": f"media {number}:"}, {"media": medium})
    ]
    return [*results, *behind]


def kinds(messages: Sequence[Json]) -> set[str]:
    """The kinds of media in messages, such as "image"."""
    return {
        part["media"]["type"].partition("/")[0]
        for message in messages
        for part in message["content"]
        if "media" in part
    }


def without_media(message: Json, dropped: set[str]) -> Json:
    """The message with a word in place of the media of some kinds."""
    return {**message, "content": [_worded(part, dropped) for part in message["content"]]}


def _worded(part: Json, dropped: set[str]) -> Json:
    if "media" in part and (kind := part["media"]["type"]).partition("/")[0] in dropped:
        return {"text": f"[{kind} left out]"}
    return part


def _shown(value: Any, media: list[Json]) -> Any:
    """A result as the model gets it: in full, unless it is too long. Its media go to `media`."""
    if isinstance(value, dict) and isinstance(value.get("content"), list):
        parts = [_outside(part, media) for part in value["content"]]
        texts = [p["text"] for p in parts if isinstance(p, dict) and isinstance(p.get("text"), str)]
        only_text = len(texts) == len(parts)
        value = "\n".join(texts) if only_text else {**value, "content": parts}
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= MAX_RESULT_CHARS:
        return value
    half = MAX_RESULT_CHARS // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[… {left_out:,} characters left out …]\n{text[-half:]}"


def _outside(part: Any, media: list[Json]) -> Any:
    """The part, or a word in its place if it is a medium; that goes to `media`."""
    match part:
        case {"media": {"type": str(kind), "data": str(data)}} | {
            "resource": {"type": str(kind), "data": str(data)}
        }:
            return {"text": _put(kind, data, media)}
    return part


def _put(kind: str, data: str, media: list[Json]) -> str:
    room = MAX_MEDIA_CHARS - sum(len(medium["data"]) for medium in media)
    if not _TAKEN.fullmatch(kind):
        return f"[{kind or 'binary data'} left out: models don't take it]"
    if len(media) >= MAX_MEDIA:
        return f"[{kind} left out: more than {MAX_MEDIA} media are not shown at once]"
    if len(data) > room:
        return f"[{kind} left out: it is too large to be shown]"
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error:
        return f"[{kind} left out: it is damaged]"
    media.append({"type": kind, "data": data})
    return f"[{kind}, see media {len(media)} below]"
