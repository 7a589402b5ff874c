"""exec: what it prints, in what shape, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from .harness import Cli, here

EVENT = {"conversation_id", "seq", "exec_id", "time", "actor", "kind", "data"}
ADDED = {"principal", "request_id", "edited_from"}
DEMO = ("--agent", "demo", "--agent-config", '{"speed": 0}', "--input", "x")


def test_text(cli: Cli) -> None:
    done = cli.run("exec", "--agent", "echo", "--input", "hello")
    assert (done.status, done.err) == (0, "")
    assert uuid.UUID(done.id).version == 7
    assert done.out.splitlines()[1:] == ["hello", "seq=4"]


def test_the_first_run_with_an_id_of_its_own(cli: Cli) -> None:
    done = cli("exec", "--agent", "echo", "--input", "hello", "--conversation", "mine")
    assert (done.status, done.id) == (0, "mine")


def test_thoughts_and_private_messages(samples: Cli) -> None:
    done = samples("exec", "--agent", "talker", "--input", "")
    assert done.out.splitlines()[1:] == [
        "in public",
        "Thinking: it depends",
        "\x1b[31mred\x1b[0m\x07",
        "seq=7",
    ]
    told = samples("events", done.id)
    assert "to myself (private)" in told.out


def test_json(cli: Cli) -> None:
    done = cli.run("exec", "--agent", "shell", "--input", "echo hi", "--output", "json")
    assert (done.status, done.unwarned) == (0, "")
    *entries, result = done.json()
    events = [entry for entry in entries if entry["kind"] != "delta"]
    deltas = [entry for entry in entries if entry["kind"] == "delta"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    for event in events:
        assert EVENT <= set(event) <= EVENT | ADDED
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["time"])
    assert [event["kind"] for event in events][:4] == [
        "run.started",
        "message",
        "step.started",
        "step.completed",
    ]
    for delta in deltas:
        assert set(delta) == {"conversation_id", "exec_id", "actor", "kind", "data"}
        assert set(delta["data"]) == {"step", "attempt", "channel", "offset", "text"}
    assert "".join(delta["data"]["text"] for delta in deltas) == "hi\n"
    assert result == {
        "kind": "result",
        "conversation_id": events[0]["conversation_id"],
        "exec_id": events[0]["exec_id"],
        "state": "completed",
        "last_seq": len(events),
        "output": None,
        "usage": {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0},
    }


def test_json_comes_as_it_happens(samples: Cli) -> None:
    with samples.started("exec", "--agent", "gate", "--input", "", "--output", "json") as process:
        _until(process, "step.started")
        Path(samples.folder, "open").touch()
        last = json.loads(process.communicate()[0].splitlines()[-1])
    assert (last["kind"], last["output"], process.returncode) == ("result", "through", 0)


def test_last_seq_replays_what_comes_after_and_nothing_else(cli: Cli) -> None:
    first = cli("exec", "--agent", "echo", "--input", "hello")
    resume = ("exec", "--conversation", first.id, "--resume")
    nothing = cli(*resume, "--last-seq", str(first.seq))
    assert nothing.out.splitlines() == [f"Conversation: {first.id}", f"seq={first.seq}"]
    assert cli(*resume).out == nothing.out
    everything = cli(*resume, "--last-seq", "0")
    assert everything.out == first.out
    as_json = cli(*resume, "--last-seq", "2", "--output", "json").json()
    assert [entry.get("seq") for entry in as_json] == [3, 4, None]


def test_last_seq_with_new_input(cli: Cli) -> None:
    first = cli("exec", "--agent", "echo", "--input", "one")
    again = ("exec", "--conversation", first.id, "--input", "two", "--last-seq")
    assert cli(*again, "3").out.splitlines()[1:] == ["two", "seq=8"]


@pytest.mark.parametrize(
    "args",
    [
        ("--resume",),
        ("--last-seq", "1"),
        ("--resume", "--last-seq", "1"),
        ("--conversation", "known", "--resume", "--input", "x"),
        ("--conversation", "known", "--resume", "--agent", "echo"),
        ("--conversation", "known", "--resume", "--agent-config", "{}"),
        ("--conversation", "known", "--resume", "--last-seq", "-1"),
        ("--conversation", "known", "--resume", "--last-seq", "5"),
        ("--conversation", "known", "--resume", "--last-seq", "9" * 30),
        ("--conversation", "known", "--resume", "--last-seq", "x"),
        ("--conversation", "new", "--input", "x", "--agent", "echo", "--last-seq", "1"),
        ("--conversation", "", "--input", "x", "--agent", "echo"),
        ("--conversation", "a b", "--input", "x", "--agent", "echo"),
        ("--conversation", "a:1", "--input", "x", "--agent", "echo"),
        ("--conversation", "$control", "--input", "x", "--agent", "echo"),
        ("--conversation", "x" * 201, "--input", "x", "--agent", "echo"),
        (),
        ("--input", "x"),
        ("--input", "x", "--agent", "ecco"),
        ("--input", "x", "--agent", ""),
        ("--input", "@missing", "--agent", "echo"),
        ("--input", "@.", "--agent", "echo"),
        ("--input", "@a\0b", "--agent", "echo"),
        ("--input", "x", "--agent", "echo", "--agent-config", "{"),
        ("--input", "x", "--agent", "echo", "--agent-config", "NaN"),
        ("--input", "x", "--agent", "echo", "--agent-config", "[1e999]"),
        ("--input", "x", "--agent", "echo", "--agent-config", "[" * 100_000),
        ("--input", "x", "--agent", "echo", "--agent-config", "@missing"),
        ("--input", "x", "--agent", "echo", "--timeout", "soon"),
        ("--input", "x", "--agent", "echo", "--approve", "maybe"),
        ("--input", "-", "--agent", "echo", "--agent-config", "-"),
        ("--inptu", "x"),
        ("x",),
    ],
)
def test_a_wrong_call_writes_nothing(cli: Cli, args: tuple[str, ...]) -> None:
    cli("exec", "--agent", "echo", "--input", "x", "--conversation", "known")
    before = cli("list", "--output", "json").out
    done = cli("exec", *args)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("axtui: ")
    assert len(done.err) < 1000
    assert cli("list", "--output", "json").out == before


def test_a_wrong_call_in_json(cli: Cli) -> None:
    done = cli("exec", "--interactive", "--output=json", "--agent", "echo")
    assert (done.status, done.out, done.error()["code"]) == (2, "", "usage")


def test_a_wrong_call_says_what_would_be_right(cli: Cli) -> None:
    assert "did you mean '--input'?" in cli("exec", "--inptu", "x").err
    assert "'x'" in cli("exec", "x").err
    assert "echo" in cli("exec", "--input", "x", "--agent", "ecco").err
    assert "--option=VALUE" in cli("exec", "--input", "--agent", "echo").err


@here
def test_how_a_finished_run_ended_is_told_again_and_nothing_started(cli: Cli) -> None:
    failed = cli("exec", "--agent", "shell", "--input", "echo once >> count\nfalse")
    assert failed.status == 1
    assert "line 2 (false) ended with exit status 1" in failed.err
    canceled = cli("exec", *DEMO)
    assert canceled.status == 3
    cli("cancel", canceled.id)
    for known, status in ((failed.id, 1), (canceled.id, 6)):
        before = cli("events", known).out
        again = cli("exec", "--conversation", known, "--resume", "--output", "json")
        (result,) = again.json()
        assert (again.status, result["state"]) == (status, {1: "failed", 6: "canceled"}[status])
        assert cli("events", known).out == before
    assert Path(cli.folder, "count").read_text() == "once\n"


def test_the_result_of_a_failed_run(cli: Cli) -> None:
    done = cli("exec", "--agent", "shell", "--input", "exit 3", "--output", "json")
    result = done.json()[-1]
    assert (done.status, result["state"], result["output"]) == (1, "failed", None)
    assert set(result["error"]) == {"code", "message"}


@pytest.mark.parametrize("known", ["nobody", "01a2"])
def test_an_unknown_conversation(cli: Cli, known: str) -> None:
    for _ in range(2):
        done = cli("exec", "--conversation", known, "--resume", "--output", "json")
        assert (done.status, done.out, done.error()["code"]) == (4, "", "unknown")
        cli("exec", "--agent", "echo", "--input", "x", "--conversation", "other")


def test_a_deleted_conversation_is_unknown(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    cli("delete", known, "--yes")
    assert cli("exec", "--conversation", known, "--resume").status == 4
    assert cli("exec", "--conversation", known, "--input", "x").status == 4


@here
def test_new_input_to_a_run_in_flight(samples: Cli) -> None:
    args = ("exec", "--conversation", "busy", "--agent", "gate", "--output", "json")
    with samples.started(*args, "--input", "x") as process:
        _until(process, "step.started")
        done = samples(*args, "--input", "y")
        assert (done.status, done.out) == (4, "")
        assert samples("list", "--output", "json").json()[0]["controller_pid"] == process.pid
        assert samples("show", "busy").out.splitlines()[1].split() == ["state", "running"]
        Path(samples.folder, "open").touch()
        process.communicate()
    assert process.returncode == 0


@here
def test_a_data_directory_that_is_named_beats_a_server_of_the_environment(cli: Cli) -> None:
    cli("exec", "--agent", "echo", "--input", "x", "--conversation", "c")
    done = cli.program(*cli.args("list"), env={"AXTUI_SERVER": "localhost:1"})
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[1].startswith("c ")


def test_new_input_to_a_run_that_has_not_ended(cli: Cli) -> None:
    waiting = cli("exec", *DEMO)
    done = cli("exec", "--conversation", waiting.id, "--input", "y", "--output", "json")
    assert (done.status, done.error()["code"]) == (4, "in_flight")
    assert waiting.id in done.error()["hint"]


@here
def test_nobody_is_asked_where_standard_input_is_no_terminal(cli: Cli) -> None:
    done = cli.run("exec", *DEMO, input=b"approve\n")
    assert done.status == 3
    question = f"q{done.seq}"
    assert f"{cli.next(f'approve {done.id} {question}')}\n" in done.err
    assert f"{cli.next(f'approve {done.id} {question} --deny')}\n" in done.err
    assert f"{cli.next(f'exec --conversation {done.id} --resume')}\n" in done.err
    assert cli("approve", done.id).status == 0
    assert cli("exec", "--conversation", done.id, "--resume").status == 0


def test_what_the_starter_grants_or_denies(cli: Cli) -> None:
    assert "Published" in cli("exec", *DEMO, "--approve", "all").out
    assert "drawer" in cli("exec", *DEMO, "--approve", "deny").out
    assert cli("exec", "--agent", "shell", "--input", "true").status == 0
    assert cli("exec", "--agent", "shell", "--input", "true", "--approve", "ask").status == 3


@here
def test_a_timeout_pauses_what_can_go_on_later(samples: Cli) -> None:
    done = samples("exec", "--agent", "gate", "--input", "", "--timeout", "50ms")
    assert done.status == 3
    assert "the run is paused" in done.err
    Path(samples.folder, "open").touch()
    resume = ("exec", "--conversation", done.id, "--resume")
    # Its step was cut off, and nobody knows whether it has taken effect.
    asked = samples(*resume)
    assert (asked.status, Path(samples.folder, "effects").read_text()) == (3, "x")
    assert "--choice retry" in asked.err
    assert samples(*resume, "--on-interrupted", "retry").status == 0
    assert Path(samples.folder, "effects").read_text() == "xx"


def test_nothing_that_is_counted_stays_unsaid(samples: Cli) -> None:
    """What is committed while a run pauses is shown before the seq that counts it."""
    args = ("exec", "--agent", "gate", "--input", "", "--timeout", "0", "--output", "json")
    *entries, result = samples(*args).json()
    assert [entry["seq"] for entry in entries if "seq" in entry][-1] == result["last_seq"]


@here
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_pauses(samples: Cli, number: signal.Signals, status: int) -> None:
    args = ("exec", "--conversation", "c", "--agent", "gate", "--agent-config", '"idempotent"')
    with samples.started(*args, "--input", "", "--output", "json") as process:
        _until(process, "step.started")
        process.send_signal(number)
        out, err = process.communicate()
    result = json.loads(out.splitlines()[-1])
    assert (process.returncode, result["state"], err) == (status, "paused", "")
    Path(samples.folder, "open").touch()
    assert samples("exec", "--conversation", "c", "--resume").status == 0


@here
def test_a_signal_says_how_to_go_on(samples: Cli) -> None:
    args = ("exec", "--conversation", "it's mine".replace(" ", "-"), "--agent", "gate")
    with samples.started(*args, "--input", "") as process:
        _until(process, "before")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert """axtui exec --conversation 'it'"'"'s-mine' --resume""" in err


@here
@pytest.mark.parametrize("agent", ["hanger", "inline_hanger"])
def test_a_signal_ends_what_hangs(samples: Cli, agent: str) -> None:
    with samples.started("exec", "--agent", agent, "--input", "") as process:
        _until(process, "hanging")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 143
    assert "--resume" in err


@pytest.mark.parametrize("agent", ["stubborn", "inline_stubborn"])
def test_a_task_that_an_agent_leaves_behind_keeps_nobody(samples: Cli, agent: str) -> None:
    with samples.started("exec", "--agent", agent, "--input", "") as process:
        out, err = process.communicate()
    assert process.returncode == 0
    assert "done" in out.splitlines()
    assert err == ""


def test_long_output_is_printed_whole(cli: Cli) -> None:
    long = "ä" * 2_000_000
    done = cli.run("exec", "--agent", "echo", "--input", "-", input=long.encode())
    assert done.out.splitlines()[1] == long
    again = cli("exec", "--conversation", done.id, "--resume", "--output", "json")
    assert again.json()[-1]["output"] == long


def test_input_beyond_the_limit(cli: Cli) -> None:
    Path(cli.folder, "huge").write_bytes(b"x" * (16 * 1024 * 1024 + 1))
    done = cli("exec", "--agent", "echo", "--input", "@huge")
    assert (done.status, done.out) == (2, "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", []),
        (b"a\0b", ["a\0b"]),
        (b"\xff\xfeh", ["\ufffd\ufffdh"]),
        ("grüße 日本 👋🏽".encode(), ["grüße 日本 👋🏽"]),
        (b"\xed\xa0\x80", ["\ufffd\ufffd\ufffd"]),
    ],
)
def test_any_input(cli: Cli, given: bytes, said: list[str]) -> None:
    Path(cli.folder, "input").write_bytes(given)
    from_file = cli("exec", "--agent", "echo", "--input", "@input")
    piped = cli.run("exec", "--agent", "echo", "--input", "-", input=given)
    for done in (from_file, piped):
        assert done.status == 0
        assert done.out.split("\n")[1:-2] == said
    assert cli("verify").status == 0


def test_input_that_is_no_utf8_on_the_command_line(cli: Cli) -> None:
    done = cli.program("exec", "--agent", "echo", "--input", b"\xff!", *cli.reach)
    assert done.out.splitlines()[1] == "\ufffd!"
    for option in ("--conversation", "--agent"):
        wrong = cli.program("exec", "--input", "x", option, b"\xff", *cli.reach)
        assert (wrong.status, wrong.out) == (2, "")
        assert f"{option}: it isn't UTF-8" in wrong.err


@here
def test_the_workspace_stays_where_the_run_was_started(cli: Cli) -> None:
    elsewhere = cli.folder / "elsewhere"
    elsewhere.mkdir()
    args = ("exec", "--agent", "shell", "--conversation", "w")
    asked = cli(*args, "--input", "pwd", "--approve", "ask")
    assert asked.status == 3
    cli("approve", "w")
    done = cli.run("exec", "--conversation", "w", "--resume", cwd=elsewhere)
    assert str(cli.folder) in done.out.splitlines()


@here
def test_the_workspace_of_the_configuration(cli: Cli) -> None:
    (cli.folder / "work").mkdir()
    (cli.folder / "axtui.yaml").write_text(f"environment: {{workspace: {cli.folder}/work}}")
    done = cli.run("exec", "--agent", "shell", "--input", "pwd; touch here")
    assert done.out.splitlines()[1] == f"{cli.folder}/work"
    assert (cli.folder / "work" / "here").exists()


def test_verbose(cli: Cli) -> None:
    done = cli("exec", "--agent", "shell", "--input", "echo hi", "-v")
    assert done.out.splitlines()[1] == "hi"
    assert [line.split()[1] for line in done.unwarned.splitlines()] == [
        "run.started",
        "step.started",
        "step.completed",
        "run.completed",
    ]


@here
def test_commands_without_a_sandbox_are_warned_of_once(cli: Cli) -> None:
    Path(cli.folder, "axtui.yaml").write_text("environment: {sandbox: none}")
    run = ("exec", "--agent", "shell", "--input", "echo one\necho two")
    done = cli.run(*run)
    said = "commands are run without a sandbox, as the configuration says"
    assert (done.status, done.err) == (0, f"axtui: warning: {said}\n")
    done = cli.run(*run, "--output", "json")
    (line,) = done.err.splitlines()
    assert json.loads(line) == {
        "kind": "warning",
        "code": "sandbox",
        "message": said,
        "hint": "",
    }
    with cli.terminal(*run) as terminal:
        assert terminal.finish() == 0
        assert [line for line in terminal.screen() if said in line] == [f"axtui: warning: {said}"]
    assert cli.run("exec", "--agent", "echo", "--input", "x").err == ""


def test_inputs_line_by_line(cli: Cli) -> None:
    args = ("exec", "--interactive", "--agent", "lowercase", "--conversation", "c")
    done = cli.run(*args, input="ONE\n\nTWO\r\nDREIß".encode())
    assert done.status == 0
    assert done.out.splitlines() == [
        "Conversation: c",
        *("one", "seq=4"),
        *("two", "seq=8"),
        *("dreiß", "seq=12"),
    ]
    assert cli.run(*args, input=b"").out == ""


def _until(process: subprocess.Popen[str], what: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        entry: Any = json.loads(line) if line.startswith("{") else {"kind": line.strip()}
        if entry["kind"] == what:
            return
    raise AssertionError(f"it ended before {what}")
