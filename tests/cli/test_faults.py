"""Calls that can't work: one clear line, the right status, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from axtui.cli import COMMANDS
from axtui.cli.common import make_parser
from tests.meddling import make_old

from .harness import Cli, environment, here

pytestmark = here

ECHO = ("--agent", "echo", "--input", "x")
EVERY = [
    ("exec", *ECHO),
    ("list",),
    ("show", "c"),
    ("events", "c"),
    ("approve", "c"),
    ("tell", "c", "hello"),
    ("pause", "c"),
    ("resume", "c"),
    ("cancel", "c"),
    ("fork", "c"),
    ("delete", "c", "--yes"),
    ("prune", "--older-than", "1d"),
    ("export", "c"),
    ("import", "@FILE"),
    ("verify",),
]


def test_help(cli: Cli) -> None:
    for args in ((), ("--help",), ("-h",), ("help",)):
        told = cli.program(*args)
        assert (told.status, told.err) == (0, "")
        assert all(f"  {command} " in told.out for command in COMMANDS)
    version = cli.program("--version")
    assert (version.status, version.out.split()[0]) == (0, "axtui")
    assert cli.program("-V").out == version.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(cli: Cli, command: str) -> None:
    told = cli(command, "--help")
    assert (told.status, told.err) == (0, "")
    assert told.out.startswith(f"usage: axtui {command}")
    for option in ("--config", "--data-dir", "--output", "--no-color", "-v"):
        assert option in told.out
    assert cli("help", command).out.split()[:3] == told.out.split()[:3]
    parser = make_parser(command, import_module(f"axtui.cli.{command}_command"))
    assert not [action.dest for action in parser._actions if not action.help]


@pytest.mark.parametrize(
    ("args", "near"),
    [(("exce",), "'exec'"), (("lsit",), "'list'"), (("--verison",), "'--version'"), (("zzz",), "")],
)
def test_an_unknown_command(cli: Cli, args: tuple[str, ...], near: str) -> None:
    done = cli.program(*args)
    assert (done.status, done.out) == (2, "")
    assert near in done.err
    assert "axtui --help" in done.err
    assert cli.program(*args, "--output", "json").error()["code"] == "usage"


def test_options_before_the_command(cli: Cli) -> None:
    cli("exec", *ECHO, "--conversation", "c")
    done = cli.program(*cli.reach, "--output", "json", "list")
    assert [entry["conversation_id"] for entry in done.json()] == ["c"]
    assert cli.program(*cli.reach).status == 2
    assert "did you mean '--data-dir'?" in cli.program("--data-dri", "list").err


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command[0])
def test_an_unknown_option(cli: Cli, command: tuple[str, ...]) -> None:
    done = cli(*command, "--otput", "json")
    assert (done.status, done.out) == (2, "")
    assert "did you mean '--output'?" in done.err


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("agents: [x", ":1:"),
        ("agnts: []", ":1:1: unknown key 'agnts'; did you mean 'agents'?"),
        ("policy:\n  approve: 3", ":2:12: "),
        ("\x01", ":1:1: "),
        ("agents:\n- id: a", ":2:3: expected one of 'python', 'command' and 'address'"),
    ],
)
def test_a_broken_configuration(cli: Cli, command: tuple[str, ...], text: str, where: str) -> None:
    Path(cli.folder, "bad.yaml").write_text(text)
    done = cli(*command, "--config", "bad.yaml", "--output", "json")
    error = done.error()
    assert (done.status, done.out, error["code"]) == (2, "", "config")
    assert f"bad.yaml{where}" in error["message"]
    assert not cli.data_dir.exists()


def test_a_configuration_that_is_missing(cli: Cli) -> None:
    for name in ("missing.yaml", ".", "a\0b"):
        done = cli("list", "--config", name)
        assert (done.status, done.out) == (2, "")
        assert name in done.err


def test_an_agent_that_cannot_be_loaded(cli: Cli) -> None:
    for module in ("no_such_module", "json"):
        Path(cli.folder, "axtui.yaml").write_text(f'agents: [{{id: a, python: "{module}:dumps"}}]')
        done = cli.run("exec", "--agent", "a", "--input", "x")
        assert (done.status, done.out) == (2, "")
        assert module in done.err
        assert "Traceback" not in done.err


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command[0])
@pytest.mark.parametrize("below", ["", "/deeper/still"])
def test_a_data_directory_that_is_a_file(cli: Cli, command: tuple[str, ...], below: str) -> None:
    file = cli.folder / "file"
    file.write_text("mine")
    cli.reach = ["--data-dir", f"{file}{below}"]
    done = cli(*command)
    assert (done.status, done.out) == (2, "")
    assert f"{file} isn't a folder" in done.err
    assert file.read_text() == "mine"


def test_ctrl_c_before_a_command_has_begun(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("axtui.cli.import_module", interrupted)
    assert cli("list") == (130, "", "")


def test_a_folder_that_is_gone(cli: Cli) -> None:
    gone = cli.folder / "gone"
    gone.mkdir()
    script = f"cd {gone}; rmdir {gone}; exec {sys.executable} -P -m axtui list"
    done = subprocess.run(
        ["sh", "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("axtui: the current folder is gone")


PRINTING = [
    ("exec", *ECHO),
    ("exec", *ECHO, "--output", "json"),
    ("list",),
    ("list", "--output", "json"),
    ("show", "c"),
    ("events", "c"),
    ("export", "c"),
    ("verify",),
    ("--help",),
    ("--version",),
    ("exec", "--help"),
    ("completion", "bash"),
]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_output_to_a_full_device(cli: Cli, command: tuple[str, ...]) -> None:
    unbuffered = "1" if "json" in command else ""
    cli("exec", *ECHO, "--conversation", "c")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "axtui", *command],
            env=environment(AXTUI_DATA_DIR=str(cli.data_dir), PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") <= 3


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_nobody_reads_the_output(cli: Cli, command: tuple[str, ...]) -> None:
    cli("exec", *ECHO, "--conversation", "c")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "axtui", *command],
        env=environment(AXTUI_DATA_DIR=str(cli.data_dir)),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_head_of_events(cli: Cli) -> None:
    cli("exec", "--agent", "shell", "--input", "true\n" * 160, "--conversation", "c")
    events = f"{sys.executable} -m axtui events c --output json"
    script = f"set -o pipefail; {events} 2>&1 | head -1; echo $?"
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(AXTUI_DATA_DIR=str(cli.data_dir)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "run.started" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1:] == ["141"]
    assert done.stderr == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(cli: Cli, closed: str) -> None:
    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", f"{sys.executable} -m axtui {command} {closed}"],
            env=environment(AXTUI_DATA_DIR=str(cli.data_dir)),
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("exec --agent echo --input hello --conversation c")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("hello" in done.stdout) == (">&-" not in closed.split())
    assert run("exec --agent echo --input -").returncode == 0
    assert run("exec --agent nobody --input x").returncode == 2
    assert cli("verify").status == 0


def test_standard_error_is_full(cli: Cli) -> None:
    with open("/dev/full", "w") as full:
        done = cli.run("show", "nobody", stdout=subprocess.PIPE, stderr=full)
    assert done.status == 4


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_encoding_that_cannot_hold_the_output(cli: Cli, encoding: str) -> None:
    words = "grüße 日本"
    args = ("exec", "--agent", "echo", "--input", words)
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    as_json = cli.run(*args, "--output", "json", env={**env, "PYTHONIOENCODING": encoding})
    assert (as_json.status, as_json.json()[-1]["output"]) == (0, words)
    text = cli.program(*cli.args(*args), stderr=None, env={**env, "PYTHONIOENCODING": "ascii"})
    assert text.out.splitlines()[1] == "gr??e ??"
    assert cli.run("show", as_json.json()[0]["conversation_id"], env=env).status == 0


def test_the_c_locale_as_it_usually_is(cli: Cli) -> None:
    done = cli.run("exec", "--agent", "echo", "--input", "grüße", env={"LC_ALL": "", "LANG": "C"})
    assert done.out.splitlines()[1] == "grüße"


@pytest.mark.parametrize("bad", [b"\xff", b"\xed\xa0\x80", b""])
@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("events",),
        ("cancel",),
        ("fork",),
        ("fork", "c"),
        ("approve", "c"),
        ("exec", "--resume", "--conversation"),
        ("exec", "--input", "x", "--agent"),
        ("list", "--agent"),
        ("events", "c", "--kind"),
        ("events", "c", "--actor"),
    ],
    ids=" ".join,
)
def test_names_that_can_be_none(cli: Cli, command: tuple[str, ...], bad: bytes) -> None:
    done = cli(*command, os.fsdecode(bad))
    assert (done.status, done.out) == (2, "")
    assert "it is empty" in done.err or "it isn't UTF-8 text" in done.err


@pytest.mark.parametrize("option", ["--data-dir", "--server", "--config", "--token-file"])
def test_an_option_for_where_the_log_is_that_is_empty(cli: Cli, option: str) -> None:
    # A variable of the shell that isn't set: another log would be meant than is worked on.
    done = cli.program("prune", "--older-than", "0s", option, "")
    assert (done.status, done.out) == (2, "")
    assert f"argument {option}: it is empty" in done.err


def test_environment_and_flags(cli: Cli) -> None:
    other = str(cli.folder / "other")
    by_environment = cli.program("exec", *ECHO, env={"AXTUI_DATA_DIR": other})
    assert by_environment.status == 0
    shown = ("show", by_environment.id)
    assert cli.program(*shown, env={"AXTUI_DATA_DIR": other}).status == 0
    assert cli.program(*cli.args(*shown), env={"AXTUI_DATA_DIR": other}).status == 4
    Path(cli.folder, "bad.yaml").write_text("x: 1")
    assert cli.program("list", *cli.reach, env={"AXTUI_CONFIG": "bad.yaml"}).status == 2


@here
@pytest.mark.parametrize("command", [("list",), ("exec", "--agent", "echo", "--input", "again")])
def test_a_log_of_an_earlier_axtui_is_brought_up_to_date(cli: Cli, command: list[str]) -> None:
    make_old(cli.data_dir / "log.db")
    done = cli(*command)
    assert (done.status, done.err) == (0, "")
    assert "hello" in cli("list").out
    assert cli("verify").status == 0
