"""Our neutral form of a conversation, and pydantic-ai's.

A message is `{"role": "user" | "assistant" | "tool", "content": [part, …]}`, a part one of

    {"text": str}
    {"thought": str}
    {"tool_call": {"id", "name", "arguments": {…}}}         "malformed": what came instead of JSON
    {"tool_result": {"id", "name", "content": any JSON, "error": bool}}
    {"media": {"type": "image/png", "data": base64} | {"type", "url"}}

Any part of an assistant's message may have `"opaque": {"provider": …}`: what that provider wants
back as it was, such as the signature of a thought. Nobody else is given it. Logs keep this form for
years, so nothing of a library's is in it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from pydantic_ai import messages as ai
from pydantic_ai.models import Model

from axtui.runtime.actors.models.faults import ModelFault

Json = dict[str, Any]

_URLS: dict[str, type[ai.ImageUrl | ai.AudioUrl | ai.VideoUrl]] = {
    "image": ai.ImageUrl,
    "audio": ai.AudioUrl,
    "video": ai.VideoUrl,
}
# In the place of a text without any words, which Anthropic refuses, wherever it is.
_NOTHING = "[nothing]"
# Where providers count what a model thought, which is a part of its output.
_THOUGHT_TOKENS = ("thoughts_tokens", "reasoning_tokens", "thinking_tokens")


def to_history(messages: list[Json], model: Model, provider: str) -> list[ai.ModelMessage]:
    """What `model` is sent. `provider` is whose opaque data it may have.

    Raises ModelFault("invalid") for what isn't a message.
    """
    history: list[ai.ModelMessage] = []
    # Many models want the roles to take turns, so what is asked between two answers is one message,
    # and so are answers that nothing is asked between.
    asked: list[Json] = []
    answered: list[ai.ModelResponsePart] = []
    for message in messages:
        match message:
            case {"role": "assistant", "content": list(content)}:
                parts = [part for item in content for part in _said(item, model, provider)]
                # Of a thought that led to nothing, since the answer was cut off, providers say that
                # something is missing behind it.
                if any(not isinstance(part, ai.ThinkingPart) for part in parts):
                    history += _request(asked)
                    asked = []
                    answered += parts
            case {"role": "user" | "tool", "content": list(content)}:
                if answered:
                    history.append(_response(answered, model))
                    answered = []
                asked += content
            case _:
                raise _unknown("message", message)
    if answered:
        history.append(_response(answered, model))
    return history + _request(asked)


def from_response(response: ai.ModelResponse, provider: str) -> list[Json]:
    """The parts of an answer. Raises ModelFault("malformed") for a part of a kind that nobody asked
    for, such as code that the provider ran by itself.
    """
    parts = []
    for item in response.parts:
        if isinstance(item, ai.TextPart):
            part: Json = {"text": item.content}
        elif isinstance(item, ai.ThinkingPart):
            part = {"thought": item.content}
        elif isinstance(item, ai.ToolCallPart):
            part = {"tool_call": _tool_call(item)}
        elif isinstance(item, ai.FilePart):
            data = base64.b64encode(item.content.data).decode()
            part = {"media": {"type": item.content.media_type, "data": data}}
        else:
            raise ModelFault("malformed", f"{provider} answered with a {item.part_kind}")
        opaque = {
            "id": item.id,
            "signature": getattr(item, "signature", None),
            "details": item.provider_details,
        }
        opaque = {name: value for name, value in opaque.items() if value}
        if opaque and item.provider_name:
            part["opaque"] = {"provider": provider, **opaque}
        parts.append(part)
    return parts


def usage(response: ai.ModelResponse) -> Json:
    """The tokens used. Empty if the provider didn't say."""
    used = response.usage
    if not used.has_values():
        return {}
    return {
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "cache_read_tokens": used.cache_read_tokens,
        "cache_write_tokens": used.cache_write_tokens,
        "thought_tokens": max(used.details.get(name, 0) for name in _THOUGHT_TOKENS),
    }


def _request(content: list[Json]) -> list[ai.ModelMessage]:
    return [ai.ModelRequest(parts=list(_asked(content)))] if content else []


def _asked(content: list[Json]) -> Iterator[ai.ModelRequestPart]:
    said: list[ai.UserContent] = []
    answers = False
    for part in content:
        match part:
            case {"text": str(text)}:
                if text.strip():
                    said.append(text)
            case {"media": {"type": str(kind), "data": str(data)}}:
                said.append(ai.BinaryContent(_decoded(data, kind), media_type=kind))
            case {"media": {"type": str(kind), "url": str(url)}}:
                make = _URLS.get(kind.partition("/")[0], ai.DocumentUrl)
                said.append(make(url, media_type=kind))
            case {"tool_result": {"id": str(id), "name": str(name), "content": result, **rest}}:
                failed = bool(rest.get("error"))
                if isinstance(result, str) and not result.strip():
                    result = _NOTHING
                answers = True
                yield ai.ToolReturnPart(name, result, id, outcome="failed" if failed else "success")
            case _:
                raise _unknown("part", part)
    if said or not answers:
        yield ai.UserPromptPart(said or [_NOTHING])


def _decoded(data: str, kind: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ModelFault("invalid", f"the data of {kind} is not base64") from None


def _said(part: Json, model: Model, provider: str) -> Iterator[ai.ModelResponsePart]:
    opaque = part.get("opaque") or {}
    own = opaque.get("provider") == provider
    marks: Json = {}
    if own:
        details = opaque.get("details")
        marks = {"id": opaque.get("id"), "provider_name": model.system, "provider_details": details}
    match part:
        case {"text": str(text)}:
            # A signature may hang on a text of nothing.
            if text.strip() or own:
                yield ai.TextPart(text, **marks)
        case {"thought": str(text)}:
            # Other providers' thoughts are of no use, and models would begin to imitate them.
            if own:
                yield ai.ThinkingPart(text, signature=opaque.get("signature"), **marks)
        case {
            "tool_call": {"id": str(id), "name": str(name), "arguments": dict(arguments), **rest}
        }:
            if "malformed" in rest:
                arguments = {"malformed": rest["malformed"]}
            yield ai.ToolCallPart(name, arguments, id, **marks)
        case {"media": {"type": str(kind), "data": str(data)}}:
            file = ai.BinaryContent(_decoded(data, kind), media_type=kind)
            yield ai.FilePart(file, **marks)
        case _:
            raise _unknown("part", part)


def _response(parts: list[ai.ModelResponsePart], model: Model) -> ai.ModelResponse:
    own = any(part.provider_name for part in parts)
    return ai.ModelResponse(
        parts=parts,
        provider_name=model.system if own else None,
        canonical_system=model.canonical_system if own else None,
    )


def _tool_call(item: ai.ToolCallPart) -> Json:
    call: Json = {"id": item.tool_call_id, "name": item.tool_name, "arguments": {}}
    if isinstance(item.args, dict):
        call["arguments"] = item.args
    elif item.args:
        try:
            arguments = json.loads(item.args, parse_constant=_no_json, parse_float=_finite)
        except (ValueError, RecursionError):
            arguments = None
        if isinstance(arguments, dict):
            call["arguments"] = arguments
        else:
            call["malformed"] = item.args
    return call


def _finite(number: str) -> float:
    value = float(number)
    # What is too large is infinite, and that no JSON has.
    return value if math.isfinite(value) else _no_json(number)


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _unknown(what: str, value: object) -> ModelFault:
    return ModelFault("invalid", f"not a {what} that a model can be sent: {str(value)[:200]}")
