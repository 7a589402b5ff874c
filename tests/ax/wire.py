"""The messages and methods of Google AX, written down apart from `proto/ax`, and in a pool of their
own: what our services are held against.

A line is a message and its fields, `TYPE NAME NUMBER`; `*` is a repeated field, and what is between
`|` is one of a oneof.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2
from google.protobuf.message_factory import GetMessageClass

_MESSAGES = """
AgentStart: string agent_id 1, bytes agent_config 2, *Message messages 3
AgentOutputs: *Message messages 1
AgentEnd:
AgentRequest: string conversation_id 1, string exec_id 2, AgentStart start 3
AgentResponse: string conversation_id 1, string exec_id 2, |AgentOutputs outputs 3, |AgentEnd end 4
Message: string role 1, Content content 2, bool internal_only 3
HealthCheckRequest:
HealthCheckResponse: bool healthy 1, string message 2
ExecRequest: string conversation_id 1, *Message inputs 2, int32 last_seq 3, string agent_id 4, bytes agent_config 5
ExecResponse: *Message outputs 1, int32 seq 2
CreateInteractionRequest: string conversation_id 1, *Message inputs 2, int32 last_step 3, string harness_id 4, bytes harness_config 5
CreateInteractionResponse: *Message outputs 1, int32 step 2
DeleteConversationRequest: string conversation_id 1
DeleteConversationResponse:
ForkConversationRequest: string src_conversation_id 1, int32 src_seq 2, string dest_conversation_id 3
ForkConversationResponse: string conversation_id 1
HarnessStart: bytes harness_config 1, *Message messages 2
HarnessCancel: int32 reason 1
HarnessRequest: string conversation_id 1, string harness_id 2, |HarnessStart start 3, |HarnessCancel cancel 4
HarnessOutputs: *Message messages 1
Error: int32 code 1, string description 2
HarnessEnd: int32 state 1, Error error 2
HarnessResponse: string conversation_id 1, |HarnessOutputs outputs 2, |HarnessEnd end 3
Content: |ThoughtContent thought 5, |TextContent text 10, |ImageContent image 11, |AudioContent audio 12, |DocumentContent document 13, |VideoContent video 14, |ToolCallContent tool_call 24, |ToolResultContent tool_result 25, |ConfirmationContent confirmation 26, |TextDeltaContent text_delta 27, |ThoughtSummaryDeltaContent thought_summary_delta 28
TextContent: string text 3
TextDeltaContent: string text 1
ThoughtSummaryDeltaContent: string text 1
ConfirmationContent: string id 3, string question 4, |ApprovalDecision approval 5, |DeclineDecision decline 6
ApprovalDecision: bool approved 1
DeclineDecision: bool declined 1
ThoughtContent: bytes signature 7, *ThoughtSummaryContent summary 9
ThoughtSummaryContent: |TextContent text 1
ToolCallContent: string id 1, bytes signature 9, |FunctionCallContent function_call 2
FunctionCallContent: string name 3, google.protobuf.Struct arguments 4
ToolResultContent: string call_id 8, bytes signature 9, |FunctionResultContent function_result 2
FunctionResultContent: string name 8, |google.protobuf.Struct response 3
ImageContent: int32 mime_type 1, |bytes data 2, |string uri 6, int32 resolution 5
AudioContent: int32 mime_type 1, |bytes data 2, |string uri 5, int32 channels 7, int32 sample_rate 8
DocumentContent: int32 mime_type 1, |bytes data 2, |string uri 5
VideoContent: int32 mime_type 1, |bytes data 2, |string uri 6, int32 resolution 5
"""  # noqa: E501
METHODS = {
    "/ax.AgentService/Connect": ("AgentRequest", "AgentResponse"),
    "/ax.AgentService/HealthCheck": ("HealthCheckRequest", "HealthCheckResponse"),
    "/ax.ControllerService/Exec": ("ExecRequest", "ExecResponse"),
    "/ax.ExecutionService/Exec": ("ExecRequest", "ExecResponse"),
    "/ax.InteractionsService/CreateInteraction": (
        "CreateInteractionRequest",
        "CreateInteractionResponse",
    ),
    "/ax.ConversationService/DeleteConversation": (
        "DeleteConversationRequest",
        "DeleteConversationResponse",
    ),
    "/ax.ConversationService/ForkConversation": (
        "ForkConversationRequest",
        "ForkConversationResponse",
    ),
    "/ax.HarnessService/Connect": ("HarnessRequest", "HarnessResponse"),
}
# Those that do not stream.
UNARY = {
    name for name in METHODS if "/ax.ConversationService/" in name or name.endswith("HealthCheck")
}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES, "bool": _Field.TYPE_BOOL}
_SCALARS["int32"] = _Field.TYPE_INT32
_FIELD = re.compile(r"([*|]?)([\w.]+) (\w+) (\d+)")


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="ax.proto", package="ax", syntax="proto3")
    file.dependency.append("google/protobuf/struct.proto")
    for line in _MESSAGES.strip().splitlines():
        name, _, fields = line.partition(":")
        message = file.message_type.add(name=name)
        for mark, kind, field_name, number in _FIELD.findall(fields):
            field = message.field.add(name=field_name, number=int(number), label=1)
            if mark == "*":
                field.label = _Field.LABEL_REPEATED
            elif mark == "|":
                if not message.oneof_decl:
                    message.oneof_decl.add(name="type")
                field.oneof_index = 0
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type = _Field.TYPE_MESSAGE
                field.type_name = f".{kind}" if "." in kind else f".ax.{kind}"
    return file


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for known in (struct_pb2, timestamp_pb2):
        proto = descriptor_pb2.FileDescriptorProto()
        known.DESCRIPTOR.CopyToProto(proto)
        pool.Add(proto)
    pool.Add(_file())
    return pool


_POOL = _pool()


def message(name: str) -> Any:
    """The class of a message."""
    return GetMessageClass(_POOL.FindMessageTypeByName(f"ax.{name}"))
