"""Completions, in the shells themselves where they are installed."""

from __future__ import annotations

import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from axtui.cli import COMMANDS

from .harness import ROOT, Cli, environment, here

pytestmark = here


@pytest.fixture
def shell(cli: Cli) -> Cli:
    """A folder with a program `axtui` and its bash completion."""
    program = cli.folder / "axtui"
    python = shlex.quote(sys.executable)
    program.write_text(f'#!/bin/sh\nexec {python} -m axtui "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (cli.folder / "complete.bash").write_text(cli("completion", "bash").out)
    return cli


def complete(cli: Cli, line: str) -> list[str]:
    """What a real bash offers at the end of a line."""
    script = f"""
        PATH=$PWD:$PATH; source complete.bash
        COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}
        read -ra COMP_WORDS <<< {shlex.quote(line.replace("=", " = "))}
        [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _axtui; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=cli.folder,
        env=environment(AXTUI_DATA_DIR=str(cli.data_dir)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash(shell: Cli) -> None:
    (shell.folder / "some.yaml").touch()
    for name in ("mine", "other"):
        shell("exec", "--agent", "echo", "--input", "x", "--conversation", name)
    assert set(complete(shell, "axtui ")) == {*COMMANDS, "--help", "--version"}
    assert complete(shell, "axtui ex") == ["exec", "export"]
    assert complete(shell, "axtui exec --in") == ["--input", "--interactive", "--insecure"]
    assert complete(shell, "axtui list --output ") == ["text", "json"]
    assert complete(shell, "axtui list --output=j") == ["json"]
    assert complete(shell, "axtui exec --approve d") == ["deny"]
    assert "waiting" in complete(shell, "axtui list --state ")
    assert complete(shell, "axtui exec --config some") == ["some.yaml"]
    assert complete(shell, "axtui import som") == ["some.yaml"]
    assert complete(shell, "axtui completion ") == ["bash", "zsh", "fish"]
    assert complete(shell, "axtui init a") == ["agent"]
    assert complete(shell, "axtui show m") == ["mine"]
    assert complete(shell, "axtui exec --conversation o") == ["other"]
    assert complete(shell, "axtui fork --src-conversation o") == ["other"]
    assert complete(shell, "axtui show --data-dir nowhere ") == []
    assert complete(shell, "axtui exec --input ") == []
    assert complete(shell, "axtui frobnicate ") == []


def test_an_id_that_a_shell_would_run_is_not_offered(shell: Cli) -> None:
    bad = "$(touch${IFS}pwned)x"[1:]
    shell("exec", "--agent", "echo", "--input", "x", "--conversation", f"a{bad}")
    shell("exec", "--agent", "echo", "--input", "x", "--conversation", "a`id`")
    shell("exec", "--agent", "echo", "--input", "x", "--conversation", "a-plain")
    assert complete(shell, "axtui show a") == ["a-plain"]
    assert not (shell.folder / "pwned").exists()


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_the_script_needs_no_log_and_no_configuration(cli: Cli, shell_name: str) -> None:
    Path(cli.folder, "axtui.yaml").write_text("broken: [")
    cli.reach = []
    done = cli("completion", shell_name)
    assert (done.status, done.err) == (0, "")
    if not shutil.which(shell_name):
        pytest.skip(f"{shell_name} isn't installed")
    script = cli.folder / "script"
    script.write_text(done.out)
    checked = subprocess.run([shell_name, "-n", str(script)], capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_fish_lists_everything(cli: Cli) -> None:
    told = cli("completion", "fish").out
    for command in COMMANDS:
        assert f"-a {command} -d '" in told
    assert "__fish_seen_subcommand_from show' -a '(axtui completion ids" in told


@pytest.mark.skipif(not shutil.which("fish"), reason="fish isn't installed")
def test_fish(shell: Cli) -> None:
    (shell.folder / "complete.fish").write_text(shell("completion", "fish").out)
    done = subprocess.run(
        ["fish", "-N", "-c", "source complete.fish; complete -C 'axtui ex'"],
        cwd=shell.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["exec", "export"]


def test_unknown_shells(cli: Cli) -> None:
    assert cli("completion", "tcsh").status == 2
    assert cli("completion").status == 2
    assert ROOT.is_dir()
