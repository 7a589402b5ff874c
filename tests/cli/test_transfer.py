"""export and import."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest

from .harness import Cli

LONG = "ü" * 100_000


@pytest.fixture
def exported(cli: Cli) -> Path:
    Path(cli.folder, "long").write_text(LONG, encoding="utf-8")
    cli("exec", "--agent", "echo", "--input", "@long", "--conversation", "c")
    done = cli("export", "c", "--file", "c.jsonl")
    assert (done.status, done.err) == (0, "")
    made = set(os.listdir(cli.folder)) - {"data-workspaces"}
    assert made == {"c.jsonl", "data", "long"}
    return Path(cli.folder, "c.jsonl")


def test_what_a_line_holds(cli: Cli, exported: Path) -> None:
    lines = [json.loads(line) for line in exported.read_text(encoding="utf-8").splitlines()]
    events = [line for line in lines if "seq" in line]
    blobs = [line for line in lines if "seq" not in line]
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    for event in events:
        envelope = base64.b64decode(event["envelope"])
        assert hashlib.sha256(envelope).hexdigest() == event["hash"]
    for blob in blobs:
        assert hashlib.sha256(base64.b64decode(blob["data"])).hexdigest() == blob["digest"]
    assert base64.b64decode(blobs[0]["data"]).decode() == LONG
    printed = cli.run("export", "c", env={"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert printed.out == exported.read_text(encoding="utf-8")


def test_there_and_back(cli: Cli, exported: Path) -> None:
    there = ("--data-dir", str(cli.folder / "there"))
    stored = cli.program("import", "-", *there, input=exported.read_bytes())
    assert (stored.status, stored.out) == (0, "Conversation: c\n4 events imported\n")
    assert cli.program("export", "c", *there).out == exported.read_text(encoding="utf-8")
    assert cli.program("verify", *there).status == 0
    whole = cli.program("exec", "--conversation", "c", "--resume", "--last-seq", "0", *there)
    assert LONG in whole.out
    again = cli.program("import", str(exported), *there, "--output", "json")
    assert (again.status, again.error()["code"]) == (4, "taken")


def test_a_run_that_is_under_way_elsewhere_is_not_gone_on_with_by_itself(cli: Cli) -> None:
    cli("exec", "--detach", "--conversation", "c", "--agent", "shell", "--input", "sleep 60")
    assert cli("export", "c", "--file", "c.jsonl").status == 0
    there = ("--data-dir", str(cli.folder / "there"))
    stored = cli.program("import", "c.jsonl", *there)
    assert stored.status == 0
    assert stored.out.splitlines()[2:] == [
        "its run is paused; it goes on with",
        f"  axtui exec --conversation c --resume {' '.join(there)}",
    ]
    (state,) = cli.program("show", "c", "--output", "json", *there).json()
    assert (state["status"], state["run"]["cause"]) == ("paused", "person")
    assert cli.program("verify", *there).status == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "no json\n" + text,
        lambda text: text.replace("echo", "ecco", 1),
        lambda text: "\n".join(text.splitlines()[1:]),
        lambda text: "\n".join(reversed(text.splitlines())),
        lambda text: text[: len(text) // 2],
    ],
)
def test_what_was_changed_is_refused(cli: Cli, exported: Path, change: object) -> None:
    assert callable(change)
    cli("delete", "c", "--yes")
    cli("prune", "--older-than", "0")
    text = exported.read_text(encoding="utf-8")
    exported.write_text(change(text), encoding="utf-8")
    done = cli("import", "c.jsonl", "--output", "json")
    assert (done.status, done.out, done.error()["code"]) == (2, "", "usage")
    assert cli("list", "--output", "json").out == ""
    exported.write_text(text, encoding="utf-8")
    assert cli("import", "c.jsonl").status == 0


def test_files_that_are_none(cli: Cli, exported: Path) -> None:
    Path(cli.folder, "latin").write_bytes(b"\xff\n")
    for name in ("missing", ".", "latin", "a\0b"):
        done = cli("import", name)
        assert (done.status, done.out) == (2, "")
        assert name in done.err
    for name in ("missing/file", ".", "a\0b"):
        done = cli("export", "c", "--file", name)
        assert (done.status, done.out) == (2, "")
    made = set(os.listdir(cli.folder)) - {"data-workspaces"}
    assert made == {"c.jsonl", "data", "latin", "long"}


def test_a_pipe_stays_one(cli: Cli, exported: Path) -> None:
    os.symlink("real", cli.folder / "link")
    assert cli("export", "c", "--file", "link", "--output", "json").json() == [
        {"conversation_id": "c", "written": "link", "lines": 6}
    ]
    assert (cli.folder / "link").is_symlink()
    printed = cli.run("export", "c", "--file", "/dev/stdout").out
    assert printed.startswith(exported.read_text(encoding="utf-8"))


def test_what_no_text_file_can_hold(cli: Cli) -> None:
    """A lone surrogate is allowed in JSON, and kept."""
    known = cli("exec", "--agent", "echo", "--input", "x", "--agent-config", r'"\ud800"').id
    assert cli("events", known, "--output", "json").json()[0]["data"]["config"] == "\ud800"
    done = cli("export", known, "--file", "s.jsonl")
    assert (done.status, done.err) == (0, "")
