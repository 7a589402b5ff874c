"""Saying something to an agent while its run is open."""

from __future__ import annotations

from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from axtui.app import AxtuiApp
from axtui.client import RunOptions
from axtui.remote.client import RemoteClient
from axtui.screens.run import RunScreen
from axtui.widgets.actors import ActorsPane
from axtui.widgets.transcript import Bubble
from tests.remote.harness import Serve, Served

from .harness import until
from .histories import ID, open_run
from .test_roles import enabled, told


async def go_on(client: RemoteClient, choice: str) -> None:
    (question,) = (await client.state(ID)).questions
    await client.answer(ID, question, choice, "", False)


def heads(screen: RunScreen) -> dict[str, str]:
    """By the text of a message: the line above it."""
    return {bubble.said.text: bubble._heading().plain for bubble in screen.query(Bubble)}


async def line_of(screen: RunScreen, pilot: Pilot[Any]) -> Input:
    """The line to write in, once it has the focus."""
    await pilot.press("m")
    line: Input = await until(pilot, lambda: next(iter(screen.query("#say").results(Input)), None))
    await until(pilot, lambda: line.has_focus)
    return line


async def opened(server: Served, agent: str) -> RemoteClient:
    """A client, with a run of an agent that asks."""
    client = server.client()
    await client.start(ID, "hello", agent, RunOptions())
    return client


async def test_the_agent_is_told_and_hears(served: Serve) -> None:
    server = await served()
    client = await opened(server, "listener")
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        await until(pilot, lambda: screen.state.questions)
        line = await line_of(screen, pilot)
        await until(pilot, lambda: "tell listener, which hears it at its next" in line.placeholder)
        await pilot.press(*"1 and 2", "enter")
        await until(pilot, lambda: "not heard yet" in heads(screen).get("1 and 2", ""))
        assert "to listener" in heads(screen)["1 and 2"]
        assert "not heard yet" not in heads(screen)["hello"]
        assert not line.value
        assert "listener is told" in told(pilot)
        await go_on(client, "approve")
        await until(pilot, lambda: "not heard yet" not in heads(screen)["1 and 2"])
        await until(pilot, lambda: screen.state.questions)
        await pilot.press(*"too late", "enter")
        await until(pilot, lambda: "not heard yet" in heads(screen).get("too late", ""))
        await go_on(client, "deny")
        await until(pilot, lambda: screen.state.run.state == "completed")
        # It is no more to be expected of that run.
        await until(pilot, lambda: "not heard yet" not in heads(screen)["too late"])
        await until(pilot, lambda: "go on with listener" in line.placeholder)
        await pilot.press(*"again", "enter")
        await until(pilot, lambda: screen.state.totals.runs == 2)
        await until(pilot, lambda: "to listener" not in heads(screen).get("again", "to listener"))


async def test_what_was_heard_is_known_later(served: Serve) -> None:
    server = await served()
    client = await opened(server, "listener")
    await client.tell(ID, "heard")
    await go_on(client, "approve")
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        await until(pilot, lambda: screen.state.questions)
        await client.tell(ID, "unheard")
        await pilot.press("f4")
        await until(pilot, lambda: "not heard yet" in heads(screen).get("unheard", ""))
        assert "not heard yet" not in heads(screen)["heard"]


async def test_the_agent_that_is_picked_is_told(served: Serve) -> None:
    server = await served()
    client = await opened(server, "caller")
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(160, 40)) as pilot:
        screen = await open_run(app, pilot)
        await until(pilot, lambda: screen.state.questions)
        line = await line_of(screen, pilot)
        await until(pilot, lambda: "tell caller" in line.placeholder)
        await pilot.press("escape")
        actors = screen.query_one(ActorsPane)
        actors.focus()
        await pilot.press("G", "enter")
        await until(pilot, lambda: actors.picked == "listener")
        assert await line_of(screen, pilot) is line
        await until(pilot, lambda: "tell listener" in line.placeholder)
        await pilot.press(*"you", "enter")
        await until(pilot, lambda: "to listener" in heads(screen).get("you", ""))


async def test_a_viewer_tells_nobody(served: Serve) -> None:
    server = await served()
    await server.local.start(ID, "hello", "listener", RunOptions())
    client = server.client(await server.token("viewer"))
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await open_run(app, pilot)
        await until(pilot, lambda: screen.state.questions)
        why = "viewer is a viewer, and Tell takes the role operator"
        await until(pilot, lambda: enabled(pilot).get("run.message") is False)
        await pilot.press("m")
        await until(pilot, lambda: why in told(pilot))
        await pilot.press("f4")
        line = await until(pilot, lambda: next(iter(screen.query("#say").results(Input)), None))
        await until(pilot, lambda: line.placeholder == why)
        assert line.disabled


async def test_what_is_refused_stays_in_the_line(served: Serve) -> None:
    server = await served()
    client = await opened(server, "listener")
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await open_run(app, pilot)
        await until(pilot, lambda: screen.state.questions)
        line = await line_of(screen, pilot)
        line.value = "x" * (1024 * 1024 + 1)
        await pilot.press("enter")
        await until(pilot, lambda: any("longer than 1,048,576" in words for words in told(pilot)))
        assert len(line.value) == 1024 * 1024 + 1
