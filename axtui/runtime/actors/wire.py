"""How the controller and its actors talk: calls in both directions on one link.

A call is a frame `{"call", "method", "params"}`, later answered by `{"reply", "result"}` or
`{"reply", "fault"}`; before that `{"progress", "value"}` may come, and from the caller
`{"cancel"}`. Numbers are the caller's own. On a socket a frame is its length in four bytes, then
JSON; `agent_stream.py` has what it is over gRPC.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, cast

# The largest value of a log, whose every character may need a backslash, and some more.
MAX_FRAME = 136 * 1024 * 1024
# Calls of one side that the other works on at the same time; one more fails.
MAX_CALLS = 10_000
# What all those calls may be about, in bytes.
MAX_HELD = 4 * MAX_FRAME
# Provisional text is dropped rather than kept for who reads too slowly.
MAX_UNSENT = 1024 * 1024
# Frames that are read in one go before others have their turn; a flood is read no faster than
# this many every `_FLOOD_SECONDS`.
_BURST = 200
_FLOOD_SECONDS = 0.05

CLOSED = "the connection was closed"

Progress: TypeAlias = Callable[[Any], None]
Handler: TypeAlias = Callable[[Any, Progress], Awaitable[Any]]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Fault(Exception):
    """A call failed. `code` is a stable word, `details` are JSON values.

    `unknown` tells that nobody knows whether it had an effect.
    """

    def __init__(self, code: str, message: str, *, unknown: bool = False, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.unknown = unknown
        self.details = details


class Ended(Exception):
    """There is nothing more to be read; says why."""


class Link(Protocol):
    """What frames go over, to one end and from it, in order."""

    @property
    def unsent(self) -> int:
        """How many bytes the other end hasn't taken yet."""
        ...

    async def read(self) -> tuple[dict[str, Any], int]:
        """The next frame, and how many bytes it was. Raises Ended, and ValueError for what is no
        frame."""
        ...

    def has_more(self) -> bool:
        """Whether the next frame may have come already."""
        ...

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame, after all that were sent before. Raises Fault if it is too large."""
        ...

    async def drain(self) -> None:
        """Wait until the other end has taken most of it, or is gone."""
        ...

    def close(self) -> None:
        """Hang up. What is unsent may be lost."""
        ...


class Peer:
    """One end. `handlers` are what the other may call; `on_end` is told as soon as the other is
    gone, before any call hears of it.
    """

    def __init__(
        self, link: Link, handlers: Mapping[str, Handler], on_end: Callable[[Peer], None]
    ) -> None:
        self.gone = ""
        """Why the other end can't be reached any more; empty if it can."""
        self._link = link
        self._handlers = handlers
        self._on_end = on_end
        self._numbers = itertools.count(1)
        self._calls: dict[int, tuple[asyncio.Future[Any], Progress]] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._held = 0

    async def call(
        self,
        method: str,
        params: Any,
        on_progress: Progress = lambda _: None,
        *,
        settles: bool = False,
    ) -> Any:
        """What the other end makes of it. Raises Fault, with the code `gone` if the end is gone.

        Canceled, it cancels the other end's work and, if it `settles`, waits for the end of that.
        """
        if self.gone:
            raise Fault("gone", self.gone)
        number = next(self._numbers)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[number] = done, on_progress
        try:
            self._send({"call": number, "method": method, "params": params})
            await self._link.drain()
            return await done
        except asyncio.CancelledError:
            if number in self._calls and not self.gone:
                self._send({"cancel": number})
                if settles:
                    await self._settled(number)
            raise
        finally:
            self._calls.pop(number, None)

    async def _settled(self, number: int) -> None:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[number] = done, lambda _: None
        while not done.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({done})

    @property
    def waits(self) -> bool:
        """Whether anything that was called is yet to be answered."""
        return bool(self._calls)

    def tell(self, method: str, params: Any) -> None:
        """Call, and don't wait for what becomes of it."""
        self._send({"call": next(self._numbers), "method": method, "params": params})

    async def taken(self) -> None:
        """Wait until what was sent has been taken. Whoever has called waits for that too, even if
        the answer has come."""
        await self._link.drain()

    async def run(self) -> str:
        """Read until the other end is gone; gives back why."""
        why = CLOSED
        try:
            while True:
                began = time.monotonic()
                for _ in range(_BURST):
                    self._take(*await self._link.read())
                early = began + _FLOOD_SECONDS - time.monotonic()
                await asyncio.sleep(max(0.0, early) if self._link.has_more() else 0)
        except Ended as ended:
            why = str(ended)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            why = f"it sent what is no message: {error}"
        finally:
            self._end(why)
        return why

    def close(self) -> None:
        """Hang up; calls in flight fail."""
        self._end(CLOSED)

    def _take(self, frame: dict[str, Any], size: int) -> None:
        match frame:
            case {"call": int(number), "method": str(method)}:
                self._accept(number, method, frame.get("params"), size)
            case {"cancel": int(number)}:
                if task := self._serving.get(number):
                    _cancel(task)
            case {"progress": int(number), "value": value}:
                if number in self._calls:
                    self._calls[number][1](value)
            case {"reply": int(number)}:
                done, _ = self._calls.pop(number, (None, None))
                if done is not None and not done.done():
                    _settle(done, frame)
            case _:
                raise ValueError(f"{str(frame)[:80]!r}")

    def _accept(self, number: int, method: str, params: Any, size: int) -> None:
        if len(self._serving) >= MAX_CALLS:
            self._refuse(number, Fault("busy", f"{MAX_CALLS} calls are in flight already"))
        elif self._held + size > MAX_HELD and self._serving:
            self._refuse(number, Fault("busy", f"{MAX_HELD:,} bytes are being worked on already"))
        elif method not in self._handlers:
            self._refuse(number, Fault("method", f"there is no {method!r} to call"))
        elif number in self._serving:
            raise ValueError(f"call {number} is in flight already")
        else:
            self._held += size
            task = asyncio.create_task(self._serve(number, self._handlers[method], params))
            self._serving[number] = task
            task.add_done_callback(lambda _: self._served(number, size))

    def _served(self, number: int, size: int) -> None:
        self._held -= size
        del self._serving[number]

    def _refuse(self, number: int, fault: Fault) -> None:
        # Nobody waits here until it is taken.
        if self._link.unsent > MAX_UNSENT:
            raise ValueError(f"more calls, and it reads no answers ({fault})")
        self._fail(number, fault)

    async def _serve(self, number: int, handler: Handler, params: Any) -> None:
        def progress(value: Any) -> None:
            if number in self._serving and self._link.unsent < MAX_UNSENT:
                self._send({"progress": number, "value": value})

        try:
            self._send({"reply": number, "result": await handler(params, progress)})
        except Fault as fault:
            self._fail(number, fault)
        except asyncio.CancelledError:
            self._fail(number, Fault("canceled", "it was canceled", unknown=True))
            raise
        except Exception as error:
            self._fail(number, Fault("crash", f"{type(error).__name__}: {error}", unknown=True))
        await self._link.drain()

    def _fail(self, number: int, fault: Fault) -> None:
        told = {"code": fault.code, "message": str(fault), "unknown": fault.unknown}
        self._send({"reply": number, "fault": told | {"details": fault.details}})

    def _send(self, frame: dict[str, Any]) -> None:
        if not self.gone:
            self._link.send(frame)

    def _end(self, why: str) -> None:
        if not self.gone:
            self.gone = why
            self._on_end(self)
        self._link.close()
        for task in self._serving.values():
            task.cancel()
        for done, _ in self._calls.values():
            if not done.done():
                done.set_exception(Fault("gone", self.gone, unknown=True))
                # Whoever called may have gone too.
                done.exception()


def _cancel(task: asyncio.Task[None]) -> None:
    if task.cancelling():
        # A second time would cut off the cleaning up that the first has begun.
        return
    if (
        inspect.getcoroutinestate(cast("Coroutine[Any, Any, None]", task.get_coro()))
        == inspect.CORO_CREATED
    ):
        # Both came in one go, but what is asked for and given up was asked for.
        asyncio.get_running_loop().call_soon(task.cancel)
    else:
        task.cancel()


def _settle(done: asyncio.Future[Any], frame: dict[str, Any]) -> None:
    fault = frame.get("fault")
    if fault is None:
        done.set_result(frame.get("result"))
    else:
        details = {str(key): value for key, value in dict(fault.get("details") or {}).items()}
        unknown = fault.get("unknown") is True
        error = Fault(str(fault["code"]), str(fault["message"]), unknown=unknown)
        error.details = details
        done.set_exception(error)
        done.exception()


class _SocketLink:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def unsent(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    async def read(self) -> tuple[dict[str, Any], int]:
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            if size > MAX_FRAME:
                raise ValueError(f"{size:,} bytes are more than the {MAX_FRAME:,} of one message")
            return json.loads(await self._reader.readexactly(size)), size
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Ended(CLOSED) from None

    def has_more(self) -> bool:
        # StreamReader offers no other way to ask.
        return bool(getattr(self._reader, "_buffer", b""))

    def send(self, frame: dict[str, Any]) -> None:
        if self._writer.is_closing():
            return
        try:
            data = _encode(frame).encode()
        except UnicodeEncodeError:
            data = json.dumps(frame).encode()
        if len(data) > MAX_FRAME:
            raise Fault("size", f"{len(data):,} bytes are more than the {MAX_FRAME:,} of a message")
        self._writer.write(len(data).to_bytes(4, "big"))
        self._writer.write(data)

    async def drain(self) -> None:
        # Who is gone is noticed by who reads.
        with suppress(OSError):
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


async def connect(
    sock: socket.socket,
    handlers: Mapping[str, Handler],
    on_end: Callable[[Peer], None] = lambda peer: None,
) -> Peer:
    """The end that a connected stream socket is."""
    sock.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=sock, limit=4 * 1024 * 1024)
    return Peer(_SocketLink(reader, writer), handlers, on_end)


def serve(
    start: Callable[[Peer], Mapping[str, Handler]], close: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """The main program of an actor's process, whose standard input is the socket.

    `start` is given the end to call the controller by, and tells what it may call.
    """
    # Whatever reads its input, or is started with it, finds nothing there.
    sock = socket.socket(fileno=os.dup(0))
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)

    async def main() -> None:
        handlers: dict[str, Handler] = {}
        peer = await connect(sock, handlers)
        handlers.update(start(peer))
        try:
            await peer.run()
        finally:
            await close()

    asyncio.run(main())
