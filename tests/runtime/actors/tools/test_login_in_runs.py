"""A call that needs a log-in waits for one, and `axtui tools login` is how to get it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from axtui.agent import ActorError, Call
from axtui.agent import _call as current
from axtui.runtime.actors.roster import Roster
from axtui.runtime.actors.tools.actor import ToolServers
from axtui.runtime.config import Config, ToolServer
from tests.cli.harness import environment

from .guarded import Guarded
from .test_login import browse


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    async with Guarded() as server:
        yield server


@pytest.fixture
async def servers(guarded: Guarded, tmp_path: Path) -> AsyncIterator[ToolServers]:
    """The guarded one, with somebody logged in."""
    roster = Roster(None, str)
    config = Config(data_dir=tmp_path, tools={"safe": ToolServer(url=guarded.url)})
    servers = ToolServers(roster, config)
    await log_in(servers)
    yield servers
    await roster.close()


async def log_in(servers: ToolServers) -> None:
    browsing: list[asyncio.Task[Any]] = []
    await servers.log_in("safe", lambda url: browsing.append(asyncio.create_task(browse(url))))
    await asyncio.wait(browsing)


@pytest.mark.parametrize("answer", ["retry", "fail"])
async def test_a_person_is_asked_to_log_in(
    guarded: Guarded, servers: ToolServers, answer: str
) -> None:
    questions: list[tuple[str, tuple[str, ...]]] = []

    async def ask(question: str, choices: Any, detail: Any) -> str:
        questions.append((question, choices))
        await log_in(servers)
        return answer

    tool = await servers.find("safe.secret")
    assert tool is not None
    guarded.authority.access.clear()
    guarded.authority.refresh.clear()
    call = Call("key", 1, "/", lambda text: None, ask, None)  # type: ignore[arg-type]
    token = current.set(call)
    try:
        if answer == "retry":
            assert (await tool.function())["content"] == [{"text": "sesame"}]
        else:
            with pytest.raises(ActorError) as caught:
                await tool.function()
            assert (caught.value.code, caught.value.unknown) == ("login", False)
    finally:
        current.reset(token)
    told = "safe: nobody is logged in: axtui tools login safe, and then answer. Go on?"
    assert questions == [(told, ("retry", "fail"))]


async def _axtui(folder: Path, *argv: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "axtui", *argv, "--data-dir", "data"),
        cwd=folder,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "axtui.yaml").write_text(f"tools: {{safe: {{url: '{guarded.url}'}}}}\n")
    listing = await _axtui(tmp_path, "tools", "--from", "safe")
    out, _ = await listing.communicate()
    assert out.decode() == "safe: nobody is logged in: axtui tools login safe\n"
    login = await _axtui(tmp_path, "tools", "login", "safe")
    assert login.stdout is not None
    line = await login.stdout.readline()
    assert line == b"to log in, open this in a browser on this machine:\n"
    await browse((await login.stdout.readline()).decode().strip())
    out, err = await login.communicate()
    assert (login.returncode, out, err) == (0, b"logged in at safe\n", b"")
    listing = await _axtui(tmp_path, "tools", "--from", "safe", "--output", "json")
    out, _ = await listing.communicate()
    assert [json.loads(line).get("tool") for line in out.splitlines()] == ["safe.secret", None]
    # Nothing of it is in the log.
    held = [path for path in (tmp_path / "data").rglob("*") if b"refresh-" in _bytes(path)]
    assert held == [tmp_path / "data" / "logins" / "safe.json"]


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (("login",), 2, "which server?"),
        (("login", "other"), 2, "there is no tool server 'other'"),
        (("login", "program"), 5, "program: it is a program, and wants no log-in"),
        (("list", "program"), 2, "the list takes no name"),
    ],
)
async def test_what_is_no_log_in(
    tmp_path: Path, argv: tuple[str, ...], status: int, words: str
) -> None:
    (tmp_path / "axtui.yaml").write_text("tools: {program: {command: ['true']}}\n")
    ended = await _axtui(tmp_path, "tools", *argv)
    _, err = await ended.communicate()
    assert (ended.returncode, words in err.decode()) == (status, True), err
