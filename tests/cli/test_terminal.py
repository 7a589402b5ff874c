"""In a terminal: questions, live progress, and Ctrl+C."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .harness import Cli, here, screen

CTRL_C, CTRL_D = "\x03", "\x04"
pytestmark = here

DEMO = ("exec", "--agent", "demo", "--agent-config", '{"speed": 0.02}', "--input", "x")


def test_the_screen_of_the_tests() -> None:
    assert screen("a\r\nbusy\r\x1b[2K\x1b[1A\x1b[2Kdone\r\n") == ["done", ""]
    assert screen("one two\r\x1b[1mxxx\x1b[0m") == ["xxx two"]


def test_a_run_leaves_only_what_it_said(cli: Cli) -> None:
    with cli.terminal(*DEMO, "--approve", "all") as terminal:
        terminal.expect("researcher: look_up")
        assert terminal.finish() == 0
        assert "\x1b[?25l" in terminal.text
        assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
        lines = terminal.screen()
    first, *said, last = lines
    assert re.fullmatch("Conversation: [0-9a-f-]{36}", first)
    assert said == [
        "I will write a page about the sea. Three researchers look things up.",
        *(f"researcher: Thinking: Looking for {topic}." for topic in ("reefs", "whales")),
        "researcher: Thinking: Looking for currents.",
        "✗ researcher: the library is closed for a moment, is tried again",
        "- Reefs shelter a quarter of all sea life on a thousandth of the sea floor.",
        "- Whales sing songs that travel for hundreds of kilometres.",
        "- Currents carry more water than all rivers together.",
        "Published. That makes 1 in this conversation.",
    ]
    assert last == "seq=31"


def test_a_narrow_terminal(cli: Cli) -> None:
    with cli.terminal(*DEMO, "--approve", "all", width=30) as terminal:
        assert terminal.finish() == 0
        assert not [line for line in terminal.screen() if "steps" in line or "▪" in line]


def test_a_question_is_answered_at_the_prompt(cli: Cli) -> None:
    with cli.terminal(*DEMO) as terminal:
        terminal.expect(r"Publish the page\?")
        terminal.expect(r"\[approve/deny\] ")
        terminal.type("maybe\n")
        terminal.expect("the answers are approve, deny")
        terminal.expect(r"\[approve/deny\] ")
        terminal.type("A\n")
        terminal.expect("Published")
        assert terminal.finish() == 0


def test_a_question_for_words_and_one_with_choices(samples: Cli) -> None:
    with samples.terminal("exec", "--agent", "asker", "--input", "") as terminal:
        terminal.expect(r"Who are you\?\r\n> ")
        terminal.type("Zoë\n")
        terminal.expect("Hello, Zoë")
        assert terminal.finish() == 0
    with samples.terminal("exec", "--agent", "chooser", "--input", "") as terminal:
        terminal.expect(r"\[red wine/white/water\] ")
        terminal.type("w\n")
        terminal.expect("the answers are")
        terminal.type("wa\n")
        terminal.expect("You took water")
        assert terminal.finish() == 0


def test_two_questions_one_after_the_other(samples: Cli) -> None:
    with samples.terminal("exec", "--agent", "pair", "--input", "") as terminal:
        for question, answer in (("First", "approve"), ("Second", "deny")):
            terminal.expect(rf"{question}\?")
            terminal.expect(r"\[approve/deny\] ")
            terminal.type(f"{answer}\n")
        terminal.expect(r"\[True, False\]")
        assert terminal.finish() == 0


def test_ctrl_d_leaves_a_question_open(cli: Cli) -> None:
    with cli.terminal(*DEMO) as terminal:
        terminal.expect(r"\[approve/deny\] ")
        terminal.type(CTRL_D)
        terminal.expect("axtui approve")
        assert terminal.finish() == 3


def test_a_question_that_somebody_else_answers(samples: Cli) -> None:
    """The prompt doesn't keep the run from ending."""
    with samples.terminal("exec", "--agent", "asker", "--input", "", "--timeout", "1s") as terminal:
        terminal.expect(r"Who are you\?")
        assert terminal.finish() == 3


def test_ctrl_c_at_a_question(cli: Cli) -> None:
    with cli.terminal(*DEMO) as terminal:
        terminal.expect(r"\[approve/deny\] ")
        terminal.type(CTRL_C)
        terminal.expect("axtui approve")
        assert terminal.finish() == 130
        assert "Traceback" not in terminal.text


def test_ctrl_c_pauses(samples: Cli) -> None:
    args = ("exec", "--agent", "gate", "--agent-config", '"idempotent"', "--conversation", "c")
    with samples.terminal(*args, "--input", "") as terminal:
        terminal.expect("gate: pass_through")
        terminal.type(CTRL_C)
        terminal.expect("Interrupted")
        terminal.expect("axtui exec --conversation c --resume")
        assert terminal.finish() == 130
        assert not [
            line for line in terminal.screen() if "pass_through" in line and line[-1] == "s"
        ]
    Path(samples.folder, "open").touch()
    with samples.terminal("exec", "--conversation", "c", "--resume") as terminal:
        terminal.expect("through")
        assert terminal.finish() == 0


def test_the_window_is_closed(samples: Cli) -> None:
    args = ("exec", "--agent", "gate", "--agent-config", '"idempotent"', "--conversation", "c")
    with samples.terminal(*args, "--input", "") as terminal:
        terminal.expect("gate: pass_through")
        terminal.hang_up()
    (state,) = samples("show", "c", "--output", "json").json()
    assert state["status"] == "paused"


def test_interactive(cli: Cli) -> None:
    with cli.terminal("exec", "--interactive", "--agent", "lowercase") as terminal:
        terminal.expect("> ")
        terminal.type("ONE\n")
        terminal.expect("\none\r\n")
        terminal.expect("seq=4\r\n> ")
        terminal.type("\n")
        terminal.expect("> ")
        terminal.type("TWO\n")
        terminal.expect("\ntwo\r\n")
        terminal.expect("seq=8\r\n> ")
        terminal.type(CTRL_D)
        assert terminal.finish() == 0


@pytest.mark.parametrize("more", [(), ("--input", "X")])
def test_ctrl_c_at_the_prompt(cli: Cli, more: tuple[str, ...]) -> None:
    with cli.terminal("exec", "--interactive", "--agent", "lowercase", *more) as terminal:
        terminal.expect(r"(^|\n)> ")
        terminal.type(CTRL_C)
        assert terminal.finish() == 130
        assert "Traceback" not in terminal.text


def test_ctrl_c_while_standard_input_is_read(cli: Cli) -> None:
    with cli.terminal("exec", "--agent", "echo", "--input", "-") as terminal:
        terminal.expect("Ctrl.D ends it")
        terminal.type(CTRL_C)
        assert terminal.finish() == 130
        assert "Traceback" not in terminal.text
    assert cli("list", "--output", "json").out == ""


def test_input_from_the_keyboard(cli: Cli) -> None:
    with cli.terminal("exec", "--agent", "lowercase", "--input", "-") as terminal:
        terminal.expect("Ctrl.D ends it")
        terminal.type("SOME\n" + CTRL_D)
        terminal.expect("\nsome\r\n")
        assert terminal.finish() == 0


def test_delete_asks(cli: Cli) -> None:
    for name in ("a", "b"):
        cli("exec", "--agent", "echo", "--input", "x", "--conversation", name)
    for name, answer, status in (("a", "n\n", 1), ("a", CTRL_D, 1), ("b", "y\n", 0)):
        with cli.terminal("delete", name) as terminal:
            terminal.expect(rf"delete {name} with 4 events\? \[y/N\] ")
            terminal.type(answer)
            assert terminal.finish() == status
    with cli.terminal("delete", "a") as terminal:
        terminal.expect(r"\[y/N\] ")
        terminal.type(CTRL_C)
        assert terminal.finish() == 130
    left = cli("list", "--output", "json").json()
    assert [entry["conversation_id"] for entry in left] == ["a"]


def test_nothing_that_an_agent_says_is_obeyed(samples: Cli) -> None:
    with samples.terminal("exec", "--agent", "talker", "--input", "") as terminal:
        assert terminal.finish() == 0
        assert "\x1b[31m" not in terminal.text
        assert "␛[31mred␛[0m␇" in terminal.text


@pytest.mark.parametrize(
    ("env", "args", "colored"),
    [
        ({}, (), True),
        ({"NO_COLOR": "1"}, (), False),
        ({"NO_COLOR": ""}, (), True),
        ({}, ("--no-color",), False),
        ({"TERM": "dumb"}, (), False),
    ],
)
def test_colors(cli: Cli, env: dict[str, str], args: tuple[str, ...], colored: bool) -> None:
    cli("exec", "--agent", "echo", "--input", "x", "--conversation", "c")
    with cli.terminal("list", *args, **env) as terminal:
        assert terminal.finish() == 0
        assert bool(re.search(r"\x1b\[3\dm", terminal.text)) == colored


@pytest.mark.parametrize("width", [40, 60, 79, 120, 200])
def test_a_list_fits_the_terminal(cli: Cli, width: int) -> None:
    title = "日本 " * 30
    known = cli("exec", "--agent", "echo", "--input", title).id
    with cli.terminal("list", width=width) as terminal:
        assert terminal.finish() == 0
        head, row, _ = terminal.screen()
    assert row.split()[0] == known
    assert (head.split()[-1] == "ABOUT") == (width >= 79)
    cells = sum(2 if character in "日本" else 1 for character in row)
    assert cells <= width


def test_a_dumb_terminal_is_told_in_plain_text(cli: Cli) -> None:
    with cli.terminal(*DEMO, "--approve", "all", TERM="dumb") as terminal:
        assert terminal.finish() == 0
        assert "\x1b" not in terminal.text


def test_json_in_a_terminal_asks_nothing(cli: Cli) -> None:
    with cli.terminal(*DEMO, "--output", "json") as terminal:
        assert terminal.finish() == 3
        assert "\x1b" not in terminal.text
