"""How commands are shown: nothing is hidden in them, and nothing looks like anything else."""

from __future__ import annotations

import json

import pytest

from axtui.model.codec import dump_json
from axtui.model.commands import command_of


@pytest.mark.parametrize("arguments", [["ls -l"], {"command": "ls -l", "timeout": 5}])
def test_a_short_command_is_in_the_sentence(arguments: object) -> None:
    command = command_of("shell", dump_json(arguments))
    assert command is not None
    assert command.short == "ls -l"
    assert command.options == ({"timeout": 5} if isinstance(arguments, dict) else {})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("a\nb", "2 lines, 3 characters"),
        ("x" * 121, "1 line, 121 characters"),
        ("echo \u202etxt", "1 line, 9 characters"),
    ],
)
def test_another_is_measured_there(text: str, size: str) -> None:
    command = command_of("shell", dump_json([text]))
    assert command is not None
    assert (command.short, command.size) == ("", size)


def test_all_of_it_can_be_seen() -> None:
    text = "a\tb\r\rc\n\x1b[1A\u200b\x85\u2028\udc80ü\n"
    command = command_of("shell", json.dumps([text]))
    assert command is not None
    assert command.lines() == [
        "$ a\tb<U+000D><U+000D>c",
        "> <U+001B>[1A<U+200B><U+0085><U+2028><U+DC80>ü",
        "> ",
    ]


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        ("shell", '{"command":"ls'),
        ("shell", ""),
        ("shell", '{"command":5}'),
        ("shell", '["a","b"]'),
        ("read_file", '{"command":"ls"}'),
    ],
)
def test_what_is_no_command(step: str, arguments: str) -> None:
    assert command_of(step, arguments) is None
