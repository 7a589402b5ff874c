"""A server that goes away and comes back, and several terminals on one log."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from axtui.app import AxtuiApp
from axtui.client import Config, Credentials, RunOptions, connect
from axtui.model.events import Draft
from axtui.remote.client import RemoteClient
from axtui.remote.dialing import Elsewhere
from axtui.runtime.eventlog.lease import holder
from axtui.screens.run import RunScreen
from axtui.ui.log_view import LogView
from axtui.v1 import event_pb2 as pb
from axtui.widgets.bars import TopBar
from axtui.widgets.runs_table import RunsTable
from tests.remote.conftest import Server, make_server
from tests.remote.harness import Serve

from .harness import end_holder, until
from .histories import open_run, text_of

__all__ = ["make_server"]


def bar(pilot: Pilot[Any]) -> str:
    """The line at the top."""
    return str(pilot.app.screen.query_one(TopBar).render())


def states(pilot: Pilot[Any]) -> dict[str, str]:
    """The runs that are listed, and their states."""
    runs = pilot.app.screen.query_one(RunsTable).runs
    rows = runs.rows if runs else []
    return {row.listed.summary.id: row.listed.summary.state for row in rows}


async def shown(pilot: Pilot[Any], view: LogView) -> list[tuple[int, str]]:
    """Every event that the view has, by its seq and kind."""
    found = []
    for seq in range(1, view.head + 1):
        record = await until(pilot, lambda seq=seq: view.record(seq))
        found.append((record.seq, record.kind))
    return found


async def test_nothing_is_missing_or_doubled_when_a_server_is_back(
    make_server: Callable[[], Server],
) -> None:
    server = make_server().start()
    client = RemoteClient(Elsewhere(server.address, Credentials()))
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: hasattr(app.desk, "client"))
        await client.start("c", "", "emitter", RunOptions(config=[300, 0.005]))
        screen = RunScreen("c")
        await app.push_screen(screen)
        await until(pilot, lambda: screen.view is not None and screen.view.head > 50)
        view = screen.view
        assert view is not None
        await until(pilot, lambda: view.record(1))
        await asyncio.to_thread(server.kill)
        await until(pilot, lambda: "lost, connecting again" in bar(pilot))
        seen = view.head
        assert view.record(1) is not None
        await asyncio.to_thread(server.start)
        await until(pilot, lambda: "connected" in bar(pilot) and view.head > seen)
        await until(pilot, lambda: screen.state and screen.state.run.state == "completed")
        head = screen.state.seq
        await until(pilot, lambda: view.head == head)
        log: list[tuple[int, str]] = []
        while page := await client.read("c", after=len(log)):
            log += [(record.seq, record.kind) for record in page]
        assert [seq for seq, _ in log] == list(range(1, head + 1))
        assert await shown(pilot, view) == log
    await client.close()


async def test_what_one_terminal_does_another_shows(served: Serve) -> None:
    server = await served()
    async with AsyncExitStack() as stack:
        pilots = []
        for _ in range(2):
            client = connect(server.config)
            stack.push_async_callback(client.close)
            app = AxtuiApp(lambda client=client: client)
            pilots.append(await stack.enter_async_context(app.run_test(size=(120, 30))))
            await until(pilots[-1], lambda app=app: app.screen.query(RunsTable).first().empty_text)
        one, other = pilots
        writer = await one.app.desk.writer()
        await writer.start("c", "hello", "asker", RunOptions())
        for pilot in pilots:
            await until(pilot, lambda pilot=pilot: states(pilot) == {"c": "waiting"})
        await other.press("enter")
        await until(other, lambda: isinstance(other.app.screen, RunScreen))
        await until(other, lambda: other.app.screen.view is not None)
        await one.press("x")
        await one.press("y")
        view = other.app.screen.view
        await until(other, lambda: (last := view.record(view.head)) and last.kind == "run.canceled")
        await until(one, lambda: states(one) == {"c": "canceled"})


def at(screen: RunScreen) -> str:
    """What the run is at, as its screen has it."""
    return text_of(screen.query_one("#state")).partition("\n")[0].strip()


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """A data directory of its own; who drives its runs is ended."""
    config = Config(data_dir=tmp_path)
    yield config
    end_holder(config.log_path)


async def test_a_run_that_nobody_drives_any_more_says_so(config: Config) -> None:
    client = connect(config)
    await client.join(start=True)
    options = RunOptions(config={"idempotent": True})
    await client.start("c", "sleep 0.1\n" * 5000, "shell", options)
    os.kill(holder(config.log_path)[0], signal.SIGKILL)
    await client.close()
    app = AxtuiApp(lambda: connect(config))
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: not holder(config.log_path)[0])
        screen = await open_run(app, pilot, "c")
        await until(pilot, lambda: at(screen).endswith("(no controller)"))
        await pilot.press("R")
        await until(pilot, lambda: at(screen) == "● running")
        await pilot.press("x", "y")
        await until(pilot, lambda: at(screen) == "⊘ canceled")
    await app.desk.close()


async def test_a_run_that_a_server_doesnt_drive_says_so(served: Serve) -> None:
    server = await served()
    assert server.local.host is not None
    conversation = await server.local.host.controller.log.conversation("c", create=True)
    await conversation.append(Draft(pb.RunStarted(agent="asker"), "x", "asker"))
    client = server.client()
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await open_run(app, pilot, "c")
        await until(pilot, lambda: "(no controller)" in at(screen))
        await pilot.press("R")
        await until(pilot, lambda: "waiting" in at(screen))
        (question,) = screen.state.questions
        await client.answer("c", question, "", "an answer", False)
        await until(pilot, lambda: "completed" in at(screen))
