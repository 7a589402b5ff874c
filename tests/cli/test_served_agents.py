"""Agents elsewhere, as somebody at a command line has to do with them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.runtime.actors.agent_servers import AgentProcess

from .harness import Cli

GONE = "agent 'gone' at localhost:1 can't be reached: Connection refused"


@pytest.fixture
def served(cli: Cli) -> Iterator[Cli]:
    """One that is there, and one that isn't."""
    process = AgentProcess("examples.remote_agent")
    process.start()
    agents = [
        {"id": "there", "address": process.address},
        {"id": "gone", "address": "localhost:1", "description": "Is gone."},
    ]
    (cli.folder / "axtui.yaml").write_text(json.dumps({"agents": agents}))
    yield cli
    process.end()


def test_one_is_run(served: Cli) -> None:
    asked = "HELLO, CAN YOU LOWERCASE WHAT I JUST SAID?"
    done = served.run("exec", "--agent", "there", "--input", asked)
    assert (done.status, done.err) == (0, "")
    assert asked.lower() in done.out.splitlines()


def test_one_that_cannot_be_reached_is_status_5(served: Cli) -> None:
    done = served.run("exec", "--agent", "gone", "--conversation", "c", "--input", "x")
    assert (done.status, done.out) == (5, "")
    waited, why, *_ = done.err.splitlines()
    assert waited == "Waiting for agent 'gone' to answer …"
    assert why == f"axtui: {GONE}"
    assert "c" not in served.run("list").out.split()


def test_they_are_listed_with_their_health(served: Cli) -> None:
    done = served.run("agents")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in done.out.splitlines()}
    assert rows["there"] == "ready address Says in lower case what it is told."
    assert rows["gone"] == "not ready address Is gone."
    assert done.out.splitlines()[-1] == f"gone: {GONE}"
    found = {
        row["agent"]: row["address"] for row in served.run("agents", "--output", "json").json()
    }
    assert found["gone"] == "localhost:1"
    assert found["there"]
    assert found["echo"] is None
    told = served.run("doctor").out
    assert re.search(r"agent there\s+it answers", told)
    assert GONE in told
