"""People log in at servers that want it, once: what that gives is kept, and renewed."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest

from axtui.runtime.actors.tools import login
from axtui.runtime.actors.tools.faults import ToolFault

from .conftest import Caller
from .guarded import Guarded

Start = Callable[..., Caller]


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    async with Guarded() as server:
        yield server


async def browse(address: str) -> httpx2.Response:
    """What a person's browser does."""
    async with httpx2.AsyncClient(follow_redirects=True) as browser:
        return await browser.get(address)


async def log_in(call: Caller, name: str = "safe") -> httpx2.Response:
    """Log in; what the browser shows in the end."""
    browsing: list[asyncio.Task[httpx2.Response]] = []
    await call.host.log_in(name, lambda url: browsing.append(asyncio.create_task(browse(url))))
    return await browsing[0]


def kept(folder: Path) -> Path:
    return folder / "logins" / "safe.json"


async def test_who_is_not_logged_in_is_told_what_to_type(guarded: Guarded, start: Start) -> None:
    call = start(safe={"url": guarded.url})
    state = (await call.host.tools())["servers"]["safe"]
    assert (state["state"], state["error"]) == (
        "failed",
        "nobody is logged in: axtui tools login safe",
    )
    # Nobody was registered anywhere for that.
    assert not guarded.authority.clients


async def test_a_log_in_holds_for_every_process(
    guarded: Guarded, start: Start, tmp_path: Path
) -> None:
    page = await log_in(start(safe={"url": guarded.url}))
    assert (page.status_code, "this page can be closed" in page.text) == (200, True)
    assert stat.S_IMODE(kept(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept(tmp_path).parent.stat().st_mode) == 0o700
    assert os.listdir(kept(tmp_path).parent) == ["safe.json"]
    call = start(safe={"url": guarded.url})
    assert (await call("safe.secret"))["content"] == [{"text": "sesame"}]


@pytest.mark.parametrize("seconds", [-10, 3600, None])
async def test_tokens_are_renewed(
    guarded: Guarded, start: Start, tmp_path: Path, seconds: int | None
) -> None:
    """Those that are over, and those that the server takes no more, whatever it had said."""
    guarded.authority.seconds = seconds
    await log_in(start(safe={"url": guarded.url}))
    before = json.loads(kept(tmp_path).read_text())["tokens"]["access_token"]
    guarded.authority.seconds = 3600
    if seconds != -10:
        guarded.authority.access.clear()
    call = start(safe={"url": guarded.url})
    assert (await call("safe.secret"))["content"]
    assert guarded.authority.refreshed == 1
    assert json.loads(kept(tmp_path).read_text())["tokens"]["access_token"] != before
    guarded.authority.access.clear()
    assert (await call("safe.secret"))["content"]
    assert guarded.authority.refreshed == 2


async def test_another_process_may_have_renewed_them(guarded: Guarded, start: Start) -> None:
    first, second = (start(safe={"url": guarded.url}) for _ in range(2))
    await log_in(first)
    for call in (first, second):
        await call("safe.secret")
    guarded.authority.access.clear()
    for call in (first, second):
        assert (await call("safe.secret"))["content"]
    assert guarded.authority.refreshed == 1


async def test_a_log_in_that_ended_has_to_be_repeated(guarded: Guarded, start: Start) -> None:
    call = start(safe={"url": guarded.url})
    await log_in(call)
    await call("safe.secret")
    guarded.authority.access.clear()
    guarded.authority.refresh.clear()
    with pytest.raises(ToolFault, match="safe: nobody is logged in: axtui tools login safe") as end:
        await call("safe.secret")
    assert (end.value.code, end.value.unknown) == ("login", False)
    # Elsewhere, with the host running on.
    await log_in(start(safe={"url": guarded.url}))
    assert (await call("safe.secret"))["content"]


async def test_a_log_in_is_for_one_url(guarded: Guarded, start: Start) -> None:
    await log_in(start(safe={"url": guarded.url}))
    async with Guarded() as other:
        state = (await start(safe={"url": other.url}).host.tools())["servers"]["safe"]
        assert "nobody is logged in" in state["error"]


async def test_what_is_kept_may_be_damaged(guarded: Guarded, start: Start, tmp_path: Path) -> None:
    kept(tmp_path).parent.mkdir()
    for text in ("", "{}", "[]", f'{{"url": "{guarded.url}", "tokens": 5}}'):
        kept(tmp_path).write_text(text)
        state = (await start(safe={"url": guarded.url}).host.tools())["servers"]["safe"]
        assert "nobody is logged in" in state["error"]


async def test_a_log_in_that_is_refused(guarded: Guarded, start: Start, tmp_path: Path) -> None:
    guarded.authority.refuses = True
    with pytest.raises(ToolFault, match="the log-in was refused: access_denied: not you"):
        await log_in(start(safe={"url": guarded.url}))
    assert not kept(tmp_path).exists()


async def test_a_forged_answer_is_no_log_in(guarded: Guarded, start: Start, tmp_path: Path) -> None:
    pages: list[asyncio.Task[httpx2.Response]] = []

    def forge(address: str) -> None:
        back = httpx2.URL(address).params["redirect_uri"]
        pages.append(asyncio.create_task(browse(f"{back}?code=mine&state=guessed")))
        pages.append(asyncio.create_task(browse(f"{back}/elsewhere")))

    call = start(safe={"url": guarded.url})
    with pytest.raises(ToolFault, match="State parameter mismatch"):
        await call.host.log_in("safe", forge)
    assert not kept(tmp_path).exists()
    await asyncio.wait(pages)


async def test_nobody_comes(
    guarded: Guarded, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "LOGIN_SECONDS", 0.3)
    with pytest.raises(ToolFault, match=r"nobody logged in within 0\.3 s") as caught:
        await start(safe={"url": guarded.url}).host.log_in("safe", lambda url: None)
    assert caught.value.code == "timeout"


async def test_who_has_no_log_in(guarded: Guarded, start: Start) -> None:
    call = start(
        program={"command": ["true"]},
        header={"url": guarded.url, "headers": {"authorization": "Bearer x"}},
        away={"url": "http://127.0.0.1:9/mcp"},
    )
    for name, words in {
        "program": "it is a program",
        "header": "with what the configuration has",
        "away": "it can't be reached",
    }.items():
        with pytest.raises(ToolFault, match=words):
            await call.host.log_in(name, lambda url: None)
    state = (await call.host.tools())["servers"]["header"]
    assert "HTTP 401" in state["error"]
