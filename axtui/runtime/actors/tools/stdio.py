"""One run of a server that is a program: bounded messages over its input and output.

Takes the place of the SDK's own transport, which keeps a line however long it gets.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from mcp.shared.message import SessionMessage
from mcp_types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from axtui.runtime.actors import shim
from axtui.runtime.actors.patience import to_the_end
from axtui.runtime.config import ToolServer

MAX_LINE = 16 << 20
# What is a few bytes in a line is up to a kilobyte as an object.
MAX_VALUES = 100_000
MAX_REQUESTS = 64
MAX_ERRORS = 64 << 10
CANCELLED = "notifications/cancelled"
GRACE_SECONDS = 1.0

_INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ")
_CHUNK = 64 << 10
_STOP_SECONDS = 2 * GRACE_SECONDS + 10
_DEATH_SECONDS = 1.0
_LAST_WORDS = 2_000
_EXCERPT = 80
_PART_BEFORE = re.compile(r"\A\S+\s*")
_PART_BEHIND = re.compile(rb"\S+\Z")
_FEW_VALUES = 64 << 10
# A string is a single match, whatever is in it, and an open one goes to the end.
_VALUE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|[\[{,]', re.DOTALL)

Read = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Read], MemoryObjectSendStream[SessionMessage]]


class _Misconduct(Exception):
    """A server does what the protocol has no room for."""


class StdioLink:
    """A program from its start to its end.

    Once nothing more can come from it `over` is set, and `reason` says why, unless it was stopped.
    """

    def __init__(self, config: ToolServer, workspace: str) -> None:
        self._command = shim.command(config.command, grace=GRACE_SECONDS)
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._env = {**inherited, **config.env}
        self._cwd = os.path.join(workspace, config.cwd or "")
        self._errors = b""
        self._asked: set[RequestId] = set()
        self.over = asyncio.Event()
        self.reason = ""

    @asynccontextmanager
    async def streams(self) -> AsyncGenerator[Streams, None]:
        """Start the program; end it with all that it has started. Raises OSError."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            limit=_CHUNK,
            cwd=self._cwd,
            env=self._env,
            start_new_session=True,
        )
        assert process.stdin is not None
        to_client, from_server = anyio.create_memory_object_stream[Read](0)
        to_server, from_client = anyio.create_memory_object_stream[SessionMessage](0)
        hearing = asyncio.create_task(self._keep_errors(process))
        reading = asyncio.create_task(self._read(process, hearing, to_client))
        writing = asyncio.create_task(self._write(process, from_client))
        try:
            yield from_server, to_server
        finally:
            self.over.set()
            # What it hasn't read by now it never will, and the shim waits for nothing else.
            process.stdin.transport.abort()
            await to_the_end(_gone(process))
            for task in (hearing, reading, writing):
                task.cancel()
            for stream in (to_client, from_server, to_server, from_client):
                stream.close()

    def last_words(self) -> str:
        """The end of what it printed as errors, as the end of a sentence."""
        said = self._errors.decode(errors="replace").strip()
        if len(said) > _LAST_WORDS:
            # Who redacts it knows no part of a secret.
            said = _PART_BEFORE.sub("", said[-_LAST_WORDS:])
        return f", saying: {said}" if said else ""

    def _end(self, reason: str) -> None:
        if not self.over.is_set():
            self.reason = reason
            self.over.set()

    async def _read(
        self,
        process: asyncio.subprocess.Process,
        hearing: asyncio.Task[None],
        to_client: MemoryObjectSendStream[Read],
    ) -> None:
        assert process.stdout is not None
        try:
            async for line in _lines(process.stdout):
                message = _message(line)
                self._count(message)
                await to_client.send(SessionMessage(message))
            self._end(await self._death(process, hearing))
        except _Misconduct as error:
            self._end(str(error))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._end("nobody listens to it any more")
        finally:
            # This is how calls in flight learn of it, so the reason has to be there by now.
            to_client.close()
        # Who is stuck in printing can't hear that it is to end.
        while await process.stdout.read(_CHUNK):
            pass

    async def _write(
        self,
        process: asyncio.subprocess.Process,
        from_client: MemoryObjectReceiveStream[SessionMessage],
    ) -> None:
        assert process.stdin is not None
        try:
            async for session_message in from_client:
                message = session_message.message
                if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
                    self._asked.discard(coerce_request_id(message.id))
                line = message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(line.encode() + b"\n")
                await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # The end of its output says more.
        finally:
            from_client.close()

    async def _keep_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(_CHUNK):
            self._errors = (self._errors + chunk)[-MAX_ERRORS:]

    def _count(self, message: JSONRPCMessage) -> None:
        """Keep track of what the server asks for: each is a task until it has its answer."""
        if isinstance(message, JSONRPCRequest):
            key = coerce_request_id(message.id)
            if key in self._asked or len(self._asked) == MAX_REQUESTS:
                raise _Misconduct(f"it asked for more than {MAX_REQUESTS} things at once, or twice")
            self._asked.add(key)
        elif isinstance(message, JSONRPCNotification) and message.method == CANCELLED:
            taken_back = cancelled_request_id_from_params(message.params)
            if taken_back is not None:
                self._asked.discard(coerce_request_id(taken_back))

    async def _death(self, process: asyncio.subprocess.Process, hearing: asyncio.Task[None]) -> str:
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait({hearing, ended}, timeout=_DEATH_SECONDS)
        status = process.returncode
        if status is None:
            what = "it closed its output"
        elif status < 0:
            what = f"it was ended by {signal.Signals(-status).name}"
        else:
            what = f"it ended with status {status}"
        return what + self.last_words()


async def _lines(stdout: asyncio.StreamReader) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    size = 0
    while chunk := await stdout.read(_CHUNK):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line = b"".join((*parts, end))
            parts, size = [], 0
            if line.strip():
                yield line
        parts.append(rest)
        size += len(rest)
        if size > MAX_LINE:
            raise _Misconduct(f"it printed a line of more than {MAX_LINE >> 20} MiB")


def _message(line: bytes) -> JSONRPCMessage:
    if len(line) > _FEW_VALUES:
        values = (match for match in _VALUE.finditer(line) if match[0][:1] != b'"')
        for count, _ in enumerate(values):
            if count == MAX_VALUES:
                raise _Misconduct(f"it sent a message of more than {MAX_VALUES:,} values")
    try:
        return jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        kind = "JSON" if details[0]["type"] == "json_invalid" else "JSON-RPC"
        begun = line if len(line) <= _EXCERPT else _PART_BEHIND.sub(b"", line[:_EXCERPT])
        said = repr(begun.decode(errors="replace"))
        raise _Misconduct(f"it printed what is not {kind}: {said}") from None


async def _gone(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        # Something that even the shim can't end keeps it, or its pipes.
        if process.returncode is None:
            process.kill()
