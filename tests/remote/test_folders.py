"""The folders that conversations on a server work in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axtui.model.fold import is_open
from axtui.remote.client import RemoteClient
from axtui.runtime.actors.environment import Environment
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import Taken, UnknownEvent
from axtui.runtime.forking import fork
from axtui.v1 import state_pb2 as st

from .harness import Serve


async def until(client: RemoteClient, name: str, test: Callable[[st.State], Any]) -> st.State:
    """The state, once it is that."""
    async with asyncio.timeout(30):
        async for _ in client.watch(name, 0):
            state = await client.state(name)
            if test(state):
                return state
    raise AssertionError("it goes on")


async def shell(client: RemoteClient, name: str, command: str) -> None:
    """Run a command."""
    await client.start(name, command, "shell", RunOptions(approve="all"))
    state = await until(client, name, lambda state: not is_open(state))
    assert state.run.state == "completed", state.run


async def test_a_fork_has_a_copy_of_its_own(served: Serve) -> None:
    server = await served()
    client = server.client()
    work = Path(str(server.config.environment.workspace))
    await shell(
        client, "c", "mkdir -p a/b; echo one > a/b/file; chmod 700 a/b; ln -s a/b/file link"
    )
    assert await client.fork("c", None, "d", None) == "d"
    assert (await client.state("d")).run.workspace == str(work / "d")
    await shell(client, "d", "cat link > seen; echo two > a/b/file")
    assert (work / "d/seen").read_text() == (work / "c/link").read_text() == "one\n"
    assert (work / "d/link").readlink() == Path("a/b/file")
    assert (work / "d/a/b").stat().st_mode & 0o777 == 0o700
    # And so has a fork of that, as what it works in is in the log.
    await client.fork("d", 2, "e", None)
    assert (work / "e/link").read_text() == "two\n"


async def test_what_was_done_in_the_source_is_what_it_was(served: Serve) -> None:
    """Though its agent was told of the source's folder, and tells it its steps."""
    server = await served()
    client = server.client()
    work = Path(str(server.config.environment.workspace))
    await client.start("c", "x", "teller", RunOptions())
    await until(client, "c", lambda state: state.questions)
    await client.fork("c", None, "d", None)
    for name in ("c", "d"):
        (question,) = (await client.state(name)).questions
        await client.answer(name, question, "approve", "", False)
    await client.resume("d", RunOptions(approve="all"))
    await until(client, "d", lambda state: state.questions or not is_open(state))
    state = await client.state("d")
    assert (state.run.state, state.run.output.text) == ("completed", f'"{work}/c"')
    assert (work / "d/where").read_text() == f"{work}/d\n"
    # The next one is told where it works.
    await client.start("d", "x", "teller", RunOptions())
    await until(client, "d", lambda state: state.questions)
    told = [r.event() for r in await client.read("d", kinds=["step.completed"])]
    assert f'"{work}/d"' in [event.step_completed.result.text for event in told]


async def test_what_was_left_of_another_stays(served: Serve) -> None:
    server = await served()
    client = server.client()
    work = Path(str(server.config.environment.workspace))
    await shell(client, "c", "touch new")
    (work / "d").mkdir()
    (work / "d/old").touch()
    await client.fork("c", None, "d", None)
    folder = Path((await client.state("d")).run.workspace)
    assert (folder.parent, folder.name[:2]) == (work, "d-")
    assert (os.listdir(folder), os.listdir(work / "d")) == (["new"], ["old"])


async def test_no_fork_no_folder(served: Serve) -> None:
    server = await served()
    client = server.client()
    work = Path(str(server.config.environment.workspace))
    await shell(client, "c", "touch file")
    await shell(client, "taken", "true")
    with pytest.raises(Taken):
        await client.fork("c", None, "taken", None)
    with pytest.raises(Refused, match="has nothing that can be edited"):
        await client.fork("c", 3, "d", {"text": "x"})
    with pytest.raises(UnknownEvent):
        await client.fork("c", 99, "d", None)
    assert sorted(os.listdir(work)) == ["c", "taken"]
    assert os.listdir(work / "taken") == []


async def test_who_gives_up_leaves_no_folder(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await served()
    work = Path(str(server.config.environment.workspace))
    await shell(server.client(), "c", "touch file")
    copying = asyncio.Event()

    async def run(*command: object, **options: object) -> None:
        copying.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Environment, "run", run)
    forking = asyncio.create_task(server.local.fork("c", None, "d", None))
    await copying.wait()
    forking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forking
    assert os.listdir(work) == ["c"]


async def test_what_cannot_be_copied_is_told(served: Serve) -> None:
    server = await served()
    client = server.client()
    work = Path(str(server.config.environment.workspace))
    await shell(client, "c", "head -c 2M /dev/zero > big")
    limits = server.config.environment.limits
    object.__setattr__(limits, "file_size", 1 << 20)
    with pytest.raises(Refused, match=r"work/c can't be copied for the fork: File size limit"):
        await client.fork("c", None, "d", None)
    assert os.listdir(work) == ["c"]
    assert await client.find("d") is None


async def test_links_of_a_source_lead_nowhere(served: Serve, tmp_path: Path) -> None:
    server = await served()
    client = server.client()
    work = Path(str(server.config.environment.workspace))
    (tmp_path / "secret").touch()
    await shell(client, "c", f"ln -s {tmp_path} link; ln -s . {'a' * 200}; mkfifo pipe")
    await client.fork("c", None, "d", None)
    assert (work / "d/link").is_symlink()
    assert len(os.listdir(work / "d")) == 3


async def test_a_fork_of_what_was_begun_in_a_folder_beside_works_there(served: Serve) -> None:
    server = await served()
    client = server.client()
    work = Path(str(server.config.environment.workspace))
    (work / "project").mkdir(parents=True)
    await server.local.start("c", "hello", "gate", RunOptions(workspace=str(work / "project")))
    await client.fork("c", None, "d", None)
    assert (await client.state("d")).run.workspace == str(work / "project")
    assert os.listdir(work) == ["project"]


async def test_a_fork_of_an_older_fork_has_a_copy_of_its_own(served: Serve) -> None:
    server = await served()
    client = server.client()
    work = Path(str(server.config.environment.workspace))
    await shell(client, "c", "touch file")
    assert server.local.host
    await fork(server.local.host.controller.log, "c", None, "d", None, "ann", "")
    assert (await client.state("d")).run.workspace == str(work / "c")
    await client.fork("d", None, "e", None)
    assert (await client.state("e")).run.workspace == str(work / "e")


async def test_a_fork_of_what_was_begun_elsewhere_works_there(
    served: Serve, tmp_path: Path
) -> None:
    server = await served()
    client = server.client()
    await server.local.start("c", "hello", "gate", RunOptions(workspace="/tmp"))
    await client.fork("c", None, "d", None)
    assert (await client.state("d")).run.workspace == "/tmp"
    assert "work" not in os.listdir(tmp_path)
