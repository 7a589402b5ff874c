"""Real servers, as others have written them: from PyPI and from npm, over pipes and HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from .conftest import SCRIPTS, Caller

Start = Callable[..., Caller]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit and one change."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "poem").write_text("roses\n")
    me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    for words in (("init", "-q"), ("add", "poem"), (*me, "commit", "-q", "-m", "A poem")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    (folder / "poem").write_text("violets\n")
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """The URL of a page."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "page.html").write_text("<html><body><h1>Whales</h1><p>They sing.</p></body></html>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as web:
        thread = Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}/page.html"
        web.shutdown()
        thread.join()


async def test_time(start: Start) -> None:
    call = start(time={"command": [str(SCRIPTS / "mcp-server-time")]})
    found = await call.host.tools()
    about = found["servers"]["time"]
    assert (about["state"], about["name"], about["protocol"]) == ("ready", "mcp-time", "2026-07-28")
    (convert,) = (tool for tool in found["tools"] if tool["name"] == "time.convert_time")
    assert convert["readonly"]
    assert not convert["destructive"]
    assert convert["schema"]["required"] == ["source_timezone", "time", "target_timezone"]
    assert convert["output_schema"]["type"] == "object"

    now = await call("time.get_current_time", timezone="Europe/Berlin")
    assert now["structured"]["timezone"] == "Europe/Berlin"
    assert json.loads(now["content"][0]["text"]) == now["structured"]
    wrong = await call("time.get_current_time", timezone="Nowhere")
    assert wrong["error"]
    assert "Invalid timezone" in wrong["content"][0]["text"]


async def test_git(start: Start, repository: Path) -> None:
    call = start(git={"command": [str(SCRIPTS / "mcp-server-git")], "idempotent": ["git_commit"]})
    tools = {tool["name"]: tool for tool in (await call.host.tools())["tools"]}
    assert tools["git.git_log"]["readonly"]
    assert not tools["git.git_reset"]["readonly"]
    assert tools["git.git_reset"]["destructive"]
    # The configuration has the last word in both directions.
    assert tools["git.git_commit"]["idempotent"]
    assert not tools["git.git_add"]["idempotent"]

    changed = await call("git.git_diff_unstaged", repo_path=str(repository))
    assert "-roses\n+violets" in changed["content"][0]["text"]
    await call("git.git_add", repo_path=str(repository), files=["poem"])
    staged = await call("git.git_status", repo_path=str(repository))
    assert "Changes to be committed" in staged["content"][0]["text"]


async def test_fetch(start: Start, page: str) -> None:
    options = ["--allow-private-ips", "--ignore-robots-txt"]
    command = [str(SCRIPTS / "mcp-server-fetch"), *options]
    # With npm in its reach it would install something first.
    call = start(fetch={"command": command, "env": {"PATH": "/nowhere"}})
    fetched = await call("fetch.fetch", url=page)
    assert "They sing." in fetched["content"][0]["text"]
    found = await call.host.prompts()
    assert [prompt["name"] for prompt in found["prompts"]] == ["fetch.fetch"]
    assert found["errors"] == {}
    prompt = await call.host.get_prompt("fetch.fetch", {"url": page})
    assert prompt["messages"][0]["role"] == "user"
    assert "They sing." in prompt["messages"][0]["content"][0]["text"]


async def check_everything(call: Caller) -> None:
    """What the reference server of that name can do, by whichever way it is reached."""
    found = await call.host.tools()
    assert found["servers"]["every"]["protocol"] == "2025-11-25"
    assert len(found["tools"]) >= 10
    assert (await call("every.echo", message="hello"))["content"] == [{"text": "Echo: hello"}]
    weather = await call("every.get-structured-content", location="Chicago")
    assert set(weather["structured"]) == {"temperature", "conditions", "humidity"}
    image = (await call("every.get-tiny-image"))["content"][1]["media"]
    assert image["type"] == "image/png"
    assert b64decode(image["data"]).startswith(b"\x89PNG")
    embedded = await call("every.get-resource-reference", resourceType="Text", resourceId=1)
    held = embedded["content"][1]["resource"]
    assert held["type"] == "text/plain"
    assert held["uri"].startswith("demo://resource/dynamic/text/1")
    assert "Resource 1" in held["text"]
    links = await call("every.get-resource-links", count=2)
    assert links["content"][1]["resource"]["uri"].startswith("demo://")
    await call("every.trigger-long-running-operation", duration=0.2, steps=4)
    assert call.said[-4:] == ["1/4", "2/4", "3/4", "4/4"]
    wrong = await call("every.get-sum", a="one", b=2)
    assert wrong["error"]
    assert "expected number" in wrong["content"][0]["text"]
    prompts = {prompt["name"]: prompt for prompt in (await call.host.prompts())["prompts"]}
    weather = prompts["every.args-prompt"]
    assert [argument["required"] for argument in weather["arguments"]] == [True, False]
    filled = await call.host.get_prompt("every.args-prompt", {"city": "Paris"})
    assert "Paris" in filled["messages"][0]["content"][0]["text"]


async def test_everything(start: Start, node_modules: Path) -> None:
    command = ["node", str(node_modules / "server-everything" / "dist" / "index.js"), "stdio"]
    call = start(every={"command": command})
    await check_everything(call)
    resources = (await call.host.resources())["resources"]
    assert resources[0]["uri"].startswith("every.demo://")
    read = await call.host.read_resource(resources[0]["uri"])
    assert read["contents"][0]["resource"]["uri"] == resources[0]["uri"].removeprefix("every.")
    assert any("template" in resource for resource in resources)


@asynccontextmanager
async def everything(node_modules: Path, port: int) -> AsyncIterator[str]:
    """The URL of the reference server, while it runs."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(node_modules / "server-everything" / "dist" / "index.js"),
        "streamableHttp",
        env={**os.environ, "PORT": str(port)},
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    async for line in process.stderr:
        if str(port).encode() in line:
            break
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        await process.communicate()


async def test_everything_over_http(start: Start, node_modules: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with everything(node_modules, port) as url:
        call = start(every={"url": url})
        await check_everything(call)
    # A new process knows nothing of the old one's sessions.
    async with everything(node_modules, port):
        again = await call("every.echo", message="again")
    assert again["content"] == [{"text": "Echo: again"}]


async def test_filesystem(start: Start, node_modules: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    script = node_modules / "server-filesystem" / "dist" / "index.js"
    call = start(files={"command": ["node", str(script), str(folder)]})
    tools = {tool["name"]: tool for tool in (await call.host.tools())["tools"]}
    assert tools["files.read_text_file"]["readonly"]
    assert tools["files.write_file"]["destructive"]
    await call("files.write_file", path=str(folder / "note"), content="whales")
    assert (folder / "note").read_text() == "whales"
    outside = await call("files.read_text_file", path="/etc/passwd")
    assert outside["error"]
    assert "Access denied" in outside["content"][0]["text"]
