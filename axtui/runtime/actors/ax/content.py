"""What is said in a log, as Google AX has it, and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

from axtui.ax import content_pb2 as axc
from axtui.v1 import event_pb2 as pb

# What a struct may be nested; a reader refuses deeper ones.
_MAX_DEPTH = 90

Fetch = Callable[[pb.Data], Awaitable[str]]
Keep = Callable[[str], pb.Data]


async def to_ax(part: pb.Content, fetch: Fetch) -> axc.Content:
    """A part of a message; `fetch` gives the text of data."""
    if part.HasField("ax"):
        try:
            return json_format.Parse(
                await fetch(part.ax), axc.Content(), ignore_unknown_fields=True
            )
        except json_format.ParseError:
            # A redaction can take what made it whole.
            return text("[this can't be shown any more]")
    if part.HasField("thought"):
        return thought(await fetch(part.thought))
    return text(await fetch(part.text))


def from_ax(content: axc.Content, keep: Keep) -> pb.Content:
    """A part of a message as the log has it; `keep` makes data of a text."""
    kept = pb.Content()
    match content.WhichOneof("type"):
        case "text":
            kept.text.CopyFrom(keep(content.text.text))
            return kept
        case "thought":
            kept.thought.CopyFrom(keep(summary(content.thought)))
            if not content.thought.signature:
                return kept
    kept.ax.CopyFrom(keep(json_format.MessageToJson(content, indent=None, **_NAMES)))
    return kept


_NAMES: dict[str, Any] = {"preserving_proto_field_name": True, "ensure_ascii": False}


def text(said: str) -> axc.Content:
    """A text."""
    return axc.Content(text=axc.TextContent(text=said))


def thought(said: str) -> axc.Content:
    """A thought."""
    part = axc.ThoughtSummaryContent(text=axc.TextContent(text=said))
    return axc.Content(thought=axc.ThoughtContent(summary=[part]))


def summary(thought: axc.ThoughtContent) -> str:
    """What a thought says."""
    return "\n".join(part.text.text for part in thought.summary)


def tool_call(id: str, name: str, arguments: Mapping[str, Any]) -> axc.Content:
    """A call of a tool, or of another agent."""
    call = axc.FunctionCallContent(name=name, arguments=_struct(arguments))
    return axc.Content(tool_call=axc.ToolCallContent(id=id, function_call=call))


def tool_result(id: str, name: str, response: Mapping[str, Any]) -> axc.Content:
    """What became of a call."""
    result = axc.FunctionResultContent(name=name, response=_struct(response))
    return axc.Content(tool_result=axc.ToolResultContent(call_id=id, function_result=result))


def confirmation(id: str, question: str, approved: bool | None = None) -> axc.Content:
    """A question or, with a decision, its answer."""
    asked = axc.ConfirmationContent(id=id, question=question)
    if approved:
        asked.approval.approved = True
    elif approved is not None:
        asked.decline.declined = True
    return axc.Content(confirmation=asked)


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    try:
        struct: struct_pb2.Struct = json_format.ParseDict(
            dict(values), struct_pb2.Struct(), max_recursion_depth=_MAX_DEPTH
        )
    except json_format.ParseError:
        # Nested too deep, or a number that no JSON has.
        struct = struct_pb2.Struct()
        struct.update({"text": str(values)})
    return struct
