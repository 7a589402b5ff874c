"""What a tool wants to know in the middle of a call, as a question to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from axtui.model.codec import load_json

# A question stays in the state of its run, and is to be read.
MAX_TEXT = 16 << 10
MAX_CHOICES = 100

_DECLINE = "decline"


class Elicitation(NamedTuple):
    """The text of a question, the answers that it takes (none: any text), and what it is about."""

    text: str
    choices: Sequence[str]
    about: Any


def question(tool: str, asked: Mapping[str, Any]) -> Elicitation:
    """What to ask a person on behalf of `tool`."""
    text = f"{tool} asks: {_shortened(asked['message'])}"
    if "url" in asked:
        return Elicitation(text, ("accept", _DECLINE), {"url": asked["url"]})
    fields = _fields(asked)
    if not fields:
        return Elicitation(text, ("accept", _DECLINE), None)
    if len(fields) == 1 and (choices := _choices(*fields.values())):
        return Elicitation(text, (*choices, _DECLINE), fields)
    return Elicitation(f"{text} (a JSON object, or {_DECLINE!r})", (), fields)


def reply(asked: Mapping[str, Any], answer: str) -> dict[str, Any]:
    """The answer as the protocol has it."""
    if answer == _DECLINE:
        return {"action": "decline"}
    fields = _fields(asked)
    if not fields:
        return {"action": "accept"}
    try:
        content = load_json(answer)
    except ValueError:
        content = answer
    if not isinstance(content, dict):
        name, field = next(iter(fields.items()))
        content = {name: answer if field.get("type") == "string" else content}
    return {"action": "accept", "content": content}


def _fields(asked: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is to be filled in, as far as a server says it as it should."""
    fields = asked.get("schema", {}).get("properties")
    if not isinstance(fields, dict):
        return {}
    return {name: field for name, field in fields.items() if isinstance(field, dict)}


def _choices(field: dict[str, Any]) -> tuple[str, ...]:
    """The answers that a field takes, if they can be put as such."""
    if field.get("type") == "boolean":
        return ("true", "false")
    listed = field.get("enum")
    if not isinstance(listed, list) or len(listed) > MAX_CHOICES:
        return ()
    choices = tuple(map(str, listed))
    fit = _DECLINE not in choices and sum(map(len, choices)) <= MAX_TEXT
    return choices if fit else ()


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"
