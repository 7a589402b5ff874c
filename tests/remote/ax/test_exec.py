"""Exec: what a client of Google AX gets of a run, under all the names that it has had."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from axtui.v1 import event_pb2 as pb
from tests.remote.ax.conftest import Served, contents, said, texts


async def test_a_turn_is_its_messages_and_one_empty_response_at_the_end(served: Served) -> None:
    call = served.ax.exec("c", "one two", agent_id="talker")
    responses = await call.rest()
    assert call.status == "OK"
    assert texts(responses) == ["one", "two", "that was all"]
    assert [response["seq"] for response in responses] == [3, 4, 5, 6]
    assert "outputs" not in responses[-1]
    assert [event["kind"] for event in await served.events("c")][-1] == "run.completed"


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("/ax.ExecutionService/Exec", ("last_seq", "agent_id", "seq")),
        ("/ax.InteractionsService/CreateInteraction", ("last_step", "harness_id", "step")),
    ],
)
async def test_under_later_names_too(served: Served, method: str, names: tuple[str, ...]) -> None:
    last, agent, seq = names
    call = served.ax.call(method, conversation_id="c", inputs=said("hi"), **{agent: "echo"})
    responses = await call.rest()
    assert texts(responses) == ["hi"]
    assert responses[-1] == {seq: 4}
    call = served.ax.call(method, conversation_id="c", **{last: 2})
    assert texts(await call.rest()) == ["hi"]


async def test_the_agent_and_its_configuration(served: Served) -> None:
    config = base64.b64encode(b'{"idempotent": true}').decode()
    await served.ax.exec("c", "echo x", agent_id="shell", agent_config=config).rest()
    started = (await served.events("c"))[0]["data"]
    assert (started["agent"], started["config"]) == ("shell", {"idempotent": True})


async def test_a_conversation_goes_on_with_its_agent(served: Served) -> None:
    await served.ax.exec("c", "x", agent_id="counter").rest()
    assert texts(await served.ax.exec("c", "x").rest()) == ["run 2"]


async def test_last_seq_brings_all_that_was_seen_after_it_first(served: Served) -> None:
    await served.ax.exec("c", "one two", agent_id="talker").rest()
    again = served.ax.exec("c", "three", last_seq=3)
    responses = await again.rest()
    assert texts(responses) == ["two", "that was all", "three", "that was all"]
    assert responses[0]["seq"] == 4
    everything = await served.ax.exec("c", last_seq=1).rest()
    assert texts(everything)[:3] == ["> one two", "one", "two"]


async def test_attached_to_a_run_in_flight_it_is_followed(served: Served) -> None:
    first = served.ax.exec("c", "x", agent_id="gate")
    assert texts([await first.next()]) == ["before"]
    second = served.ax.exec("c", last_seq=1)
    assert texts([await second.next(), await second.next()]) == ["> x", "before"]
    served.open_gate()
    assert texts(await first.rest()) == texts(await second.rest()) == ["after", "done"]


async def test_new_input_to_a_run_in_flight_is_refused(served: Served) -> None:
    first = served.ax.exec("c", "x", agent_id="gate")
    await first.next()
    second = served.ax.exec("c", "y")
    assert await second.rest() == []
    assert second.status == "FAILED_PRECONDITION"
    assert "hasn't ended" in second.details
    served.open_gate()
    await first.rest()


async def test_a_paused_run_goes_on(served: Served) -> None:
    first = served.ax.exec("c", "x", agent_id="gate")
    await first.next()
    await served.client.pause("c", "a break")
    await first.rest()
    assert first.status == "OK"
    served.open_gate()
    assert texts(await served.ax.exec("c").rest()) == ["after", "done"]


async def test_thoughts_calls_and_results_are_seen(served: Served) -> None:
    responses = await served.ax.exec("c", "x", agent_id="lead").rest()
    calls = contents(responses, "tool_call")
    results = contents(responses, "tool_result")
    assert [call["function_call"]["name"] for call in calls] == ["add", "echo", "echo"]
    assert calls[0]["function_call"]["arguments"] == {"one": 2, "other": 3}
    assert calls[1]["function_call"]["arguments"] == {"input": "one"}
    assert [call["id"] for call in calls] == [result["call_id"] for result in results]
    assert results[0]["function_result"] == {"name": "add", "response": {"result": 5}}
    assert texts(responses)[-1] == "5 one two"


async def test_deltas_carry_the_last_seq(served: Served) -> None:
    call = served.ax.exec("c", "x", agent_id="thinker")
    thought = await call.next()
    assert contents([thought], "thought") == [{"summary": [{"text": {"text": "hmm"}}]}]
    (served.workspace() / "ready").touch()
    deltas = [await call.next(), await call.next()]
    assert contents(deltas, "text_delta") == [{"text": "half of it "}]
    assert contents(deltas, "thought_summary_delta") == [{"text": "on the way "}]
    assert {delta["seq"] for delta in deltas} == {4}
    served.open_gate()
    assert texts(await call.rest()) == ["whole"]


async def test_what_is_internal_is_shown_to_nobody(served: Served) -> None:
    responses = await served.ax.exec("c", "x", agent_id="private").rest()
    responses += await served.ax.exec("c", last_seq=1).rest()
    assert texts(responses) == ["nothing to see", "> x", "nothing to see"]
    assert "between us" in str(await served.events("c"))


async def test_a_long_text_comes_in_pieces(served: Served) -> None:
    long = "ä" * 1_500_000
    call = served.ax.exec("c", long, agent_id="echo")
    responses = await call.rest()
    assert "".join(texts(responses)) == long
    assert [response["seq"] for response in responses] == [3, 3, 4]


async def test_how_a_run_ends_is_told_with_a_status(served: Served) -> None:
    failing = served.ax.exec("c", "x", agent_id="failer")
    assert texts(await failing.rest()) == []
    assert (failing.status, "ValueError: no way" in failing.details) == ("UNKNOWN", True)
    canceled = served.ax.exec("d", "x", agent_id="gate")
    await canceled.next()
    await served.client.cancel("d", "enough")
    await canceled.rest()
    assert (canceled.status, "enough" in canceled.details) == ("CANCELLED", True)


@pytest.mark.parametrize(
    ("conversation", "inputs", "more", "status", "word"),
    [
        ("", ["x"], {}, "INVALID_ARGUMENT", "no id"),
        ("a b", ["x"], {}, "INVALID_ARGUMENT", "can't be the id"),
        ("new", [], {}, "NOT_FOUND", "no conversation 'new'"),
        ("old", ["x"], {"agent_id": "nobody"}, "INVALID_ARGUMENT", "no agent 'nobody'"),
        ("old", ["x"], {"agent_config": "e30x"}, "INVALID_ARGUMENT", "isn't JSON"),
        ("old", ["x"], {"agent_config": "TmFO"}, "INVALID_ARGUMENT", "isn't JSON"),
        ("old", ["x"], {"agent_config": "/w=="}, "INVALID_ARGUMENT", "isn't JSON"),
        ("old", [{"image": {"uri": "x"}}], {}, "INVALID_ARGUMENT", "not image"),
        ("old", [], {"last_seq": -1}, "INVALID_ARGUMENT", "counts from 1"),
        ("old", [], {"last_seq": 5}, "OUT_OF_RANGE", "beyond the log"),
        ("new", ["x"], {"last_seq": 1}, "OUT_OF_RANGE", "beyond the log"),
        ("old", [{"confirmation": {"id": "q"}}], {}, "FAILED_PRECONDITION", "no question 'q'"),
        ("gone", [], {}, "NOT_FOUND", "was deleted"),
        ("gone", ["x"], {}, "NOT_FOUND", "was deleted"),
    ],
)
async def test_what_cannot_be_asked_for(
    served: Served, conversation: str, inputs: list[Any], more: Any, status: str, word: str
) -> None:
    for known in ("old", "gone"):
        await served.ax.exec(known, "x", agent_id="echo").rest()
    await served.client.delete("gone", "")
    call = served.ax.exec(conversation, *inputs, **more)
    assert await call.rest() == []
    assert (call.status, word in call.details) == (status, True), call.details


async def test_a_seq_that_is_beyond_int32(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await served.ax.exec("c", "x", agent_id="echo").rest()
    read = served.client.watch

    async def far_on(known: str, after: int) -> AsyncIterator[list[Any]]:
        async for page in read(known, after):
            events = [record.event() for record in page]
            for event in events:
                event.seq += 2**31 - 4
            yield [Far(event) for event in events]

    monkeypatch.setattr(served.client, "watch", far_on)
    call = served.ax.exec("c", last_seq=1)
    responses = await call.rest()
    assert [response["seq"] for response in responses] == [2**31 - 2, 2**31 - 1]
    assert (call.status, "2147483648" in call.details) == ("OUT_OF_RANGE", True)


class Far(NamedTuple):
    """A record of a very long log."""

    found: pb.Event

    def event(self) -> pb.Event:
        return self.found


async def test_what_is_refused_leaves_no_folder(served: Served) -> None:
    call = served.ax.exec("c", "x", agent_id="nobody")
    assert await call.rest() == []
    assert call.status == "INVALID_ARGUMENT"
    assert not served.workspace().exists()
