"""What a tool wants to know in the middle of a call, as a question to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from axtui.model.codec import load_json

_DECLINE = "decline"


class Elicitation(NamedTuple):
    """The text of a question, the answers that it takes (none: any text), and what it is about."""

    text: str
    choices: Sequence[str]
    about: Any


def question(tool: str, asked: Mapping[str, Any]) -> Elicitation:
    """What to ask a person on behalf of `tool`."""
    text = f"{tool} asks: {asked['message']}"
    if "url" in asked:
        return Elicitation(text, ("accept", _DECLINE), {"url": asked["url"]})
    fields = asked["schema"].get("properties") or {}
    if not fields:
        return Elicitation(text, ("accept", _DECLINE), None)
    if len(fields) == 1:
        (field,) = fields.values()
        choices = ("true", "false") if field.get("type") == "boolean" else field.get("enum") or ()
        if choices:
            return Elicitation(text, (*map(str, choices), _DECLINE), fields)
    return Elicitation(f"{text} (a JSON object, or {_DECLINE!r})", (), fields)


def reply(asked: Mapping[str, Any], answer: str) -> dict[str, Any]:
    """The answer as the protocol has it."""
    if answer == _DECLINE:
        return {"action": "decline"}
    fields = asked.get("schema", {}).get("properties") or {}
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
