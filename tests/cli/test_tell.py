"""axtui tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.providers.process import serving

from .harness import Cli, here

LISTEN = ("--agent", "listener", "--input", "x", "--conversation", "c")


def test_an_agent_hears_what_it_was_told(samples: Cli) -> None:
    samples("exec", *LISTEN)
    done = samples("tell", "c", "the first")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("told; ")
    Path(samples.folder, "words").write_text("from a file")
    (line,) = samples("tell", "c", "@words", "--actor", "listener", "--output", "json").json()
    assert (line["done"], line["state"]) == ("told", "waiting")
    shown = samples("show", "c").out
    assert "user: the first" in shown
    assert "user: from a file" in shown
    events = samples("events", "c", "--kind", "message", "--output", "json").json()
    assert [event["data"].get("to", "") for event in events] == ["", "listener", "listener"]
    samples("approve", "c", "--text", "done")
    ended = samples("exec", "--conversation", "c", "--resume", "--last-seq", "0")
    assert "done the first from a file" in ended.out


def test_standard_input_is_told(samples: Cli) -> None:
    samples("exec", *LISTEN)
    assert samples.run("tell", "c", "-", input="Zoë".encode()).status == 0
    assert "user: Zoë" in samples("show", "c").out


def test_who_cannot_be_told(samples: Cli) -> None:
    samples("exec", *LISTEN)
    wrong = [
        ("c", "x", "--actor", "nobody"),
        ("c", " "),
        ("c", "x" * (1024 * 1024 + 1)),
        ("c", "@missing"),
        ("nobody", "x"),
        ("c",),
    ]
    told = [samples("tell", *args) for args in wrong]
    assert [done.status for done in told] == [4, 2, 2, 2, 4, 2]
    assert "at work: listener" in told[0].err
    samples("cancel", "c")
    late = samples("tell", "c", "x", "--output", "json")
    assert (late.status, late.error()["code"]) == (4, "state")
    assert "axtui exec --conversation c" in late.error()["hint"]


def test_a_run_that_another_process_drives(samples: Cli) -> None:
    args = ("--conversation", "c", "--agent", "gate", "--input", "", "--output", "json")
    with samples.started("exec", *args) as process:
        assert process.stdout
        process.stdout.readline()
        assert samples("tell", "c", "hello").out.startswith("told; its controller goes on")
        Path(samples.folder, "open").touch()
        process.communicate()
    events = samples("events", "c", "--kind", "message", "--output", "json").json()
    assert "gate" in [event["data"].get("to") for event in events]


@here
def test_the_planner_hears_it_at_its_next_turn(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = {"id": "1", "name": "shell", "arguments": {"command": "true"}}
    script = [{"calls": [call]}, {"when": "In blue, please.", "text": ["As you ", "say."]}]
    with serving(script, tmp_path) as url:
        monkeypatch.setenv("OPENAI_API_KEY", "a-key")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        config = ("--agent-config", '{"model": "openai:gpt-4o"}', "--conversation", "c")
        assert cli("exec", "--input", "Do it.", *config).status == 3
        assert cli("tell", "c", "In blue, please.").status == 0
        assert cli("approve", "c").status == 0
        assert "As you say." in cli("exec", "--conversation", "c", "--resume").out
