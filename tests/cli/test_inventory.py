"""agents, tools and actors: what there is to run with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from axtui.client import NO_RULE
from axtui.runtime.agents import BUILT_IN

from .harness import Cli, here

SERVER = Path(__file__).with_name("sample_server.py")


def configure(cli: Cli, **sections: Any) -> None:
    # JSON is YAML as well.
    (cli.folder / "axtui.yaml").write_text(json.dumps(sections))


@pytest.fixture
def servers(cli: Cli) -> Cli:
    """One that works and one that doesn't, and rules."""
    sample = {"command": [sys.executable, str(SERVER)], "approve": {"ch*": "deny"}}
    broken = {"command": ["no-such-program"]}
    rules = {"shell(ls*)": "allow", "coding/*": "deny"}
    configure(cli, tools={"sample": sample, "broken": broken}, policy={"approve": rules})
    return cli


def test_agents(samples: Cli) -> None:
    done = samples("agents")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["AGENT", "STATE", "KIND", "MODEL", "ABOUT"]
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert rows["echo"] == "ready built-in Says what it was told."
    assert rows["asker"] == "ready python Asks for words."
    assert rows["planner"].startswith("not ready built-in Does what it is asked")
    assert lines[-1].startswith(
        "coding, planner: no model can be called: set one of GEMINI_API_KEY"
    )


@here
def test_agents_in_json(cli: Cli) -> None:
    configure(
        cli,
        agents=[{"id": "mine", "python": "no_such_module:mine", "description": "Is mine."}],
        planner={"model": "anthropic:claude"},
    )
    found = cli.run("agents", "--output", "json", env={"ANTHROPIC_API_KEY": "x" * 20}).json()
    assert [agent["agent"] for agent in found] == [*(agent.id for agent in BUILT_IN), "mine"]
    by_id = {agent["agent"]: agent for agent in found}
    assert by_id["planner"] == {
        "agent": "planner",
        "kind": "built-in",
        "description": "Does what it is asked, with a model, tools and other agents.",
        "model": "anthropic:claude",
        "ready": True,
        "problem": None,
        "address": None,
    }
    assert by_id["shell"]["model"] is None
    mine = by_id["mine"]
    assert (mine["kind"], mine["ready"], mine["description"]) == ("python", False, "Is mine.")
    assert "no_such_module" in mine["problem"]
    # Nothing was started, and nothing written.
    assert not cli.data_dir.exists()


@here
def test_tools(servers: Cli) -> None:
    done = servers.run("tools")
    assert (done.status, done.err) == (0, "")
    head, *rows = done.out.splitlines()
    assert head.split() == ["TOOL", "VERDICT", "EFFECT", "FROM", "RULE", "ABOUT"]
    told = {row.split()[0]: " ".join(row.split()[1:]) for row in rows}
    assert told["read_file"].startswith("allow readonly workspace but policy.approve 'coding/*': ")
    assert "ask asks workspace but policy.approve 'shell(ls*)': allow; but" in told["shell"]
    assert told["sample.look"].endswith("'coding/*': deny Looks at something.")
    assert told["sample.change"].startswith("deny asks sample tools.sample.approve 'ch*': deny")
    assert rows[-2] == f"ask, where no rule is named: {NO_RULE}"
    assert rows[-1].startswith("broken: it ended with status 127")
    assert not servers.data_dir.exists()


def test_the_tools_of_one_server_in_json(servers: Cli) -> None:
    look, change, server = servers.run("tools", "--from", "sample", "--output", "json").json()
    assert look == {
        "kind": "tool",
        "tool": "sample.look",
        "from": "sample",
        "effect": "readonly",
        "verdict": "allow",
        "rule": None,
        "exceptions": [{"choice": "deny", "rule": "policy.approve 'coding/*': deny"}],
        "description": "Looks at something. And says what it saw.",
    }
    assert (change["verdict"], change["rule"]) == ("deny", "tools.sample.approve 'ch*': deny")
    assert server == {
        "kind": "server",
        "server": "sample",
        "state": "ready",
        "error": None,
        "name": "sample",
        "version": "7",
    }


def test_resources_and_prompts(servers: Cli) -> None:
    done = servers.run("tools", "--resources")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[:3] == [
        "NAME TYPE ABOUT",
        "sample.note://today text/plain What is on today.",
        "sample.note://day/{day} text/plain What is on that day.",
    ]
    assert lines[3].startswith("broken: it ended with status 127")
    (prompt,) = servers.run("tools", "--prompts", "--from", "sample", "--output", "json").json()
    assert (prompt["kind"], prompt["name"]) == ("prompt", "sample.greet")
    told = servers.run("tools", "--prompts", "--from", "sample").out.splitlines()
    assert told[1].split() == ["sample.greet", "name", "[style]", "Greets", "somebody."]


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("--from", "other"), "there are sample, broken"),
        (("--resources", "--from", "other"), "there are sample, broken"),
        (("--resources", "--prompts"), "give one"),
    ],
)
def test_a_wrong_call(servers: Cli, args: tuple[str, ...], hint: str) -> None:
    done = servers("tools", *args)
    assert (done.status, done.out) == (2, "")
    assert hint in done.err


def test_without_servers(cli: Cli) -> None:
    assert cli("tools", "--resources").out == "no resources\n"
    assert cli("tools", "--prompts").out == "no prompts\n"
    done = cli("tools", "--from", "any")
    assert (done.status, "there are none" in done.err) == (2, True)


def test_an_unmodified_server(cli: Cli) -> None:
    program = shutil.which("mcp-server-time", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("mcp-server-time isn't installed")
    configure(cli, tools={"time": {"command": [program]}})
    told = cli.run("tools", "--from", "time").out.splitlines()
    assert [line.split()[:4] for line in told[1:]] == [
        ["time.get_current_time", "allow", "readonly", "time"],
        ["time.convert_time", "allow", "readonly", "time"],
    ]


LOOKER = """\
import asyncio
from pathlib import Path
from axtui.agent import Context, agent

async def pass_through():
    while not Path("open").exists():
        await asyncio.sleep(0.01)

@agent
async def looker(ctx: Context) -> None:
    await ctx.tool("sample.look", at="it")
    await ctx.emit("seen")
    await ctx.step(pass_through, effect="readonly")
"""


@here
def test_actors(servers: Cli) -> None:
    (servers.folder / "looker_for_tests.py").write_text(LOOKER)
    settings = json.loads((servers.folder / "axtui.yaml").read_text())
    agents = [{"id": "looker", "python": "looker_for_tests:looker"}]
    configure(servers, agents=agents, tools={"sample": settings["tools"]["sample"]})
    run = ("--agent", "looker", "--input", "", "--conversation", "c")
    with servers.started("exec", *run) as process:
        assert process.stdout
        assert "seen\n" in iter(process.stdout.readline, "")
        (actor,) = servers("actors", "--output", "json").json()
        assert actor["since"].endswith("Z")
        assert {**actor, "since": ""} == {
            "actor": "tools",
            "kind": "tools",
            "state": "running",
            "pid": actor["pid"],
            "since": "",
            "calls": 0,
            "restarts": 0,
            "reason": None,
            "stderr": None,
        }
        os.kill(actor["pid"], 0)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    told = servers("actors").out.splitlines()
    assert told[0].split()[:3] == ["ACTOR", "STATE", "KIND"]
    assert told[1].split()[:3] == ["tools", "gone", "tools"]
    assert told[1].endswith("its controller was killed")
    (servers.folder / "open").touch()
    assert servers.run("exec", "--conversation", "c", "--resume").status == 0
    assert servers.run("exec", *run).status == 0
    (actor,) = servers("actors", "--output", "json").json()
    assert (actor["state"], actor["pid"], actor["restarts"]) == ("stopped", None, 1)
    assert actor["reason"] == "shutdown"
    events = servers("events", "$control").out.splitlines()
    assert [line.split()[3] for line in events] == [
        *("actor.started", "actor.started", "actor.stopped")
    ]
    assert "tools, pid" in events[0]
    assert events[-1].endswith("tools: shutdown")
    assert servers("delete", "$control", "--yes").status == 4


def test_no_actors(cli: Cli) -> None:
    assert cli("actors").out.startswith("no actors; ")
    assert cli("actors", "--output", "json").out == ""
