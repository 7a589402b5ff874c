"""HTTP, and which turn answers which request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.providers.wire import APIS, Api, Frame

Turn = dict[str, Any]

KEY = "key-of-the-tests"
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def environment(url: str) -> dict[str, str]:
    """Variables that bring all built-in providers to a server."""
    return {
        "GEMINI_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OLLAMA_BASE_URL": f"{url}/v1",
    }


class ProviderServer:
    """Answers with the turns of a script, on a port of its own of the loopback."""

    def __init__(self, script: list[Turn], log: Path | None = None) -> None:
        self.script = list(script)
        self.requests: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self.url = ""
        self.connections = 0
        self._used: set[int] = set()
        self._log = log
        self._released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ProviderServer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", limit=1 << 26)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    def release(self, name: str) -> None:
        """Let the turn go on that holds under that name."""
        self._released[name].set()

    @property
    def turns(self) -> list[int | None]:
        """The turns that were served, in their order."""
        return [request["turn"] for request in self.requests]

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether there may be another on this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        _, path, _ = head[0].split(" ")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path == "/token":
            # What Google's libraries change the credentials of a service account for.
            token = b'{"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}'
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(token), token))
            return True
        if path.startswith("/release/"):
            self.release(path.removeprefix("/release/"))
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        index, turn, api = self._choose(path, headers, body)
        asked = json.loads(body or "{}")
        if "status" in turn and turn.get("fault") != "error":
            _refuse(writer, turn, api)
            return True
        return await self._tell(reader, writer, index, turn, api.frames(turn, path, asked))

    def _choose(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int | None, Turn, Api]:
        api = next(api for api in APIS if api.path in path)
        index, turn = None, {"status": 418, "message": "the script has no turn for this request"}
        for number, candidate in enumerate(self.script):
            text = json.dumps(json.loads(body or "{}"), ensure_ascii=False)
            if number not in self._used and candidate.get("when", "") in text:
                index, turn = number, candidate
                if not candidate.get("repeat"):
                    self._used.add(number)
                break
        request = {
            "turn": index,
            "api": api.name,
            "path": path,
            "headers": headers,
            "body": json.loads(body or "{}"),
        }
        self.requests.append(request)
        self._write(request)
        return index, turn, api

    def _write(self, line: dict[str, Any]) -> None:
        if self._log is not None:
            with self._log.open("a") as file:
                file.write(json.dumps(line) + "\n")

    async def _tell(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        index: int | None,
        turn: Turn,
        frames: list[Frame],
    ) -> bool:
        fault, after, said = turn.get("fault"), turn.get("after", 1), 0
        due = fault is not None or "hold" in turn
        if fault == "silent" and not after:
            return await self._wait(reader, index, asyncio.Event())
        writer.write(_STREAM)
        for kind, frame in frames:
            # A fault comes at the latest where the answer would end.
            if due and (said == after or kind in ("end", "error")):
                due = False
                if "hold" in turn:
                    await writer.drain()
                    if not await self._wait(reader, index, self._released[turn["hold"]]):
                        return False
                elif fault == "broken":
                    frame = frame[: len(frame) // 2] + b"\n\n"
                elif not await self._fail(reader, writer, index, fault, frames):
                    return False
            if kind != "error":
                _chunk(writer, frame)
            said += kind == "text"
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _fail(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        index: int | None,
        fault: str | None,
        frames: list[Frame],
    ) -> bool:
        """Do what goes wrong; whether the answer goes on."""
        await writer.drain()
        if fault == "silent":
            return await self._wait(reader, index, asyncio.Event())
        if fault == "drop":
            # Without lingering the close is a reset.
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        if fault == "error":
            _chunk(writer, next(frame for kind, frame in frames if kind == "error"))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return False

    async def _wait(
        self, reader: asyncio.StreamReader, index: int | None, event: asyncio.Event
    ) -> bool:
        """Wait for an event; False if the client goes away first."""
        gone = asyncio.create_task(reader.read(1))
        come = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({gone, come}, return_when=asyncio.FIRST_COMPLETED)
            if come.done():
                return True
            self._write({"left": index})
            self.left.set()
            return False
        finally:
            for task in (gone, come):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await task


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _refuse(writer: asyncio.StreamWriter, turn: Turn, api: Api) -> None:
    body = json.dumps(api.error(turn["status"], turn.get("message", "as the script says"))).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **turn.get("headers", {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {turn['status']} Status\r\n{lines}\r\n".encode() + body)
