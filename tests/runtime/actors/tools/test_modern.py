"""A server of the newest protocol, which has other ways to ask, to tell and to change."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from .conftest import HERE, Caller

Start = Callable[..., Caller]
COMMAND = [sys.executable, str(HERE / "modern.py")]


@pytest.fixture(params=["stdio", "http"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, Any]]:
    """The configuration of one, either way."""
    if request.param == "stdio":
        yield {"command": COMMAND}
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *COMMAND, str(port), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async for line in process.stderr:
        if b"running on" in line:
            break
    yield {"url": f"http://127.0.0.1:{port}/mcp"}
    process.kill()
    await process.communicate()


async def test_it_is_spoken_to_as_it_speaks(start: Start, server: dict[str, Any]) -> None:
    call = start(new=server)
    about = (await call.host.tools())["servers"]["new"]
    assert about["protocol"] == "2026-07-28"
    assert about["instructions"] == "Ask nicely."
    meta = {"axtui/idempotency-key": "a/b/1"}
    assert (await call("new.echo_meta", meta=meta))["structured"] == meta


async def test_questions(start: Start, server: dict[str, Any]) -> None:
    call = start(new=server)
    call.answer = {"action": "accept", "content": {"color": "blue"}}
    # Here the question is part of the answer to a call, so it is known whose it is.
    painted = await asyncio.gather(*(call("new.paint", thing=f"door {n}") for n in range(3)))
    told = [result["content"][0]["text"] for result in painted]
    assert told == ["door 0 blue", "door 1 blue", "door 2 blue"]
    assert len(call.questions) == 3
    assert call.questions[0]["message"] == "Which color?"
    assert call.questions[0]["schema"]["required"] == ["color"]
    call.answer = {"action": "decline"}
    assert (await call("new.paint", thing="wall"))["content"] == [{"text": "wall decline"}]


async def test_what_it_says_meanwhile(start: Start, server: dict[str, Any]) -> None:
    call = start(new=server)
    assert (await call("new.work"))["content"] == [{"text": "done"}]
    await call.until(lambda: len(call.said) == 2)
    assert sorted(call.said) == ["1/2 half", "info: so far so good"]


async def test_a_list_that_changes(start: Start, server: dict[str, Any]) -> None:
    call = start(new=server)
    before = await call.host.tools()
    await call("new.grow")
    await call.until(lambda: call.changes)
    after = await call.host.tools()
    new = {tool["name"] for tool in after["tools"]} - {tool["name"] for tool in before["tools"]}
    assert new == {"new.grown"}
