"""What is read of a Google AX configuration, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from axtui.runtime.config import Agent, Planner
from axtui.runtime.config_file import ConfigError, load

FULL = """\
version: v1alpha
server: {address: ":8494"}
eventlog:
  sqlite: {filename: "eventlog/log.sqlite"}
  postgres: {dsn: "${DSN:-}"}
planner:
  gemini:
    model: gemini-2.5-pro
    temperature: 0.4
    max_tokens: 4096
    timeout: 1m30s
    system_prompt: "Be brief, ${WHO}."
    skills_dir: skills
registry:
  remote_agents:
    - {id: lower, name: Lower, address: "localhost:50051"}
    - {id: upper, name: Upper, description: shouts, address: "a:1", protocol: axp}
    - {id: later, address: "b:2", protocol: ax-harness, metadata: {team: x}, auth: {}}
telemetry: {otlp: {enabled: true}}
antigravity: {}
"""


def read(folder: Path, text: str, **environ: str) -> object:
    (folder / "ax.yaml").write_text(text)
    return load(None, str(folder / "data"), environ, folder)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return caught.value.problems


def test_all_that_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, FULL, WHO="Ada")
    assert config.log_path == tmp_path / "eventlog/log.sqlite"
    assert config.planner == Planner(
        model="gemini:gemini-2.5-pro",
        system_prompt="Be brief, Ada.",
        timeout=90.0,
        temperature=0.4,
        max_tokens=4096,
    )
    assert config.skill_paths == [tmp_path / "skills"]
    assert config.agents == (
        Agent("lower", description="Lower", address="localhost:50051", protocol="ax"),
        Agent("upper", description="shouts", address="a:1", protocol="ax"),
        Agent("later", address="b:2", protocol="ax-harness"),
    )


def test_what_cannot_be_honoured_is_told_at_its_place(tmp_path: Path) -> None:
    text = (
        "eventlog: {postgres: {dsn: postgres://x}}\n"
        "registry:\n"
        "  remote_agents:\n"
        "    - {id: a, address: 'a:1', protocol: a2a, a2a: {stateless: true}}\n"
        "    - {id: b, address: 'b:1', auth: {token: x}}\n"
        "    - {id: c, address: 'c:1', headers: {x: y}}\n"
        "    - {id: c, address: nowhere}\n"
        "    - {address: 'd:1'}\n"
        "planner: {gemini: {temperature: hot, timeout: soon}}\n"
    )
    limited = "in this version of axtui; leave it out"
    address = "the address of a server: 'host:port', '[IPv6]:port' or 'unix:PATH'"
    duration = "a number of seconds above zero or a duration such as '90s' or '1h30m'"
    assert problems(tmp_path, text) == [
        f"ax.yaml:1:23: a log in PostgreSQL isn't supported {limited}",
        f"ax.yaml:4:41: an agent that speaks a2a can't be called {limited}",
        f"ax.yaml:5:31: 'auth' of an agent can't be sent {limited}",
        f"ax.yaml:6:31: 'headers' of an agent can't be sent {limited}",
        "ax.yaml:7:12: duplicate agent id 'c', first on line 6; choose another",
        f"ax.yaml:7:24: expected {address}, got the text 'nowhere'",
        "ax.yaml:8:7: 'id' is missing in agents[4]; add it",
        "ax.yaml:9:33: expected a number from 0 to 2, got the text 'hot'",
        f"ax.yaml:9:47: expected {duration}, got the text 'soon'",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "planner: []",
        "planner: {gemini: x}",
        "registry: {remote_agents: }",
        "x: &x {x: *x}",
    ],
)
def test_what_has_nothing_for_us_is_the_defaults(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, text)
    assert (config.agents, config.planner) == ((), Planner())
