"""The link to an agent over gRPC: the frames of `wire.Peer` as the messages of `agent.proto`.

One stream carries one call of an agent. Its epoch and path are said once, in the `run` that it
begins with, and are on this link alone part of every request.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, cast

import grpc.aio
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from axtui import rpc  # noqa: F401  (it keeps gRPC quiet)
from axtui.runtime.actors.wire import CLOSED, MAX_FRAME, Ended, Fault
from axtui.v1 import agent_pb2 as pb

# Where the command of an agent is to serve it.
ADDRESS_VARIABLE = "AXTUI_AGENT_ADDRESS"
# The versions of the protocol that are spoken here.
VERSIONS = (1,)
# A dead host, and one that can't be reached any more, are noticed after so many seconds.
KEEPALIVE_SECONDS = 20
KEEPALIVE_TIMEOUT_SECONDS = 10
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_FRAME + 1024),
    ("grpc.max_send_message_length", MAX_FRAME + 1024),
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
    # Without it a minute passes, whatever the line before says.
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
    # A stream may be silent for days, while a person thinks.
    ("grpc.http2.max_pings_without_data", 0),
)

_REPLIES = {
    "ask": "outcome",
    "history": "messages",
    "listen": "heard",
    "elicit": "answer",
    "command": "result",
    "run": "returned",
    "step": "done",
    "quiet": "quieted",
}
_PROGRESS = {"delta", "output"}
_CALLS = {*_REPLIES, "patched"}

Frame: TypeAlias = dict[str, Any]


class Stream(Protocol):
    """What gRPC calls a stream, at either end."""

    async def read(self) -> Any: ...
    async def write(self, message: Message) -> None: ...


class StreamLink:
    """A `wire.Link`. It sends messages of the one type and reads those of the other."""

    def __init__(self, stream: Stream, sends: type[pb.ToAgent] | type[pb.FromAgent]) -> None:
        self._stream = stream
        self._sends = sends
        self._call: Frame = {}
        # What the other end has called and is yet to be answered: how that is called here.
        self._methods: dict[int, str] = {}
        self._queue: deque[Message] = deque()
        self._unsent = 0
        self._more = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        self._writing = asyncio.create_task(self._write())

    @property
    def unsent(self) -> int:
        """How many bytes gRPC hasn't taken yet."""
        return self._unsent

    async def read(self) -> tuple[Frame, int]:
        """The next frame, and its size. Raises Ended, ValueError."""
        try:
            message = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            raise Ended(cause(error)) from None
        except (asyncio.InvalidStateError, grpc.aio.UsageError):
            # It ended before.
            raise Ended(CLOSED) from None
        if message is grpc.aio.EOF:
            raise Ended(CLOSED)
        if message is None or message.WhichOneof("message") is None:
            # gRPC gives back None for what it can't read.
            raise ValueError(f"{message!r}")
        return self._frame(message), message.ByteSize()

    def has_more(self) -> bool:
        """Always, since there is no knowing."""
        return True

    def send(self, frame: Frame) -> None:
        """Send a frame. Raises Fault if it is too large."""
        message = self._message(frame)
        if message is None or self._writing.done():
            return
        size = message.ByteSize()
        if size > MAX_FRAME:
            raise Fault("size", f"{size:,} bytes are more than the {MAX_FRAME:,} of a message")
        self._queue.append(message)
        self._unsent += size
        self._sent.clear()
        self._more.set()

    async def drain(self) -> None:
        """Wait until gRPC has taken all of it, or the stream is over."""
        await self._sent.wait()

    def close(self) -> None:
        """Send no more. The stream itself is whoever's who opened it."""
        self._writing.cancel()
        self._sent.set()

    async def _write(self) -> None:
        # That the stream is over is noticed by who reads.
        with suppress(grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            while await self._more.wait():
                self._more.clear()
                while self._queue:
                    message = self._queue.popleft()
                    await self._stream.write(message)
                    self._unsent -= message.ByteSize()
                self._sent.set()
        self._sent.set()

    # Frames and messages

    def _message(self, frame: Frame) -> Message | None:
        match frame:
            case {"call": number, "method": method, "params": params}:
                if method == "run":
                    self._call = {"epoch": params["epoch"], "path": params["path"]}
                    return self._made(number, method, params)
                own = {name: params[name] for name in params or () if name not in self._call}
                return self._made(number, method, own)
            case {"cancel": number}:
                return self._made(number, "cancel", {})
            case {"progress": number, "value": value}:
                name = "delta" if self._sends is pb.FromAgent else "output"
                return self._made(number, name, value)
            case {"reply": number, "fault": fault}:
                self._methods.pop(number, None)
                said = {name: fault[name] for name in ("code", "message")}
                detail = str(fault["details"].get("detail", ""))
                return self._made(number, "failure", {**said, "detail": detail})
            case {"reply": number, "result": result}:
                name = _REPLIES.get(self._methods.pop(number), "")
                return self._made(number, name, result) if name else None
        raise ValueError(f"no frame: {str(frame)[:80]!r}")

    def _made(self, number: int, name: str, values: Frame | None) -> Message:
        field: Any = self._sends.DESCRIPTOR.fields_by_name[name]
        kind = GetMessageClass(field.message_type)
        try:
            part = kind(**(values or {}))
        except UnicodeEncodeError:
            # Lone surrogates: JSON has escapes for them, and is sent as such where they matter.
            text = json.dumps(values, ensure_ascii=False).encode(errors="replace")
            part = kind(**json.loads(text))
        return cast("type[Message]", self._sends)(id=number, **{name: part})

    def _frame(self, message: pb.ToAgent | pb.FromAgent) -> Frame:
        name, number = str(message.WhichOneof("message")), message.id
        values = _values(getattr(message, name))
        if name in _CALLS:
            if name == "run":
                self._call = {"epoch": values["epoch"], "path": values["path"]}
            self._methods[number] = name
            return {"call": number, "method": name, "params": {**values, **self._call}}
        if name == "cancel":
            return {"cancel": number}
        if name in _PROGRESS:
            return {"progress": number, "value": values}
        if name == "failure":
            code = values["code"] or "exception"
            details = {"detail": values["detail"]}
            fault = {"code": code, "message": values["message"], "details": details}
            return {"reply": number, "fault": fault}
        return {"reply": number, "result": values}


def cause(error: grpc.aio.AioRpcError) -> str:
    """Why a call over gRPC failed, in few words."""
    details = (error.details() or "").strip()
    # What gRPC says of a connection begins with all that it tried.
    for before in ("Failed to connect to remote host: ", "last error: ", "UNKNOWN: "):
        details = details.rpartition(before)[2]
    return details[:500] or error.code().name.lower().replace("_", " ")


def _values(message: Message) -> Frame:
    """The fields of a message, without those that are optional and not set."""
    return {
        field.name: _value(getattr(message, field.name), field)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _value(value: Any, field: Any) -> Any:
    kind = field.message_type
    if not field.is_repeated:
        return value if kind is None else _values(value)
    if kind is None:
        return list(value)
    return dict(value) if kind.GetOptions().map_entry else [_values(one) for one in value]
