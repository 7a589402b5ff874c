"""A secret that tools, models and people give away: it is in no table of the log, nor shown."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections import defaultdict
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from axtui.agent import Context, StepFailed, ToolError, agent, call, tool
from axtui.runtime.actors.supervisor import Spec
from axtui.runtime.actors.tools.http import HttpLink, _Client
from axtui.runtime.actors.tools.stdio import StdioLink
from axtui.runtime.actors.tools.stdio import _message as message
from axtui.runtime.actors.tools.stdio import _Misconduct as Misconduct
from axtui.runtime.actors.wire import Fault
from axtui.runtime.agents.planner import planner
from axtui.runtime.config import Environment, Policy, ToolServer
from axtui.runtime.eventlog.base import CONTROL_LOG
from axtui.runtime.journal import Delta
from tests.runtime.conftest import ID, MakeWorld, World, drive_to_end
from tests.runtime.scripted import Model, says, turns, wants

CANARY = "cn-7f3Kq9ZtW2xLp8"
REDACTED = "[redacted:CANARY_TOKEN]"
_LEAKY = (sys.executable, str(Path(__file__).with_name("leaky_server.py")))


@pytest.fixture(autouse=True)
def _canary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_TOKEN", CANARY)


def _in_database(path: Path) -> list[str]:
    """Where in a database the secret is: each place a table and a column."""
    found = []
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
        for table in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            rows = connection.execute(f'SELECT * FROM "{table[0]}"')
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    data = value if isinstance(value, bytes) else str(value).encode()
                    if CANARY.encode() in data:
                        found.append(f"{table[0]}.{column}")
    assert {"conversations", "fresh", "blocks"} <= set(tables)
    return found


async def _check(world: World, deltas: list[Delta]) -> str:
    """Nothing of the secret is anywhere; gives back all that is told of it as JSON."""
    await world.settled()
    streams: defaultdict[Any, str] = defaultdict(str)
    for delta in deltas:
        streams[delta[:6]] += delta.text
    told = json.dumps([*await world.events(), *streams.values()])
    assert CANARY not in told
    assert CANARY[:10] not in told
    assert _in_database(world.folder / "log.db") == []
    for path in world.folder.rglob("*.db*"):
        assert CANARY.encode() not in path.read_bytes(), path
    return told


class _Deltas(list[Delta]):
    """What is shown of a conversation that isn't in its log."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._watching = world.controller.watching(ID)
        self._watcher = self._watching.__enter__()

    def take(self) -> _Deltas:
        self += self._watcher.take_deltas()
        return self

    def end(self) -> None:
        self._watching.__exit__(None, None, None)


async def test_tools_that_give_it_away(make_world: MakeWorld, tmp_path: Path) -> None:
    half = len(CANARY) // 2
    slow = f'printf %s "{CANARY[:half]}"; sleep 0.3; printf %s "{CANARY[half:]}"'
    (tmp_path / "notes").write_text(f"one\n{CANARY}\nthree\n")
    model = Model(
        turns(
            says(
                "",
                *(wants(f"leaky__{name}") for name in ("fail", "wonder")),
                wants("shell", command='echo "$CANARY_TOKEN"'),
                wants("read_file", path="notes"),
                wants("edit_file", path="notes", old="three", new="four"),
            ),
            says("", wants("shell", command=slow), wants("leaky__say")),
            says("", wants("leaky__die")),
            says(f"It is {CANARY}."),
        )
    )
    world = make_world(
        model.agent(),
        environment=Environment(env=("CANARY_TOKEN",)),
        tools={"leaky": ToolServer(command=_LEAKY, env={"CANARY_TOKEN": CANARY})},
    )
    deltas = _Deltas(world)
    await world.start(planner, f"Mind {CANARY}", workspace=str(tmp_path))
    state = await drive_to_end(
        world, lambda question: (list(question.choices) or ['{"word": "it is"}'])[0]
    )
    assert state.run.state == "completed", state.run
    told = await _check(world, deltas.take())
    deltas.end()
    _check_told(told, await world.events())
    # Neither does the model get to see it.
    assert CANARY not in json.dumps(model.requests)
    assert json.dumps(model.requests).count(REDACTED) >= 8


def _check_told(told: str, events: list[dict[str, Any]]) -> None:
    questions = {
        e["data"]["subject"].partition("@")[0]: e["data"]
        for e in events
        if e["kind"] == "approval.requested"
    }
    assert REDACTED in questions["leaky.wonder"]["question"]
    assert REDACTED in questions["edit_file"]["diff"]
    assert f"1/2 with {REDACTED}\\ninfo: have {REDACTED}\\n" in told
    errors = [e["data"]["error"]["message"] for e in events if e["kind"] == "step.failed"]
    assert any(f"{REDACTED} was refused" in error for error in errors)
    assert any(f"fatal: {REDACTED}" in error for error in errors)
    assert events[-1]["data"]["output"] == f"It is {REDACTED}."
    assert events[1]["data"]["content"] == [{"text": f"Mind {REDACTED}"}]


async def test_a_stream_that_gives_it_away_in_pieces(make_world: MakeWorld) -> None:
    @tool(effect="readonly")
    async def spell() -> str:
        for letter in f"<{CANARY}>":
            call().delta(letter)
            await asyncio.sleep(0)
        return CANARY

    @agent(tools=[spell])
    async def spells(ctx: Context) -> Any:
        ctx.state["found"] = await ctx.tool("spell")
        await ctx.emit(f"thinking of {CANARY}", thought=True, internal=True)
        return [CANARY, {CANARY: CANARY}]

    world = make_world(spells)
    deltas = _Deltas(world)
    await world.run(spells, config={"with": CANARY})
    told = await _check(world, deltas.take())
    deltas.end()
    assert "".join(delta.text for delta in deltas) == f"<{REDACTED}>"
    assert told.count(REDACTED) >= 7


async def test_an_exception_that_gives_it_away(make_world: MakeWorld) -> None:
    def login(secret: str) -> None:
        raise ValueError(f"{secret} is wrong")

    @agent
    async def logs_in(ctx: Context) -> None:
        await ctx.step(login, CANARY)

    world = make_world(logs_in)
    await world.start(logs_in)
    error = await world.error()
    assert f"{REDACTED} is wrong" in error.message
    await _check(world, [])


@pytest.mark.parametrize("fill", range(1967, 2010, 7))
async def test_an_error_that_is_cut_within_it(make_world: MakeWorld, fill: int) -> None:
    def fails() -> None:
        raise ValueError(f"{'x' * fill}{CANARY}{'y' * (6000 + fill)}")

    def refuses() -> None:
        raise ToolError(f"{'x' * fill}{CANARY}")

    @agent
    async def tries(ctx: Context) -> None:
        for function in (fails, refuses):
            with suppress(StepFailed):
                await ctx.step(function)

    world = make_world(tries)
    await world.run(tries)
    told = await _check(world, [])
    assert CANARY[:4] not in told
    assert CANARY[-4:] not in told


async def test_an_agent_that_asks_about_it(make_world: MakeWorld) -> None:
    @agent
    async def asks(ctx: Context) -> list[bool]:
        said = [await ctx.ask(f"Is it {CANARY}?", choices=(CANARY, "no")) == CANARY]
        for password in ("correct-horse", "correct-horse", "battery-staple"):
            said.append(await ctx.approve(f"Push to https://me:{password}@host?"))
        return said

    world = make_world(asks)
    await world.start(asks)
    (question,) = await world.waiting()
    assert (question.question, *question.choices) == (f"Is it {REDACTED}?", REDACTED, "no")
    await world.answer(REDACTED)
    (question,) = await world.waiting()
    assert question.question == "Push to https://me:[redacted:url-password]@host?"
    await world.answer("approve", always=True)
    # A rule is about what was asked, not about all that looks the same without its secrets.
    (other,) = await world.waiting()
    assert other.question == question.question
    world = await world.copy()
    await world.resume()
    await world.waiting()
    await world.answer("deny")
    assert await world.output() == [True, True, True, False]
    assert "correct-horse" not in await _check(world, [])


async def test_a_command_that_has_it(make_world: MakeWorld) -> None:
    @agent
    async def runs(ctx: Context) -> Any:
        for _ in range(2):
            await ctx.tool("shell", command=f"true {CANARY}")

    world = make_world(runs, policy=Policy(approve={"shell": "ask"}))
    await world.start(runs)
    (question,) = await world.waiting()
    assert question.subject.startswith(f"shell(true {REDACTED})")
    await world.answer("approve", always=True)
    await world.output()
    await _check(world, [])


async def test_a_person_who_gives_it_away(make_world: MakeWorld) -> None:
    @agent
    async def asks(ctx: Context) -> str:
        return await ctx.ask("The token?")

    world = make_world(asks)
    await world.start(asks)
    await world.waiting()
    await world.answer("", text=CANARY)
    assert await world.output() == REDACTED
    controller = world.controller
    await controller.fork(ID, 4, "fork", {"text": f"No, {CANARY}"}, "tester")
    await controller.cancel("fork", f"it is {CANARY}", "tester")
    await controller.delete("fork", CANARY, "tester")
    await world.start(asks)
    await world.waiting()
    await controller.pause(ID, CANARY, "tester")
    await _check(world, [])


async def test_an_actor_that_gives_it_away_with_its_end(make_world: MakeWorld) -> None:
    world = make_world(planner)
    said = f"print('fatal: {CANARY}', flush=True); raise SystemExit('with {CANARY}')"
    actor = world.controller.roster.add(Spec("leaky", "tools", (sys.executable, "-c", said)))
    with pytest.raises(Fault) as failed:
        await actor.call("anything", None)
    assert REDACTED in str(failed.value)
    await world.controller.roster.close()
    await world.settled(CONTROL_LOG)
    told = json.dumps(await world.events(CONTROL_LOG))
    assert CANARY not in told
    assert told.count(REDACTED) >= 2
    assert _in_database(world.folder / "log.db") == []


@pytest.mark.parametrize("fill", range(1970, 2000, 4))
def test_last_words_that_are_cut_within_it(fill: int) -> None:
    link = StdioLink(ToolServer(command=("true",)), "")
    link._errors = f"{'x ' * 1500}key={CANARY} {'y' * fill}\nthe end".encode()
    said = link.last_words()
    assert said.startswith(", saying: ")
    assert said.endswith("the end")
    assert CANARY in said or CANARY[-4:] not in said


@pytest.mark.parametrize("fill", range(54, 84, 3))
def test_what_is_not_json_that_is_cut_within_it(fill: int) -> None:
    with pytest.raises(Misconduct) as failed:
        message(f"at {'x' * fill} {CANARY} and more {'y' * 80}".encode())
    assert "'at" in str(failed.value)
    assert CANARY in str(failed.value) or CANARY[:4] not in str(failed.value)


@pytest.mark.parametrize("fill", range(170, 205, 5))
async def test_a_page_that_is_cut_within_it(fill: int, tmp_path: Path) -> None:
    page = f"no {'x' * fill} {CANARY} {'y' * 200}".encode()
    server = ToolServer(url="http://localhost")
    link = HttpLink("leaky", server, tmp_path)
    request = httpx2.Request("POST", server.url)
    async with _Client(link, "leaky", None) as client:
        answer = await client._checked(request, httpx2.Response(500, content=page, request=request))
    assert "HTTP 500 Internal Server Error: no" in answer.text
    assert CANARY in answer.text or CANARY[:4] not in answer.text
