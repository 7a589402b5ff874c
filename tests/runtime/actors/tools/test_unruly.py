"""Servers that crash, hang, flood and lie: the call fails with a clear word, the host goes on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from axtui.runtime.actors.tools import actor, calls, connection, server
from axtui.runtime.actors.tools.calls import BURST
from axtui.runtime.actors.tools.faults import ToolFault

from .conftest import Caller, pids, unruly

Start = Callable[..., Caller]


@pytest.mark.parametrize(
    ("tool", "code", "words"),
    [
        ("endless", "lost", "a line of more than 16 MiB"),
        ("no_json", "lost", "not JSON: 'Listening …'"),
        ("no_rpc", "lost", 'not JSON-RPC: \'{"hello": "world"}\''),
        ("values", "lost", "more than 100,000 values"),
        ("pester", "lost", "more than 64 things at once"),
        ("leave", "lost", "ended with status 7, saying: out of paper"),
        ("killed", "lost", "ended by SIGKILL"),
        ("no_result", "malformed", "no result"),
    ],
)
async def test_nobody_knows_what_became_of_the_call(
    start: Start, tmp_path: Path, tool: str, code: str, words: str
) -> None:
    call = start(bad=unruly(tmp_path), good=unruly(tmp_path))
    with pytest.raises(ToolFault, match=re.escape(words)) as caught:
        await call(f"bad.{tool}")
    assert (caught.value.code, caught.value.unknown) == (code, True)
    # The host goes on, and so does the server, in a new process where that is needed.
    assert (await call("good.echo", n=1))["structured"]["n"] == 1
    assert (await call("bad.echo", n=2))["structured"]["n"] == 2
    assert len(pids(tmp_path)) == (2 if code == "malformed" else 3)


async def test_all_calls_in_flight_are_lost_with_their_server(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))
    hanging = [asyncio.create_task(call("bad.hang")) for _ in range(3)]
    await call.until(lambda: len(call.said) == 3)
    with pytest.raises(ToolFault, match="status 7"):
        await call("bad.leave")
    for fault in await asyncio.gather(*hanging, return_exceptions=True):
        assert isinstance(fault, ToolFault)
        assert fault.unknown
        assert "status 7" in fault.message


async def test_a_call_has_a_time_limit(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path), short=unruly(tmp_path, timeout=0.2))
    for name, timeout in (("bad.hang", 0.2), ("short.hang", None)):
        with pytest.raises(ToolFault, match=r"no result within 0\.2 s") as caught:
            await call(name, timeout)
        assert (caught.value.code, caught.value.unknown) == ("timeout", True)
        # It is taken back at the server, and the connection is as good as before.
        await call(name.replace("hang", "echo"))
    assert len((tmp_path / "taken back").read_text().split()) == 2
    assert len(pids(tmp_path)) == 2


async def test_a_canceled_call_is_taken_back(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))
    hanging = asyncio.create_task(call("bad.hang"))
    await call.until(lambda: call.said)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    await call("bad.echo")
    assert len((tmp_path / "taken back").read_text().split()) == 1
    assert len(pids(tmp_path)) == 1


async def test_a_refusal_is_no_mystery(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))
    for name, code, words in (
        ("bad.refuse", "rejected", "bad: no such colour"),
        ("bad.nothing", "unknown_tool", "bad has no tool 'nothing'"),
        ("worse.echo", "unknown_tool", "'worse.echo' is of no tool server; there are: bad"),
        ("echo", "unknown_tool", "'echo' is of no tool server"),
    ):
        with pytest.raises(ToolFault, match=re.escape(words)) as caught:
            await call(name)
        assert (caught.value.code, caught.value.unknown) == (code, False)


@pytest.mark.parametrize(
    "value",
    [float, float("nan"), "\ud800", "x" * (9 << 20)],
    ids=["type", "number", "text", "size"],
)
async def test_arguments_that_cannot_be_sent(start: Start, tmp_path: Path, value: object) -> None:
    call = start(bad=unruly(tmp_path))
    with pytest.raises(ToolFault, match=r"the arguments are") as caught:
        await call("bad.echo", value=value)
    assert (caught.value.code, caught.value.unknown) == ("rejected", False)


async def test_a_flood_is_thinned(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path), good=unruly(tmp_path))
    flood = asyncio.create_task(call("bad.flood"))
    # Others have their turn meanwhile.
    assert not (await call("good.echo"))["error"]
    assert not flood.done()
    assert (await flood)["content"] == [{"text": "done"}]
    assert BURST <= len(call.said) < 4_000
    assert max(map(len, call.said)) < 5_000
    assert call.changes == ["bad"]


async def test_what_it_says_meanwhile(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))
    await call("bad.work")
    assert call.said == ["1/2 half", 'warning: {"left": 1}']


async def test_a_server_that_will_not_go_is_killed(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path, "stubborn"))
    await call("bad.echo")
    await call.host.aclose()
    # The fixture looks whether it is gone.


async def test_a_server_that_never_answers(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "START_SECONDS", 1.0)
    call = start(mute=unruly(tmp_path, "silent"), good=unruly(tmp_path))
    found = await call.host.tools()
    assert found["servers"]["good"]["state"] == "ready"
    mute = found["servers"]["mute"]
    assert mute["state"] == "failed"
    assert mute["error"] == "it wasn't ready within 1 s, saying: thinking"
    # Who asks again isn't kept waiting again.
    with pytest.raises(ToolFault, match="wasn't ready") as caught:
        await call("mute.echo")
    assert (caught.value.code, caught.value.unknown) == ("unavailable", False)
    assert len(pids(tmp_path)) == 2


async def test_a_server_that_keeps_failing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BACKOFF_SECONDS", 0.01)
    call = start(bad=unruly(tmp_path))
    for _ in range(server.MAX_FAILURES):
        with pytest.raises(ToolFault, match="status 7"):
            await call("bad.leave")
    assert len(pids(tmp_path)) == server.MAX_FAILURES
    with pytest.raises(
        ToolFault, match=r"bad: it ended with status 7, saying: out of paper"
    ) as caught:
        await call("bad.echo")
    assert (caught.value.code, caught.value.unknown) == ("unavailable", False)
    state = (await call.host.tools())["servers"]["bad"]
    assert state["state"] == "failed"
    assert state["error"] == "it ended with status 7, saying: out of paper"
    assert len(pids(tmp_path)) == server.MAX_FAILURES


async def test_a_server_that_works_now_and_then_is_always_started_again(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BACKOFF_SECONDS", 0.01)
    call = start(bad=unruly(tmp_path))
    for _ in range(server.MAX_FAILURES + 2):
        await call("bad.echo")
        with pytest.raises(ToolFault, match="status 7"):
            await call("bad.leave")


async def test_a_failed_server_is_tried_again_in_the_background(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RECOVER_SECONDS", 0.01)
    (tmp_path / "stay away").touch()
    call = start(bad=unruly(tmp_path))
    state = (await call.host.tools())["servers"]["bad"]
    assert (state["state"], state["error"]) == (
        "failed",
        "it ended with status 1, saying: not today",
    )
    (tmp_path / "stay away").unlink()
    await call.until(lambda: call.changes)
    assert call.changes == ["bad"]
    assert (await call.host.tools())["servers"]["bad"]["state"] == "ready"


async def test_a_list_without_end(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path, "lists_forever"))
    found = await call.host.tools()
    assert found["servers"]["bad"]["state"] == "ready"
    assert "more than 1,000 tools" in found["servers"]["bad"]["error"]
    assert len(found["tools"]) == 1000


async def test_a_list_that_changes(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))
    before = await call.host.tools()
    await call("bad.grow")
    assert call.changes == ["bad"]
    after = await call.host.tools()
    new = {tool["name"] for tool in after["tools"]} - {tool["name"] for tool in before["tools"]}
    assert new == {"bad.grown"}
    assert after["servers"]["bad"]["digest"] != before["servers"]["bad"]["digest"]
    assert (await call("bad.grown"))["content"] == [{"text": "echo"}]


async def test_a_question(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))
    call.answer = {"action": "accept", "content": {"color": "blue"}}
    # A person may take longer than the call.
    answered = await call("bad.ask", 60.0)
    assert answered["content"] == [{"text": '{"action": "accept", "content": {"color": "blue"}}'}]
    schema = {"type": "object", "properties": {"color": {"type": "string"}}}
    assert call.questions == [{"message": "Which color?", "schema": schema}]
    for answer, told in (
        ({"action": "decline"}, '{"action": "decline"}'),
        ({"action": "accept", "content": {"color": {"a": 1}}}, '{"action": "cancel"}'),
    ):
        call.answer = answer
        assert (await call("bad.ask"))["content"] == [{"text": told}]


async def test_waiting_for_a_person_is_off_the_clock(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))

    async def slow(question: dict[str, object]) -> dict[str, object]:
        await asyncio.sleep(1.0)
        return {"action": "cancel"}

    call._ask = slow
    assert (await call("bad.ask", 0.8))["content"] == [{"text": '{"action": "cancel"}'}]


async def test_a_question_nobody_can_tell_whose_it_is(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))
    hanging = asyncio.create_task(call("bad.hang"))
    await call.until(lambda: call.said)
    assert (await call("bad.ask"))["content"] == [{"text": '{"action": "cancel"}'}]
    assert call.questions == []
    hanging.cancel()


async def test_a_question_goes_with_its_call(start: Start, tmp_path: Path) -> None:
    call = start(bad=unruly(tmp_path))
    asked, taken_back = asyncio.Event(), asyncio.Event()

    async def never(question: dict[str, object]) -> dict[str, object]:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            taken_back.set()
        return {}

    call._ask = never
    asking = asyncio.create_task(call("bad.ask"))
    await asked.wait()
    asking.cancel()
    await taken_back.wait()
    assert (await call("bad.echo"))["content"] == [{"text": "echo"}]


async def test_a_server_that_only_asks(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_QUESTIONS", 3)
    call = start(bad=unruly(tmp_path))
    told = await call("bad.ask_on", times=5)
    assert told["content"] == [{"text": "decline decline decline cancel cancel"}]
    assert len(call.questions) == 3


async def test_a_host_that_is_closed(start: Start, tmp_path: Path) -> None:
    call = start(good=unruly(tmp_path), mute=unruly(tmp_path, "silent"))
    hanging = asyncio.create_task(call("good.hang"))
    await call.until(lambda: call.said)
    waiting = asyncio.create_task(call("mute.echo"))
    while len(pids(tmp_path)) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await call.host.aclose()
    for task, unknown in ((hanging, True), (waiting, False)):
        with pytest.raises(ToolFault, match="it was stopped") as caught:
            await task
        assert caught.value.unknown is unknown
    with pytest.raises(ToolFault, match="it was stopped"):
        await call("good.echo")
    await call.host.aclose()
    assert len(pids(tmp_path)) == 2


def test_the_process_is_waited_for_while_it_starts_a_server_again() -> None:
    # One that counts as hung is killed, and with it the calls of all other servers.
    backoff = server.BACKOFF_SECONDS * 2 ** (server.MAX_FAILURES - 2)
    starting = connection.START_SECONDS + connection.CLOSE_SECONDS
    once = connection.CLOSE_SECONDS + backoff + starting + connection.LIST_SECONDS
    assert 2 * once < actor.PATIENCE
