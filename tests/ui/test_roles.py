"""What one may not do, or a server has nothing for, is greyed, and told when it is tried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from axtui.app import AxtuiApp
from axtui.client import Client, Config, RunOptions, connect
from axtui.remote.ax.client import AxClient
from axtui.remote.roles import LEAST
from axtui.rpc import snake
from axtui.ui.desk import _METHODS
from axtui.widgets.bars import TopBar
from axtui.widgets.runs_table import RunsTable
from tests.remote.harness import Serve

from .harness import until
from .histories import ID, open_run
from .opened import command


@asynccontextmanager
async def opened(client: Client, server: str) -> AsyncIterator[Pilot[Any]]:
    """The runs, once they were looked for."""
    app = AxtuiApp(lambda: client, server)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.screen.query(RunsTable).first().empty_text)
        yield pilot


def enabled(pilot: Pilot[Any]) -> dict[str, bool]:
    """By ids of actions: whether each is to be had."""
    found = pilot.app.screen.active_bindings.values()
    return {str(active.binding.id): active.enabled for active in found}


def told(pilot: Pilot[Any]) -> list[str]:
    return [notice.message for notice in pilot.app._notifications]


async def test_a_viewer_only_looks(served: Serve) -> None:
    server = await served()
    await server.local.start("c", "hello", "echo", RunOptions())
    client = server.client(await server.token("viewer"))
    async with opened(client, server.address) as pilot:
        can = enabled(pilot)
        assert {name for name in can if name.startswith("runs.") and not can[name]} == {
            *("runs.new", "runs.resume", "runs.pause", "runs.cancel", "runs.fork", "runs.delete"),
        }
        bar = pilot.app.screen.query_one(TopBar)
        assert "READ ONLY" in str(bar.render())
        assert bar.has_class("-read-only")
        assert bar.connection == f"{server.address} as viewer · connected"
        await pilot.press("c")
        await until(pilot, lambda: told(pilot))
        assert told(pilot) == ["viewer is a viewer, and Start takes the role operator"]
        await pilot.press("enter")
        await until(pilot, lambda: "run.pause" in enabled(pilot))
        assert not enabled(pilot)["run.pause"]
        await until(pilot, lambda: "READ ONLY" in str(pilot.app.screen.query_one(TopBar).render()))


async def test_a_viewer_doesnt_go_on_with_a_conversation(served: Serve) -> None:
    server = await served()
    await server.local.start(ID, "hello", "echo", RunOptions())
    client = server.client(await server.token("viewer"))
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await open_run(app, pilot)
        await until(pilot, lambda: screen.state.run.state == "completed")
        await pilot.press("f4")
        line = await until(pilot, lambda: next(iter(screen.query("#say")), None))
        why = "viewer is a viewer, and Start takes the role operator"
        await until(pilot, lambda: line.placeholder == why)
        assert line.disabled
        await until(pilot, lambda: enabled(pilot).get("chat.write") is False)
        await pilot.press("w")
        await until(pilot, lambda: told(pilot) == [why])


async def test_an_operator_deletes_nothing(served: Serve) -> None:
    server = await served()
    client = server.client(await server.token("operator"))
    async with opened(client, server.address) as pilot:
        can = enabled(pilot)
        assert {name for name in can if name.startswith("runs.") and not can[name]} == {
            "runs.delete"
        }
        await pilot.press("D")
        await until(pilot, lambda: told(pilot))
        assert told(pilot) == ["operator is an operator, and Delete takes the role admin"]
        assert "READ ONLY" not in str(pilot.app.screen.query_one(TopBar).render())


@pytest.mark.parametrize("where", ["here", "server"])
async def test_whose_log_it_is_may_do_all(served: Serve, where: str) -> None:
    server = await served()
    client = connect(Config(data_dir=server.config.data_dir)) if where == "here" else None
    async with opened(client or server.client(), "" if client else server.address) as pilot:
        assert all(enabled(pilot).values())
    if client:
        await client.close()


async def test_what_google_ax_has_nothing_for(served: Serve) -> None:
    server = await served()
    client = AxClient(server.address)
    async with opened(client, f"ax://{server.address}") as pilot:
        can = enabled(pilot)
        assert can["runs.pause"] is can["runs.cancel"] is False
        assert can["runs.new"]
        table = pilot.app.screen.query_one(RunsTable)
        assert table.empty_text == "Google AX has nothing for a list of conversations"
        await pilot.press("x")
        await until(pilot, lambda: told(pilot))
        assert told(pilot) == ["Google AX has nothing for `axtui cancel`"]
        assert can["app.search"] is False
        await pilot.press("backslash")
        why = "Google AX has nothing for a search"
        await until(pilot, lambda: told(pilot).count(why) == 1)
        await command(pilot, "search sea")
        await until(pilot, lambda: told(pilot).count(why) == 2)
    await client.close()


def test_actions_name_methods_that_there_are() -> None:
    known = {snake(method.rpartition("/")[2]) for method in LEAST}
    assert {*_METHODS.values(), "answer"} <= known
