"""Requests that nobody would make, and what has to come of each.

A case is a call of some method by somebody with some bytes. What it has to end with is worked out
from its method, its caller and its bytes alone.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc.aio
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from axtui.ax import ax_pb2
from axtui.remote import messages as msg
from axtui.remote.roles import LEAST, suffices

from .harness import CONTROLLER

# Of the server that is tried.
MAX_MESSAGE = 1 << 16
# A call that has got so far is waiting for news.
CALL_SECONDS = 20.0
_AX = ("ControllerService", "ExecutionService", "InteractionsService", "ConversationService")
_METHODS = {
    f"/{service.full_name}/{method.name}": method
    for service in (CONTROLLER, *(ax_pb2.DESCRIPTOR.services_by_name[name] for name in _AX))
    for method in service.methods
}
_IDS = (
    *("a", "b", "c", "d", "", ".", "..", "../..", "../../etc/passwd", "/", "/tmp/x", "a/b", "a\0b"),
    *(
        "$control",
        "$",
        "-x",
        "a b",
        "a:1",
        "x" * 200,
        "x" * 201,
        "x" * 5000,
        "ü",
        "\u202e",
        "\ud7ff",
    ),
    *("%2e%2e", "~", "CON", "'; DROP TABLE events; --", "a\nb", "\x1b[2J"),
)
_TEXTS = (
    *_IDS,
    *("echo", "asker", "nobody", "planner", "yes", "approve", "all", "ask", "retry", "policy"),
    *("running", "run.started", "message", "viewer", "admin", "null", "{}", '"x"', "{", "1e999"),
    *("[" * 5000, '{"a":' * 5000, json.dumps({"content": [{"text": "x"}]}), "x" * 30_000),
)
_NUMBERS = (0, 1, 2, 3, -1, 100, 501, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63))
# What makes sense, by the names of fields, so that things happen that others may come to.
_SENSIBLE: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        ("conversation_id", "source_id", "src_conversation_id", "dest_conversation_id"),
        ("a", "b", "c", "d", "e", "f"),
    ),
    **dict.fromkeys(("request_id", "question_id"), ("", "1", "2", "3", "4")),
    **dict.fromkeys(("agent", "agent_id", "harness_id"), ("", "echo", "asker", "asker")),
    **dict.fromkeys(("agent_config", "harness_config"), (b"", b"null", b"{}")),
    "actor": ("", "", "echo", "asker"),
    "approve": ("", "policy", "ask", "all", "deny"),
    "on_interrupted": ("", "ask", "retry", "skip", "fail"),
    "config": ("", "null", "{}"),
    "edit": ("", '{"content": [{"text": "x"}]}'),
    "choice": ("", "yes", "approve", "deny", "cancel"),
    "role": ("viewer", "operator", "admin"),
    "name": ("x", "y", "z"),
    "kinds": ("message", "run.started"),
    "states": ("running", "completed", "canceled"),
    **dict.fromkeys(("seq", "src_seq"), (1, 2, 3, 4)),
    **dict.fromkeys(("last_seq", "last_step"), (0, 0, 1, 2)),
    "expires_us": (0, 2**53),
    "always": (False,),
}
_FINE = {
    *("OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED"),
    *("FAILED_PRECONDITION", "OUT_OF_RANGE"),
}
# What there may be no end of.
_ENDLESS = {"Watch", "Exec", "CreateInteraction"}
# How runs end that were canceled, that failed, or that are paused; or there are too many of them.
_ENDS = {"CANCELLED", "UNKNOWN", "UNAVAILABLE", "RESOURCE_EXHAUSTED"}
# What else a method may end with.
_ALSO = {
    "Exec": _ENDS,
    "CreateInteraction": _ENDS,
    # Runs in flight.
    "Start": {"RESOURCE_EXHAUSTED"},
    "Resume": {"RESOURCE_EXHAUSTED"},
    # A thousand tokens.
    "CreateToken": {"RESOURCE_EXHAUSTED"},
    # A digest of nothing.
    "GetBlob": {"DATA_LOSS"},
}


class Caller(NamedTuple):
    """Somebody with a role, empty for who isn't let in."""

    role: str
    authorization: str


class Case(NamedTuple):
    """A call, and the codes that it may end with."""

    method: str
    caller: Caller
    data: bytes
    expected: set[str]


class Fuzzer:
    """Makes cases, the same ones from the same seed."""

    def __init__(self, seed: int, callers: list[Caller]) -> None:
        self._random = random.Random(seed)
        self._callers = callers

    def case(self) -> Case:
        """The next one."""
        method = self._random.choice(list(_METHODS))
        caller = self._random.choice(self._callers)
        data = self._data(_METHODS[method].input_type)
        return Case(method, caller, data, _expected(method, caller, data))

    def garbage(self) -> bytes:
        """What isn't even HTTP/2."""
        hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if self._random.random() < 0.5 else b""
        return hello + self._random.randbytes(self._random.randrange(300))

    def _data(self, described: Any) -> bytes:
        chance = self._random.random()
        if chance < 0.05:
            return self._random.randbytes(self._random.randrange(200))
        if chance < 0.06:
            return b"\n" + self._random.randbytes(MAX_MESSAGE)
        if chance < 0.08:
            return self._nested()
        data = self._message(GetMessageClass(described)).SerializeToString()
        return data if chance < 0.5 else self._mutated(data)

    def _nested(self) -> bytes:
        """Messages in messages, or groups in groups, in a field that a message may well have."""
        field, depth = self._random.randrange(1, 8), self._random.randrange(1, 5000)
        if self._random.random() < 0.5:
            return bytes((field << 3 | 3,)) * depth + bytes((field << 3 | 4,)) * depth
        data = b""
        while depth and len(data) < MAX_MESSAGE - 10:
            data = bytes((field << 3 | 2,)) + _varint(len(data)) + data
            depth -= 1
        return data

    def _mutated(self, data: bytes) -> bytes:
        changed = bytearray(data or b"\0")
        for _ in range(self._random.randrange(1, 6)):
            at = self._random.randrange(len(changed) + 1)
            end = min(len(changed), at + self._random.randrange(1, 9))
            match self._random.randrange(4):
                case 0:
                    changed[at:at] = self._random.randbytes(self._random.randrange(1, 9))
                case 1:
                    del changed[at:end]
                case 2:
                    changed[at:at] = changed[at:end]
                case 3 if at < len(changed):
                    changed[at] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _message(self, cls: type[Message], depth: int = 0) -> Message:
        made = cls()
        for field in cls.DESCRIPTOR.fields:
            if self._random.random() < 0.3:
                continue
            if field.message_type is not None:
                if depth < 3 and not field.message_type.GetOptions().map_entry:
                    inner = self._message(GetMessageClass(field.message_type), depth + 1)
                    (
                        getattr(made, field.name).append(inner)
                        if field.is_repeated
                        else getattr(made, field.name).CopyFrom(inner)
                    )
            elif field.is_repeated:
                count = self._random.choice((0, 1, 2, 3, 200))
                getattr(made, field.name).extend(self._value(field) for _ in range(count))
            else:
                setattr(made, field.name, self._value(field))
        return made

    def _value(self, field: FieldDescriptor) -> Any:
        if field.name in _SENSIBLE and self._random.random() < 0.7:
            return self._random.choice(_SENSIBLE[field.name])
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                pool = _IDS if field.name.endswith("_id") else _TEXTS
                return self._random.choice(pool)
            case FieldDescriptor.TYPE_BYTES:
                return self._random.randbytes(self._random.choice((0, 1, 32, 32, 33)))
            case FieldDescriptor.TYPE_BOOL:
                return self._random.random() < 0.5
            case FieldDescriptor.TYPE_INT32 | FieldDescriptor.TYPE_ENUM:
                return self._random.choice([n for n in _NUMBERS if -(2**31) <= n < 2**31])
        return self._random.choice(_NUMBERS)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _expected(method: str, caller: Caller, data: bytes) -> set[str]:
    if not caller.role:
        return {"UNAUTHENTICATED"}
    if not suffices(caller.role, LEAST[method]):
        return {"PERMISSION_DENIED"}
    if len(data) > MAX_MESSAGE:
        return {"RESOURCE_EXHAUSTED"}
    try:
        GetMessageClass(_METHODS[method].input_type).FromString(data)
    except DecodeError:
        return {"INVALID_ARGUMENT"}
    return _FINE | _ALSO.get(method.rpartition("/")[2], set())


async def call(channel: grpc.aio.Channel, case: Case) -> str:
    """Make the call; gives back the name of the code that it has ended with."""
    metadata = [("axtui-api", msg.API)]
    if case.caller.authorization:
        metadata.append(("authorization", case.caller.authorization))
    method, data = _METHODS[case.method], case.data
    options: Any = {"metadata": tuple(metadata), "timeout": CALL_SECONDS}
    try:
        if method.client_streaming:
            return await _import(channel, case, options)
        if not method.server_streaming:
            await channel.unary_unary(case.method)(data, **options)
            return "OK"
        made = channel.unary_stream(case.method)(data, **options)
        async for _ in made:
            # The first news will do.
            if method.name in _ENDLESS:
                made.cancel()
                break
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def _import(channel: grpc.aio.Channel, case: Case, options: dict[str, Any]) -> str:
    """Our client tells why one was refused; here what it gets to hear is enough."""
    try:
        await channel.stream_unary(case.method)(iter((case.data,)), **options)
    except grpc.aio.AioRpcError as error:
        # That of gRPC's client, where a server answers before it has all.
        early = error.details() == "Internal error from Core"
        return min(case.expected) if early else error.code().name
    return "OK"


async def run(address: str, fuzzer: Fuzzer, cases: int, workers: int = 8) -> None:
    """Make so many calls, some of them at the same time. Raises AssertionError for one that ended
    with what it must not."""
    host, _, port = address.rpartition(":")
    left = iter(range(cases))

    async def work() -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            for number in left:
                case = fuzzer.case()
                code = await call(channel, case)
                assert code in case.expected, (code, case.method, case.caller, case.data[:2000])
                if number % 100 == 0:
                    await _send(host, int(port), fuzzer.garbage)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())


async def _send(host: str, port: int, garbage: Callable[[], bytes]) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.write(garbage())
    writer.transport.close()
