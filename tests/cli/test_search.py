"""search."""

from __future__ import annotations

import re

import pytest

from axtui.cli import search_command

from .harness import Cli, here


def run(cli: Cli, name: str, text: str) -> None:
    cli("exec", "--agent", "echo", "--input", text, "--conversation", name)


def test_a_line_for_each_the_newest_first(cli: Cli) -> None:
    assert cli("search", "word").out == "nothing was found\n"
    run(cli, "one", "a word\nof mine")
    run(cli, "two", "another wörd")
    done = cli("search", "WORD")
    assert (done.status, done.err) == (0, "")
    lines = [re.sub(r"  \d+s  ", " ", line) for line in done.out.splitlines()]
    assert lines == [
        "two:3 message  another wörd",
        "two:2 message  another wörd",
        "one:3 message  a word of mine",
        "one:2 message  a word of mine",
    ]
    assert cli("search", "word", "--limit", "1").out.startswith("two:3  ")
    assert cli("search", "word", "--conversation", "one").out.count("\n") == 2
    assert cli("search", '"of mine"').out.count("\n") == 2
    assert cli("search", "anoth*", "word").out.count("\n") == 2
    done = cli("search", "nowhere")
    assert (done.status, done.out) == (0, "nothing was found\n")


def test_in_json(cli: Cli) -> None:
    run(cli, "one", "a word")
    *_, entry = cli("search", "word", "--output", "json").json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry.pop("time"))
    assert entry == {
        "conversation_id": "one",
        "seq": 2,
        "kind": "message",
        "actor": "",
        "excerpt": "a word",
        "internal": False,
    }
    assert cli("search", "nowhere", "--output", "json") == (0, "", "")


def test_what_is_hidden_is_not_found(cli: Cli) -> None:
    run(cli, "one", "a word")
    cli("delete", "one", "--yes")
    assert cli("search", "word").out == "nothing was found\n"


@pytest.mark.parametrize("text", ["...", '"', "x" * 1001])
def test_what_nothing_can_be_found_by(cli: Cli, text: str) -> None:
    run(cli, "one", "a word")
    done = cli("search", text)
    assert (done.status, done.out) == (2, "")
    assert "axtui: " in done.err


def test_no_such_conversation(cli: Cli) -> None:
    assert cli("search", "word", "--conversation", "none").status == 4


@here
def test_it_says_how_much_is_still_to_be_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_command, "_TELL_SECONDS", 0)
    monkeypatch.setattr("axtui.runtime.eventlog.sqlite._SEARCH_SECONDS", 0)
    monkeypatch.setattr("axtui.runtime.eventlog.search._BATCH_EVENTS", 2)
    run(cli, "one", "a word")
    done = cli("search", "word")
    assert re.match("axtui: reading what is new, [0-9] events left; Ctrl", done.err)
    assert done.out.count("\n") == 2
    (cli.data_dir / "log.db.search").unlink()
    assert cli("search", "word", "--output", "json").err == ""


@here
def test_in_a_terminal_what_was_searched_for_is_marked(cli: Cli) -> None:
    run(cli, "one", "a word\x1b[31m here")
    with cli.terminal("search", "word") as terminal:
        assert terminal.finish() == 0
        assert re.search(r"a \x1b\[[0-9;]+mword\x1b\[0m", terminal.text)
        assert "\x1b[31m" not in terminal.text
    with cli.terminal("search", "word", "--no-color") as terminal:
        assert terminal.finish() == 0
        assert "\x1b[" not in terminal.text
