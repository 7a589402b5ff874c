"""What Google AX gets wrong, and a client of it gets right here; by the numbers under which
docs/ax.md tells of it."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from axtui.model.fold import status
from axtui.runtime.eventlog.writer import Writer
from tests.remote.ax import agents
from tests.remote.ax.conftest import AxClient, Served, contents, started, texts
from tests.remote.ax.test_conversations import fork


def notes(served: Served) -> list[str]:
    """What steps have done."""
    return (served.workspace() / "notes").read_text().split()


async def test_1_a_client_that_goes_away_leaves_the_run_alone(served: Served) -> None:
    call = served.ax.exec("c", "x", agent_id="gate")
    await call.next()
    await call.cancel()
    assert call.status == "CANCELLED"
    again = served.ax.exec("c", last_seq=2)
    assert texts([await again.next()]) == ["before"]
    served.open_gate()
    assert texts(await again.rest()) == ["after", "done"]


async def test_1_one_that_goes_away_at_once_does_so_too(served: Served) -> None:
    calls = [served.ax.exec(f"c{n}", "x", agent_id="counter") for n in range(10)]
    for call in calls:
        await call.cancel()
    for listed in await served.client.conversations():
        await served.until(listed.summary.id, lambda state: status(state) == "completed")


async def test_2_a_failure_is_recorded_and_nothing_tries_again(served: Served) -> None:
    for attempt in ({"agent_id": "failer"}, {"last_seq": 1}, {}):
        call = served.ax.exec("c", *(["x"] if "agent_id" in attempt else []), **attempt)
        await call.rest()
        assert (call.status, "no way" in call.details) == ("UNKNOWN", True)
    assert notes(served) == ["tried"]
    assert [event["kind"] for event in await served.events("c")].count("run.failed") == 1


async def test_2_a_run_can_be_canceled(served: Served) -> None:
    call = served.ax.exec("c", "x", agent_id="gate")
    await call.next()
    await served.client.cancel("c", "")
    await call.rest()
    assert call.status == "CANCELLED"


async def killed(folder: Any, wait: Any) -> None:
    """Serve in another process, call Exec there, and kill it in the middle."""
    process = await started("tests.remote.ax.server", str(folder))
    client = None
    try:
        address = (await process.stdout.readline()).decode().strip()
        client = AxClient(await started("tests.ax.client", address))
        await wait(client)
    finally:
        process.kill()
        await process.wait()
        if client is not None:
            await client.close()


async def test_3_4_17_what_is_done_is_not_done_again(serving: Any, tmp_path: Any) -> None:
    """After a crash of the controller the run is nobody's: it is taken up where it was, with its
    outputs in the log, each once."""

    async def seen(client: AxClient) -> None:
        call = client.exec("c", "x", agent_id="gate")
        assert texts([await call.next()]) == ["before"]

    await killed(tmp_path, seen)
    served = await serving()
    served.open_gate()
    responses = await served.ax.exec("c", last_seq=1).rest()
    assert texts(responses) == ["> x", "before", "after", "done"]
    assert notes(served) == ["noted"]
    messages = [event for event in await served.events("c") if event["kind"] == "message"]
    assert len(messages) == 4


async def test_5_of_two_that_write_at_once_one_is_refused(served: Served) -> None:
    calls = [served.ax.exec("c", str(n), agent_id="gate") for n in range(5)]
    for number, call in enumerate(asyncio.as_completed([call.rest() for call in calls])):
        if number == 4:
            served.open_gate()
        await call
    assert sorted(call.status for call in calls) == ["FAILED_PRECONDITION"] * 4 + ["OK"]
    events = await served.events("c")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def test_6_nothing_is_sent_that_is_not_in_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = served.ax.exec("c", "x", agent_id="gate")
    assert texts([await call.next()]) == ["before"]

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Writer, "_write_batch", full)
    served.open_gate()
    assert texts(await call.rest()) == []
    assert (call.status, "full" in call.details) == ("INTERNAL", True)


async def test_7_each_call_of_an_agent_has_an_id_of_its_own(served: Served) -> None:
    responses = await served.ax.exec("c", "x", agent_id="lead").rest()
    ids = [call["id"] for call in contents(responses, "tool_call")]
    assert len(set(ids)) == 3


async def test_8_a_fork_is_there_whole_and_has_runs_of_its_own(served: Served) -> None:
    await served.ax.exec("c", "it", agent_id="asker").rest()
    assert await fork(served, "c", 0, "d") == ("OK", "d")
    (question,) = contents(await served.ax.exec("d").rest(), "confirmation")
    yes = {"confirmation": {"id": question["id"], "approval": {"approved": True}}}
    assert texts(await served.ax.exec("d", yes).rest()) == ["did it"]
    mine, other = await served.client.state("c"), await served.client.state("d")
    assert (status(mine), status(other)) == ("waiting", "completed")
    assert mine.run.exec_id != other.run.exec_id


async def test_9_10_11_a_model_is_offered_a_shell_that_asks_even_in_a_nested_agent(
    served: Served,
) -> None:
    """The calls of a turn are all done, and what a nested agent's model chose isn't granted."""
    agents.model.requests.clear()
    responses = await served.ax.exec("c", "Tidy up", agent_id="planned").rest()
    names = [call["function_call"]["name"] for call in contents(responses, "tool_call")]
    assert sorted(names[:2]) == ["add", "coding"]
    (question,) = contents(responses, "confirmation")
    assert "May coding run this command? rm -r x" in question["question"]
    offered = {tool["name"] for tool in agents.model.requests[0]["tools"]}
    assert {"shell", "read_file", "coding"} <= offered
    no = {"confirmation": {"id": question["id"], "approval": {"approved": False}}}
    after = await served.ax.exec("c", no).rest()
    assert "shell" not in [c["function_call"]["name"] for c in contents(after, "tool_call")]
    assert texts(after)[-1] == "All done."


async def test_12_who_has_seen_all_is_sent_nothing_and_starts_nothing(served: Served) -> None:
    responses = await served.ax.exec("c", "x", agent_id="counter").rest()
    for seen in responses[-2:]:
        call = served.ax.exec("c", last_seq=seen["seq"])
        assert (await call.rest(), call.status) == ([], "OK")
    assert (await served.client.state("c")).totals.runs == 1


async def test_14_calls_thoughts_and_nested_runs_are_shown(served: Served) -> None:
    responses = await served.ax.exec("c", "x", agent_id="lead").rest()
    assert len(contents(responses, "tool_call")) == len(contents(responses, "tool_result")) == 3
