"""A client and an agent of Google AX, each in a process of its own, with our controller between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from axtui.runtime.config import Agent
from tests.remote.ax.conftest import Served, contents, started, texts


@pytest.fixture
async def between(serving: Any) -> AsyncIterator[Served]:
    """A controller with agents of AX: `far`, and `harness`, which can be canceled."""
    process = await started("tests.ax.agent")
    try:
        address = json.loads(await process.stdout.readline())["address"]
        yield await serving(
            Agent("far", address=address, protocol="ax"),
            Agent("harness", address=address, protocol="ax-harness"),
        )
    finally:
        process.kill()
        await process.wait()


async def test_what_an_agent_says_reaches_the_client_as_it_is(between: Served) -> None:
    responses = await between.ax.exec("c", "rich x", agent_id="far").rest()
    summary = [{"text": {"text": "hmm"}}]
    assert contents(responses, "thought") == [{"summary": summary, "signature": "c2ln"}]
    assert contents(responses, "tool_call") == [{"id": "1", "function_call": {"name": "look"}}]
    assert contents(responses, "tool_result") == [
        {"call_id": "1", "function_result": {"name": "look"}}
    ]
    assert contents(responses, "image") == [{"mime_type": 1, "data": "cG5n"}]
    assert texts(responses) == ["seen"]
    assert "outputs" not in responses[-1]


async def test_a_confirmation_goes_through_and_its_decision_back(between: Served) -> None:
    responses = await between.ax.exec("c", "ask Really?", agent_id="far").rest()
    (asked,) = contents(responses, "confirmation")
    assert asked["question"] == "Really?"
    no = {"confirmation": {"id": asked["id"], "approval": {"approved": False}}}
    assert texts(await between.ax.exec("c", no).rest()) == ["declined"]


async def test_15_a_stream_without_an_end_is_no_success(between: Served) -> None:
    call = between.ax.exec("c", "drop", agent_id="far")
    responses = await call.rest()
    assert texts(responses)[0] == "partial"
    assert "(retry, skip, fail)" in texts(responses)[1]
    failing = between.ax.exec("c", "fail")
    await failing.rest()
    assert (failing.status, "without an end" in failing.details) == ("UNKNOWN", True)


async def test_16_an_agent_keeps_what_is_private(between: Served) -> None:
    responses = await between.ax.exec("c", "secret 7", agent_id="far").rest()
    responses += await between.ax.exec("c", "say on", last_seq=1).rest()
    assert "session" not in str(responses)
    assert texts(responses)[-1] == "on"


async def test_what_a_later_attempt_supersedes_is_not_told_again(between: Served) -> None:
    first = await between.ax.exec("c", "once one two", agent_id="far").rest()
    assert texts(first)[0] == "one"
    assert texts(await between.ax.exec("c", "retry").rest()) == ["one", "two"]
    again = texts(await between.ax.exec("c", last_seq=1).rest())
    assert again[0] == "> once one two"
    assert again[2:] == ["> retry", "one", "two"]
