"""doctor: what it finds, and that it leaves nothing behind."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from axtui.runtime.actors.sandbox import Sandbox, find_sandbox

from .harness import Cli, here
from .test_skills import write_skill

pytestmark = here

SERVER = Path(__file__).with_name("sample_server.py")
KEY = "a-key-of-the-tests"


def configure(cli: Cli, **sections: Any) -> None:
    # JSON is YAML as well. Without a sandbox of its own the machine may be of any kind.
    sections = {"environment": {"sandbox": "none"}, **sections}
    (cli.folder / "axtui.yaml").write_text(json.dumps(sections))


def checks(cli: Cli, *args: str, status: int = 0, **env: str) -> dict[str, dict[str, str]]:
    """By what was checked."""
    env.setdefault("HOME", str(cli.folder))
    done = cli.run("doctor", "--output", "json", *args, env=env)
    assert (done.status, done.err) == (status, "")
    return {check["check"]: check for check in done.json()}


def test_all_is_well(cli: Cli) -> None:
    if not isinstance(find_sandbox(), Sandbox):
        pytest.skip("there is no sandbox here")
    before = sorted(cli.folder.iterdir())
    done = cli.run("doctor", env={"GEMINI_API_KEY": KEY, "HOME": str(cli.folder / "home")})
    assert (done.status, done.err) == (0, "")
    *lines, end = done.out.splitlines()
    assert [line.partition("  ")[0] for line in lines] == [
        *("✓ Python", "✓ terminal", "✓ configuration", "✓ data directory", "✓ disk space"),
        *("✓ log", "✓ sandbox", "✓ model", "✓ skills", "✓ secrets"),
    ]
    assert f"{cli.data_dir}, to be made yet" in done.out
    assert "gemini-3.8-flash, its key is in GEMINI_API_KEY" in done.out
    assert end == "10 checks, 0 warnings, 0 failed"
    assert sorted(cli.folder.iterdir()) == before


def test_nothing_is_written(cli: Cli) -> None:
    configure(cli, tools={"sample": {"command": [sys.executable, str(SERVER)]}})
    cli("exec", "--agent", "echo", "--input", "x")
    before = {path: path.stat().st_size for path in cli.data_dir.iterdir()}
    found = checks(cli)
    assert found["log"]["result"].startswith(str(cli.data_dir))
    assert found["clock"]["state"] == "ok"
    assert found["tools sample"]["result"] == "sample 7, tools: 2"
    assert {path: path.stat().st_size for path in cli.data_dir.iterdir()} == before
    assert cli("verify").status == 0


def test_who_writes_the_log(samples: Cli) -> None:
    with samples.started("exec", "--agent", "gate", "--input", "") as process:
        assert process.stdout
        process.stdout.readline()
        done = samples.run("doctor")
    assert f"being written by process {process.pid}" in done.out


def test_a_broken_configuration(cli: Cli) -> None:
    (cli.folder / "axtui.yaml").write_text("skils: {}\npolicy: 7\n")
    done = cli("doctor", "--output", "json")
    assert (done.status, done.err) == (1, "")
    *_, first, second = done.json()
    assert first["state"] == second["state"] == "failed"
    assert "did you mean 'skills'?" in first["result"]
    assert second["result"].startswith("axtui.yaml:2:")


def test_what_a_configuration_names(cli: Cli) -> None:
    write_skill(cli.folder / "mine", "bad", "")
    write_skill(cli.folder / "mine", "odd", "description: Does it.\nversion: 1\n")
    write_skill(cli.folder / "mine", "good")
    configure(
        cli,
        models={"default": "anthropic:claude"},
        agents=[{"id": "gone", "python": "no_such_module:gone"}],
        tools={"broken": {"command": ["no-such-program"]}},
        skills={"paths": ["mine"]},
    )
    found = checks(cli, status=1, SOME_TOKEN="short", EMPTY_TOKEN="", FILE_TOKEN="/run/token")
    states = {what: check["state"] for what, check in found.items() if check["state"] != "ok"}
    assert states == {
        "sandbox": "warning",
        "model": "failed",
        "agent gone": "failed",
        "tools broken": "failed",
        "skill bad": "failed",
        "skill odd": "warning",
        "secret SOME_TOKEN": "warning",
    }
    assert all(found[what]["fix"] for what in states)
    assert "ANTHROPIC_API_KEY" in found["model"]["result"]
    assert "no_such_module" in found["agent gone"]["result"]
    assert "status 127" in found["tools broken"]["result"]
    assert "'description' is missing" in found["skill bad"]["result"]
    assert found["skills"]["result"] == "2 can be used"
    assert "shorter than 8 characters" in found["secret SOME_TOKEN"]["result"]


def test_no_key_at_all_is_a_warning(cli: Cli) -> None:
    configure(cli)
    model = checks(cli)["model"]
    assert (model["state"], "GEMINI_API_KEY" in model["result"]) == ("warning", True)
    done = cli.run("doctor")
    assert "\n! model " in done.out


def test_no_sandbox(cli: Cli) -> None:
    configure(cli, environment={"sandbox": "auto", "workspace": "/usr"})
    sandbox = checks(cli, status=1)["sandbox"]
    # In a part of the system there can't be one, nor where there is none.
    assert (sandbox["state"], "bubblewrap" in sandbox["fix"]) == ("failed", True)
    configure(cli, environment={"workspace": str(cli.folder / "missing")})
    sandbox = checks(cli, status=1)["sandbox"]
    assert (sandbox["state"], "environment.workspace" in sandbox["fix"]) == ("failed", True)


def test_a_data_directory_that_is_none(cli: Cli) -> None:
    configure(cli)
    cli.data_dir.touch()
    found = checks(cli, status=1)
    assert found["data directory"]["state"] == "failed"
    assert "disk space" not in found


def test_a_log_that_is_none(cli: Cli) -> None:
    configure(cli)
    cli.data_dir.mkdir()
    (cli.data_dir / "log.db").write_text("no database " * 100)
    log = checks(cli, status=1)["log"]
    assert (log["state"], "log.db" in log["result"]) == ("failed", True)
    (cli.data_dir / "log.db").unlink()
    with closing(sqlite3.connect(cli.data_dir / "log.db")) as newer:
        newer.execute("PRAGMA application_id = 0x61787475")
        newer.execute("PRAGMA user_version = 99")
        newer.execute("CREATE TABLE x (y)")
    assert checks(cli, status=1)["log"]["state"] == "failed"


def test_a_clock_that_is_behind(cli: Cli) -> None:
    configure(cli)
    cli("exec", "--agent", "echo", "--input", "x")
    ahead = time.time_ns() // 1000 + 3_600_000_000
    with closing(sqlite3.connect(cli.data_dir / "log.db")) as log, log:
        log.execute("UPDATE heads SET updated_us = ?", (ahead,))
    clock = checks(cli, status=1)["clock"]
    assert (clock["state"], "set the clock" in clock["fix"]) == ("failed", True)


def test_an_output_that_is_not_utf8(cli: Cli) -> None:
    configure(cli)
    done = cli.run("doctor", env={"PYTHONIOENCODING": "ascii"})
    assert done.status == 0
    assert "! terminal             it takes ASCII only, not UTF-8" in done.out
    assert "+ Python" in done.out


def test_in_a_terminal(cli: Cli) -> None:
    configure(cli)
    with cli.terminal("doctor") as terminal:
        assert terminal.finish() == 0
    assert any("UTF-8, in color, 100 columns" in line for line in terminal.screen())
    assert "\x1b[32m✓" in terminal.text


def test_a_workspace_that_holds_the_home_folder(cli: Cli) -> None:
    if not isinstance(find_sandbox(), Sandbox):
        pytest.skip("there is no sandbox here")
    sandbox = checks(cli, HOME=str(cli.folder))["sandbox"]
    assert (sandbox["state"], "home folder" in sandbox["result"]) == ("warning", True)
