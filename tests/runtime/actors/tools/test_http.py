"""Servers behind a URL: what fails is one request, and it is known whether it may have run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from axtui.runtime.actors.tools import server
from axtui.runtime.actors.tools.faults import ToolFault

from .conftest import Caller
from .web import Web

Start = Callable[..., Caller]


@pytest.fixture
def make_web() -> Iterator[Callable[..., Web]]:
    """Make servers, which are closed in the end."""
    made: list[Web] = []

    def make(**options: Any) -> Web:
        made.append(Web(**options))
        return made[-1]

    yield make
    for web in made:
        web.stop()


@pytest.mark.parametrize(
    ("tool", "code", "unknown", "words"),
    [
        ("wrong", "rejected", False, "no such color"),
        ("limited", "rejected", False, "HTTP 429 Too Many Requests: slow"),
        ("elsewhere", "rejected", False, "Redirect to http://example.org/mcp not followed"),
        ("busy", "lost", True, "HTTP 503 Service Unavailable: wait"),
        ("dropped", "lost", True, "the connection failed: Server disconnected"),
        ("cut", "lost", True, "the connection failed: peer closed connection"),
        ("cut_events", "lost", True, "SSE stream ended without a response"),
        ("no_json", "lost", True, "Failed to parse JSON response"),
        ("zipped", "lost", True, "it compressed its answer, unasked"),
        ("endless", "lost", True, "it is larger than 16 MiB"),
        ("endless_event", "lost", True, "exceeded the 16777216 byte limit"),
        ("page", "malformed", True, "it answered 200 with 'text/html'"),
        ("accepted", "malformed", True, "it answered 202 with 'text/plain'"),
    ],
)
async def test_a_failure_is_of_one_request(
    start: Start, make_web: Callable[..., Web], tool: str, code: str, unknown: bool, words: str
) -> None:
    web = make_web()
    call = start(web={"url": web.url})
    slow = asyncio.create_task(call("web.slow"))
    with pytest.raises(ToolFault, match=re.escape(words)) as caught:
        await call(f"web.{tool}")
    assert (caught.value.code, caught.value.unknown) == (code, unknown)
    # Others in flight on the same connection are not concerned.
    web.go_on.set()
    for result in (await slow, await call("web.hello")):
        assert result["content"] == [{"text": "hello from session 1"}]


@pytest.mark.parametrize("tool", ["gone", "gone_otherwise"])
async def test_a_session_that_the_server_has_ended(
    start: Start, make_web: Callable[..., Web], tool: str
) -> None:
    web = make_web()
    call = start(web={"url": web.url})
    await call("web.hello")
    # It surely never ran, so it is done in a new session.
    assert (await call(f"web.{tool}"))["content"] == [{"text": "hello from session 2"}]
    await call.host.aclose()
    assert web.ended[-1] == "2"


async def test_a_server_that_is_away(
    start: Start, make_web: Callable[..., Web], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RECOVER_SECONDS", 0.01)
    web = make_web()
    call = start(web={"url": web.url})
    await call("web.hello")
    web.stop()
    with pytest.raises(ToolFault, match="web: it can't be reached") as caught:
        await call("web.hello")
    assert (caught.value.code, caught.value.unknown) == ("unavailable", False)
    state = (await call.host.tools())["servers"]["web"]
    assert (state["state"], state["error"][:21]) == ("failed", "it can't be reached: ")
    # Nobody has to ask for it to be found again.
    make_web(port=web.server_port)
    await call.until(lambda: call.changes)
    assert (await call.host.tools())["servers"]["web"]["state"] == "ready"


async def test_headers_are_sent(start: Start, make_web: Callable[..., Web]) -> None:
    web = make_web(secret="x")
    call = start(
        web={"url": web.url, "headers": {"Authorization": "Bearer let me in"}},
        stranger={"url": web.url},
    )
    found = await call.host.tools()
    assert found["servers"]["web"]["state"] == "ready"
    error = "nobody is logged in: axtui tools login stranger"
    assert found["servers"]["stranger"]["error"] == error


async def test_client_credentials(
    start: Start, make_web: Callable[..., Web], monkeypatch: pytest.MonkeyPatch
) -> None:
    web = make_web(secret="sesame")
    monkeypatch.setenv("RIGHT", "sesame")
    monkeypatch.setenv("WRONG", "rye")

    def config(variable: str, issuer: str = web.base) -> dict[str, Any]:
        oauth = {"client_id": "me", "client_secret_env": variable, "issuer": issuer}
        return {"url": web.url, "oauth": oauth}

    call = start(
        right=config("RIGHT"),
        wrong=config("WRONG"),
        unset=config("UNSET"),
        astray=config("RIGHT", "http://127.0.0.1:1"),
    )
    states = (await call.host.tools())["servers"]
    assert states["right"]["state"] == "ready"
    assert (await call("right.hello"))["content"]
    assert web.tokens == 1
    assert states["unset"]["error"] == "the variable UNSET is not set"
    for name in ("wrong", "astray"):
        assert "it can't be logged in to" in states[name]["error"]
        with pytest.raises(ToolFault, match="it can't be logged in to") as caught:
            await call(f"{name}.hello")
        assert (caught.value.code, caught.value.unknown) == ("unavailable", False)
