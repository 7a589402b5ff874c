"""The UI in a browser: who is let in, and that it works there."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from axtui.client import connect
from axtui.model.tokens import new_secret, secret_hash
from axtui.runtime.config import Config
from axtui.web.server import COOKIE
from tests.remote.authority import Authority
from tests.remote.conftest import authority

from .harness import SECONDS
from .web import CHROMIUM, DRIVER, Browser, Web

__all__ = ["authority"]

ENTER, TAB, SHIFT, CONTROL, ESCAPE = "\ue007", "\ue004", "\ue008", "\ue009", "\ue00c"

with_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="there is no chromium, or no chromedriver"
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Starts the command."""
    made: list[Web] = []

    def start(*options: str) -> Web:
        made.append(Web(tmp_path, *options))
        return made[-1]

    yield start
    for web in made:
        assert web.stop() in (0, 143)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Something that isn't a browser."""
    jar = aiohttp.CookieJar(unsafe=True)
    timeout = aiohttp.ClientTimeout(SECONDS)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as session:
        yield session


async def token(tmp_path: Path, role: str) -> str:
    """A token of the log that is served."""
    client = connect(Config(data_dir=tmp_path / "data"))
    secret = new_secret()
    await client.create_token(role, role, secret_hash(secret), 0)
    await client.close()
    return secret


async def status(http: aiohttp.ClientSession, address: str, **headers: str) -> int:
    async with http.get(address, headers=headers) as response:
        await response.read()
        return response.status


async def test_on_this_machine_it_is_there_for_its_browsers(
    start: Callable[..., Web], http: aiohttp.ClientSession
) -> None:
    web = start("--address", "127.0.0.1:0")
    here = f"http://127.0.0.1:{web.port}"
    assert await status(http, f"{here}/") == 200
    assert await status(http, f"http://localhost:{web.port}/") == 200
    assert await status(http, f"{here}/static/js/textual.js") == 200
    # A site whose name somebody has pointed at this machine.
    assert await status(http, f"{here}/", Host=f"evil.example:{web.port}") == 403
    for origin in ("http://evil.example", f"http://127.0.0.1:{web.port + 1}", "null"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(f"{here}/ws", headers={"Origin": origin})
        assert caught.value.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(f"{here}/ws")
    assert caught.value.status == 403
    async with http.ws_connect(f"{here}/ws", headers={"Origin": here}) as socket:
        async for message in socket:
            if b"no runs yet" in message.data:
                break


async def test_beyond_it_every_request_takes_a_token(
    start: Callable[..., Web], http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    secret = await token(tmp_path, "viewer")
    web = start("--address", "0.0.0.0:0", "--insecure")
    here = f"http://127.0.0.1:{web.port}"
    for address in ("/", "/static/js/textual.js", "/ws", "/download/x"):
        told = {"Origin": here}
        assert await status(http, here + address, **told) == 401
        told["Cookie"] = f"{COOKIE}={new_secret()}"
        assert await status(http, here + address, **told) == 401
        assert await status(http, f"{here}{address}?token={new_secret()}", **told) == 401
    async with http.post(
        f"{here}/login", data={"token": "x" * 5000}, headers={"Origin": here}
    ) as no:
        assert no.status == 401
    async with http.post(f"{here}/login", data={"token": secret}) as no:
        assert no.status == 403
    async with http.get(f"{here}/?token={secret}") as entered:
        kept = entered.cookies[COOKIE]
        assert secret not in await entered.text()
    assert (kept["httponly"], kept["samesite"], kept["path"]) == (True, "Strict", "/")
    assert await status(http, f"{here}/") == 200
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(f"{here}/ws", headers={"Origin": "http://evil.example"})
    assert caught.value.status == 403
    # The session is the viewer's.
    async with http.ws_connect(f"{here}/ws", headers={"Origin": here}) as socket:
        async for message in socket:
            if b"READ ONLY" in message.data:
                break


async def test_a_token_can_be_typed(
    start: Callable[..., Web], http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    secret = await token(tmp_path, "operator")
    web = start("--address", "0.0.0.0:0", "--insecure")
    here = f"http://127.0.0.1:{web.port}"
    async with http.get(f"{here}/") as response:
        assert 'name="token"' in await response.text()
    async with http.post(f"{here}/login", data={"token": secret}, headers={"Origin": here}) as yes:
        assert yes.status == 200
    assert await status(http, f"{here}/") == 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--address", "0.0.0.0:0"), "takes TLS"),
        (("--address", "0.0.0.0:0", "--insecure"), "nobody is let in without a token"),
        (("--address", "unix:x"), "a browser takes HOST:PORT"),
        (("--server", "127.0.0.1:1"), "127.0.0.1:1"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", "axtui", "--serve-web", *options, "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS * 2)
    assert done.returncode in (2, 5)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# The test after it does all of this, too.
@pytest.mark.long
@with_browser
async def test_a_run_is_started_and_seen_to_complete_in_a_browser(
    start: Callable[..., Web], tmp_path: Path
) -> None:
    web = start("--address", "127.0.0.1:0")
    browser = await asyncio.to_thread(Browser, tmp_path / "profile")
    try:
        await asyncio.to_thread(_watch_a_run, browser, f"http://127.0.0.1:{web.port}/")
        client = connect(web.config)
        (listed,) = await client.conversations()
        await client.close()
        assert (listed.summary.agent, listed.summary.state) == ("echo", "completed")
    finally:
        await asyncio.to_thread(browser.close)


@with_browser
async def test_what_a_run_asks_is_answered_in_a_browser(
    start: Callable[..., Web], tmp_path: Path
) -> None:
    shutil.copy(Path(__file__).with_name("asking_agents.py"), tmp_path)
    agents = [{"id": "publisher", "python": "asking_agents:publisher"}]
    (tmp_path / "axtui.yaml").write_text(json.dumps({"agents": agents}))
    web = start("--address", "127.0.0.1:0")
    browser = await asyncio.to_thread(Browser, tmp_path / "profile")
    try:
        await asyncio.to_thread(_approve, browser, f"http://127.0.0.1:{web.port}/")
        client = connect(web.config)
        (listed,) = await client.conversations()
        answered = await client.read(listed.summary.id, kinds=["approval.answered"])
        await client.close()
        assert (listed.summary.agent, listed.summary.state) == ("publisher", "completed")
        assert [record.event().approval_answered.choice for record in answered] == ["approve"] * 2
    finally:
        await asyncio.to_thread(browser.close)


def _watch_a_run(browser: Browser, address: str) -> None:
    _start_a_run(browser, address, "echo", "Says what it was told.")
    browser.until("run.completed")


def _approve(browser: Browser, address: str) -> None:
    _start_a_run(browser, address, "publisher", "Asks twice whether it may.")
    browser.until("1 waiting")
    browser.type("a")
    browser.until("Publish it?")
    # The card takes no answer before it is armed.
    browser.until("q3: approve", key="y")
    browser.until("q5: approve", key="y")
    browser.type("q")
    browser.until("run.completed")


def _start_a_run(browser: Browser, address: str, agent: str, about: str) -> None:
    browser.open(address)
    browser.until("no runs yet")
    # Once they were listed, the form has the agents before anything is typed into it.
    browser.type("3")
    browser.until(about)
    browser.type(ESCAPE)
    browser.until("no runs yet")
    browser.type("c")
    browser.until("new run")
    browser.type(*"hello browser")
    browser.until("browser")
    browser.hold(SHIFT, TAB)
    browser.until(about, key=ENTER)
    browser.type(*agent, ENTER)
    browser.until("▼")
    browser.hold(CONTROL, "s")


@with_browser
async def test_a_browser_keeps_the_token_where_no_script_finds_it(
    start: Callable[..., Web], tmp_path: Path
) -> None:
    secret = await token(tmp_path, "viewer")
    web = start("--address", "0.0.0.0:0", "--insecure")
    browser = await asyncio.to_thread(Browser, tmp_path / "profile")
    try:
        here = f"http://127.0.0.1:{web.port}/"
        await asyncio.to_thread(browser.open, f"{here}?token={secret}")
        await asyncio.to_thread(browser.until, "READ ONLY")
        assert browser.run("return [location.href, document.cookie]") == [here, ""]
        (kept,) = browser.cookies()
        assert (kept["value"], kept["httpOnly"], kept["sameSite"]) == (secret, True, "Strict")
    finally:
        await asyncio.to_thread(browser.close)


async def test_tls_is_that_of_the_configuration(
    start: Callable[..., Web], http: aiohttp.ClientSession, tmp_path: Path, authority: Authority
) -> None:
    cert, key = authority.pair()
    tls = {"server": {"tls": {"cert": cert, "key": key}}}
    (tmp_path / "axtui.yaml").write_text(json.dumps(tls))
    secret = await token(tmp_path, "operator")
    web = start("--address", "0.0.0.0:0")
    trusted = ssl.create_default_context(cafile=authority.ca)
    async with http.get(f"https://127.0.0.1:{web.port}/?token={secret}", ssl=trusted) as entered:
        assert entered.status == 200
        kept = entered.cookies[COOKIE]
        assert kept["secure"] is True
    async with http.ws_connect(
        f"https://127.0.0.1:{web.port}/ws",
        headers={"Origin": f"https://127.0.0.1:{web.port}", "Cookie": f"{COOKIE}={secret}"},
        ssl=trusted,
    ) as socket:
        async for message in socket:
            if b"no runs yet" in message.data:
                break
