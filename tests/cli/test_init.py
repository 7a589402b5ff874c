"""init: what it writes works, and nothing is overwritten."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from axtui.runtime.config import Settings

from .harness import Cli, here

pytestmark = here


def test_a_configuration(cli: Cli) -> None:
    done = cli("init")
    assert (done.status, done.err) == (0, "")
    assert "axtui.yaml" in done.out
    assert cli("list").status == 0
    text = Path(cli.folder, "axtui.yaml").read_text()
    # Every example in it is right as well.
    lines = [line.removeprefix("#") for line in text.splitlines() if line.startswith("#")]
    examples = [line for line in lines if not re.match(r" \S", line)]
    Path(cli.folder, "all.yaml").write_text("\n".join(examples))
    assert cli("list", "--config", "all.yaml").err == ""
    sections = {line.partition(":")[0] for line in examples if line and line[0].isalpha()}
    assert sections == {field.name for field in fields(Settings)}
    again = cli("init", "config")
    assert (again.status, again.out) == (2, "")
    assert Path(cli.folder, "axtui.yaml").read_text() == text


def test_an_agent(cli: Cli) -> None:
    done = cli("init", "agent", "greeter_for_tests")
    assert done.status == 0
    entry = next(line for line in done.out.splitlines() if "python:" in line)
    Path(cli.folder, "axtui.yaml").write_text(f"agents:\n{entry}\n")
    args = ("--agent", "greeter_for_tests", "--input", "tea", "--approve", "all")
    assert "Here is all there is to know about tea." in cli.run("exec", *args).out
    assert cli("init", "agent", "greeter_for_tests").status == 2


@pytest.mark.parametrize(
    "args",
    [
        ("agent",),
        ("agent", "a b"),
        ("agent", "class"),
        ("agent", "../x"),
        ("agent", "asyncio"),
        ("agent", "axtui"),
        ("config", "x"),
        ("other",),
    ],
)
def test_a_wrong_call(cli: Cli, args: tuple[str, ...]) -> None:
    done = cli("init", *args)
    assert (done.status, done.out) == (2, "")
    assert not list(cli.folder.iterdir())


def test_json(cli: Cli) -> None:
    assert cli("init", "--output", "json").json() == [{"written": "axtui.yaml"}]


def test_beside_a_broken_configuration(cli: Cli) -> None:
    Path(cli.folder, "axtui.yaml").write_text("broken: [")
    assert "exists already" in cli("init").err
    assert cli("init", "agent", "fresh_for_tests").status == 0


def test_a_folder_that_is_none(cli: Cli) -> None:
    Path(cli.folder, "axtui.yaml").symlink_to("missing/file")
    done = cli("init")
    assert (done.status, done.out) == (2, "")
