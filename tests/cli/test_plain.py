"""The UI for who has it read out."""

from __future__ import annotations

import re

import pytest

from .harness import Cli, here

CTRL_C = "\x03"


def test_runs_are_read_out_and_followed(cli: Cli) -> None:
    assert cli("exec", "--agent", "echo", "--input", "hi", "--conversation", "one").status == 0
    done = cli.program("--plain", *cli.reached(), input=b"1\nwhat\nq\n")
    assert done.status == 0
    first, *_ = done.out.splitlines()
    assert first == "Runs: 1, the latest first."
    assert re.search(
        r"^1\. one\. State: completed\. Agent: echo\. 4 events\. changed ", done.out, re.M
    )
    assert "Conversation: one\nhi\nseq=4\n" in done.out
    assert "There is no 'what'." in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize("end", [b"q\n", b""])
def test_without_runs(cli: Cli, end: bytes) -> None:
    done = cli.program("--plain", *cli.reached(), input=end)
    assert (done.status, done.out) == (0, "Runs: none.\n")


@here
def test_in_a_terminal(cli: Cli) -> None:
    with cli.terminal(AXTUI_PLAIN="1") as terminal:
        terminal.expect("Runs: none")
        terminal.expect("q to quit: ")
        terminal.type("n\n")
        terminal.expect("What is to be done: ")
        terminal.type("hello there\n")
        # Without a model the default agent can't do it, and that is read out as well.
        terminal.expect("Conversation: |Error: ")
        terminal.expect("q to quit: ")
        assert "\x1b" not in terminal.text
        terminal.type(CTRL_C)
        assert terminal.finish() == 130


@here
def test_a_question_is_answered_on_a_line(cli: Cli) -> None:
    ask = ("--agent", "shell", "--approve", "ask", "--input", "echo cleaned")
    assert cli("exec", *ask, "--conversation", "tidy").status == 3
    with cli.terminal("--plain") as terminal:
        terminal.expect(r"1\. tidy\. State: waiting")
        terminal.type("1\n")
        terminal.expect("May shell run this command")
        terminal.expect(r"\[approve/deny\] ")
        terminal.type("deny\n")
        terminal.expect("q to quit: ")
        terminal.type("q\n")
        assert terminal.finish() == 0


def test_json_is_for_programs(cli: Cli) -> None:
    done = cli.program("--plain", "--output", "json", *cli.reached(), input=b"")
    assert done.status == 2
    assert done.error()["code"] == "usage"


@here
def test_an_unknown_theme(cli: Cli) -> None:
    with cli.terminal("--theme", "nrd") as terminal:
        terminal.expect("there is no theme 'nrd'; did you mean 'nord'?")
        assert terminal.finish() == 2
