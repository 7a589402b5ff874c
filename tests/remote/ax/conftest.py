"""A server of our AX services on loopback, and a client of AX's own in another process."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from axtui.local import LocalClient
from axtui.model.codec import event_to_json
from axtui.remote.server import Server, serve
from axtui.runtime.config import Agent, Config, Environment

ROOT = Path(__file__).parents[3]
SECONDS = 30.0
EXEC = "/ax.ControllerService/Exec"
_AGENTS = (
    *("asker", "chooser", "counter", "failer", "gate", "lead", "planned", "private", "talker"),
    "thinker",
)


class Call:
    """One call of the other process, as far as it has been answered."""

    def __init__(self, client: AxClient, number: int) -> None:
        self._client = client
        self._number = number
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.status = ""
        self.details = ""

    async def next(self) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(SECONDS):
            answer = await self.answers.get()
        assert "message" in answer, answer
        found: dict[str, Any] = answer["message"]
        return found

    async def rest(self) -> list[dict[str, Any]]:
        """All messages that are left, up to the status."""
        found = []
        async with asyncio.timeout(SECONDS):
            while "message" in (answer := await self.answers.get()):
                found.append(answer["message"])
        self.status, self.details = answer["status"], answer.get("details") or ""
        return found

    async def cancel(self) -> None:
        """Go away."""
        self._client.tell({"call": self._number, "cancel": True})
        await self.rest()


class AxClient:
    """The process with the client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._calls: dict[int, Call] = {}
        self._reading = asyncio.create_task(self._read())

    def call(self, method: str, **request: Any) -> Call:
        """Begin a call."""
        number = next(self._numbers)
        self._calls[number] = Call(self, number)
        self.tell({"call": number, "method": method, "request": request})
        return self._calls[number]

    def exec(self, conversation: str, *inputs: str | dict[str, Any], **request: Any) -> Call:
        """Begin an Exec; texts and contents are what the user says."""
        return self.call(EXEC, conversation_id=conversation, inputs=said(*inputs), **request)

    def tell(self, value: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            self._calls[answer["call"]].answers.put_nowait(answer)

    async def close(self) -> None:
        self._process.kill()
        await self._process.wait()
        await self._reading


def said(*inputs: str | dict[str, Any]) -> list[dict[str, Any]]:
    """Messages of a user: texts, or other contents."""
    return [
        {"role": "user", "content": {"text": {"text": input}} if isinstance(input, str) else input}
        for input in inputs
    ]


def texts(responses: list[dict[str, Any]]) -> list[str]:
    """The texts in responses, those of a user with `> ` before them."""
    return [
        ("> " if message["role"] == "user" else "") + message["content"]["text"]["text"]
        for response in responses
        for message in response.get("outputs", ())
        if "text" in message["content"]
    ]


def contents(responses: list[dict[str, Any]], kind: str) -> list[Any]:
    """The contents of one kind."""
    return [
        message["content"][kind]
        for response in responses
        for message in response.get("outputs", ())
        if kind in message["content"]
    ]


class Served:
    """A data directory that is served. `ax` talks to it, `client` is on this side."""

    def __init__(
        self, folder: Path, client: LocalClient, server: Server, address: str, ax: AxClient
    ) -> None:
        self.folder = folder
        self.client = client
        self.server = server
        self.address = address
        self.ax = ax

    def workspace(self, conversation: str = "c") -> Path:
        """The folder that a conversation works in."""
        return self.folder / conversation

    def open_gate(self, conversation: str = "c") -> None:
        """Let agents go on that wait for a file in the workspace."""
        (self.workspace(conversation) / "open").touch()

    async def events(self, conversation: str) -> list[dict[str, Any]]:
        """The log."""
        return [event_to_json(r.event()) for r in await self.client.read(conversation)]

    async def until(self, conversation: str, test: Callable[[Any], bool]) -> None:
        """Wait until a state fits."""
        async with asyncio.timeout(SECONDS):
            async for _ in self.client.watch(conversation, 0):
                if test(await self.client.state(conversation)):
                    return


def configured(folder: Path, *more: Agent, **settings: Any) -> Config:
    """A data directory in a folder that has the workspaces too, with the agents of these tests."""
    agents = [Agent(name, f"tests.remote.ax.agents:{name}", isolation="inline") for name in _AGENTS]
    settings.setdefault("environment", Environment(workspace=str(folder)))
    return Config(data_dir=folder / "data", agents=(*agents, *more), **settings)


async def listening(config: Config) -> tuple[Server, LocalClient, str]:
    """The server, the client that it serves, and where."""
    client = LocalClient(config, serve)
    await client.hold()
    server = Server(client)
    (address,) = await server.start(["127.0.0.1:0"])
    return server, client, address


async def started(*arguments: str) -> asyncio.subprocess.Process:
    """A module of the tests in a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        limit=1 << 26,
    )


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Serves a data directory; what is served is closed at the end."""
    found: list[Served] = []

    async def start(*more: Agent, **settings: Any) -> Served:
        server, client, address = await listening(configured(tmp_path, *more, **settings))
        process = await started("tests.ax.client", address)
        found.append(Served(tmp_path, client, server, address, AxClient(process)))
        return found[-1]

    yield start
    for served in found:
        await served.ax.close()
        await served.server.stop()
        await served.client.close()


@pytest.fixture
async def served(serving: Callable[..., Any]) -> Served:
    """A served data directory, with the agents of these tests."""
    found: Served = await serving()
    return found
