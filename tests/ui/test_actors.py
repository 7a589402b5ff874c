"""The screen of actors and agents."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from axtui.actors import Actors
from axtui.app import AxtuiApp
from axtui.client import CONTROL_LOG, Config, connect
from axtui.model.events import Draft, Payload
from axtui.runtime.actors.supervisor import Spec
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.screens.actors import ActorsScreen
from axtui.screens.runs import RunsScreen
from axtui.v1 import event_pb2 as pb
from axtui.widgets.actors_table import ActorsTable, AgentsTable
from axtui.widgets.lines import Lines
from tests.remote.harness import Serve
from tests.runtime.actors.test_supervisor import PROGRAM

from .harness import until


class Log:
    """The control log, written by this process as a controller does."""

    def __init__(self, config: Config) -> None:
        self.log = SqliteLog.open_to_write(config.log_path)

    async def says(self, actor: str, payload: Payload) -> None:
        control = await self.log.conversation(CONTROL_LOG, create=True)
        await control.append(Draft(payload, actor=actor))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data")


@pytest.fixture
async def log(config: Config) -> AsyncIterator[Log]:
    made = Log(config)
    yield made
    await made.log.close()


@asynccontextmanager
async def opened(config: Config, size: tuple[int, int] = (140, 40)) -> AsyncIterator[Pilot[Any]]:
    """The screen, once it shows agents."""
    app = AxtuiApp(lambda: connect(config))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: hasattr(app.desk, "client"))
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, ActorsScreen))
        await until(pilot, lambda: app.screen.query_one(AgentsTable).count)
        try:
            yield pilot
        finally:
            await app.desk.close()


def rows(pilot: Pilot[Any]) -> list[str]:
    """The actors as they are drawn."""
    table = pilot.app.screen.query_one(ActorsTable)
    return [
        " ".join("".join(text for text, _ in table.cells(index, 100) or ()).split())
        for index in range(table.count)
    ]


def about(pilot: Pilot[Any]) -> str:
    """What is said of the row under the cursor."""
    return "\n".join(line.text for line in pilot.app.screen.query_one(Lines)._lines)


async def test_actors_are_shown_as_they_come_and_go(config: Config, log: Log) -> None:
    me = os.getpid()
    await log.says("tools", pb.ActorStarted(actor="tools", kind="tools", pid=me))
    async with opened(config) as pilot:
        await until(pilot, lambda: rows(pilot))
        (row,) = rows(pilot)
        assert row.startswith(f"tools ● running tools {me} ")
        stderr = pb.Data(text="first\x1b[31m\nsecond")
        await log.says("tools", pb.ActorStopped(actor="tools", reason="exit 3", stderr=stderr))
        await log.says("models", pb.ActorStarted(actor="models", kind="models", pid=me))
        await until(pilot, lambda: len(rows(pilot)) == 2)
        assert rows(pilot)[0].startswith("tools ○ stopped tools ")
        assert rows(pilot)[0].endswith(" exit 3")
        assert rows(pilot)[1].startswith(f"models ● running models {me} ")
        assert about(pilot).splitlines()[-2:] == ["first␛[31m", "second"]
        await pilot.press("down")
        await until(pilot, lambda: about(pilot).startswith("models\n"))
        await log.says("tools", pb.ActorStarted(actor="tools", kind="tools", pid=me))
        await until(pilot, lambda: " ↻1 " in rows(pilot)[0])


@pytest.mark.parametrize("where", ["joined", "remote"])
async def test_how_many_calls_each_works_on_is_shown(served: Serve, where: str) -> None:
    server = await served()
    host = server.local.host
    assert host is not None
    actor = host.controller.roster.add(Spec("busy", "tools", PROGRAM))
    joined = connect(Config(data_dir=server.config.data_dir)) if where == "joined" else None
    client = joined or server.client()
    app = AxtuiApp(lambda: client, "" if joined else server.address)
    async with app.run_test(size=(140, 40)) as pilot, actor.use(), actor.use():
        await until(pilot, lambda: hasattr(app.desk, "client"))
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, ActorsScreen) and rows(pilot))
        await until(pilot, lambda: " 2 calls" in rows(pilot)[0])
        await until(pilot, lambda: f"pid {actor.pid}, 2 calls" in about(pilot))
    await client.close()


async def test_an_actor_whose_controller_was_killed_is_gone(config: Config) -> None:
    dead = Log(config)
    await dead.says("tools", pb.ActorStarted(actor="tools", kind="tools", pid=1))
    await dead.log.close()
    async with opened(config) as pilot:
        await until(pilot, lambda: rows(pilot))
        assert rows(pilot)[0].startswith("tools ✗ gone tools ")
        assert rows(pilot)[0].endswith(" its controller was killed")


async def test_where_there_are_none_it_says_when_there_are(config: Config) -> None:
    async with opened(config) as pilot:
        assert about(pilot) == "no actors; models and tools get theirs when a run first needs them"


async def test_agents_are_shown_with_what_they_lack(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.endswith("_KEY")]:
        monkeypatch.delenv(name)
    async with opened(config) as pilot:
        table = pilot.app.screen.query_one(AgentsTable)
        await pilot.press("tab")
        await until(pilot, lambda: pilot.app.focused is table)
        ids = [agent.id for agent in table.agents]
        for _ in range(ids.index("planner")):
            await pilot.press("down")
        await until(pilot, lambda: about(pilot).startswith("planner\n✗ not ready\n"))
        assert table.agents[table.cursor].problem in about(pilot)


async def test_it_is_left_the_way_it_was_come_to(config: Config) -> None:
    async with opened(config, size=(60, 20)) as pilot:
        await pilot.press("3")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


class Counting:
    """A client that counts the events that are read of it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.read_events = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def read(self, *args: Any, **options: Any) -> Any:
        page = await self._client.read(*args, **options)
        self.read_events += len(page)
        return page


async def test_reading_again_costs_only_what_is_new(config: Config, log: Log) -> None:
    for _ in range(5):
        await log.says("tools", pb.ActorStarted(actor="tools", kind="tools", pid=1))
    client: Any = Counting(connect(config))
    actors = Actors(client)
    await actors.read()
    assert client.read_events == 5
    await log.says("tools", pb.ActorStopped(actor="tools", reason="shutdown"))
    (tools,) = await actors.read()
    assert (tools.state, client.read_events) == ("stopped", 6)
    await client.close()
