"""approve, pause, resume, cancel, fork, delete and prune."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from axtui.client import RunOptions
from axtui.local import LocalClient

from .harness import Cli, here

DEMO = ("--agent", "demo", "--agent-config", '{"speed": 0}', "--input", "x")


@here
def test_approve(cli: Cli) -> None:
    known = cli("exec", *DEMO).id
    done = cli("approve", known, "--reason", "it is fine")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "approved; the run goes on with",
        f"  {cli.next(f'exec --conversation {known} --resume')}",
    ]
    assert "approve: it is fine" in cli("events", known, "--kind", "approval.answered").out
    # What was printed can be typed.
    command = shlex.split(done.out.splitlines()[1])
    assert "Published" in cli(*command[1:]).out


@here
def test_deny_by_id_in_json(cli: Cli) -> None:
    known = cli("exec", *DEMO).id
    done = cli("approve", known, "q26", "--deny", "--output", "json")
    assert done.json() == [
        {"conversation_id": known, "done": "denied", "state": "running", "last_seq": 27}
    ]
    assert "drawer" in cli("exec", "--conversation", known, "--resume").out


def test_always(cli: Cli) -> None:
    known = cli("exec", *DEMO).id
    cli("approve", known, "--always")
    cli("exec", "--conversation", known, "--resume")
    again = cli("exec", "--conversation", known, *DEMO)
    assert (again.status, "That makes 2" in again.out) == (0, True)


def test_edit_then_approve(samples: Cli, tmp_path: Path) -> None:
    known = samples("exec", "--agent", "commander", "--approve", "ask", "--input", "echo one").id
    for wrong, why in (
        ("[1]", "a JSON object"),
        ("null", "a JSON object"),
        ("{", "isn't JSON"),
        (f"@{tmp_path}/none", "No such file"),
    ):
        done = samples("approve", known, "--edit", wrong)
        assert (done.status, why in done.err) == (2, True), done.err
    edit = '{"command": "echo two"}'
    assert samples("approve", known, "--edit", edit, "--deny").status == 2
    assert samples("approve", known, "--edit", edit, "--always").status == 2
    assert samples("approve", known, "--edit", edit).status == 0
    answered = samples("events", known, "--kind", "approval.answered").out
    assert 'approve: edited: {"command":"echo two"}' in answered
    # On a server it has gone on by itself.
    samples("exec", "--conversation", known, "--resume")
    (printed,) = samples("events", known, "--kind", "step.completed").out.splitlines()
    assert ("two" in printed, "one" in printed) == (True, False)
    asking = samples("exec", "--agent", "chooser", "--input", "").id
    done = samples("approve", asking, "--choice", "water", "--edit", "{}")
    assert (done.status, "nothing here that can be edited" in done.err) == (2, True)


@here
def test_a_question_with_other_choices(samples: Cli) -> None:
    known = samples("exec", "--agent", "chooser", "--input", "").id
    for wrong in ((), ("--deny",), ("--choice", "beer"), ("--text", "water")):
        done = samples("approve", known, *wrong)
        assert done.status == 2
        assert samples.next(f"approve {known} q3 --choice 'red wine'") in done.err
    command = shlex.split(done.err.splitlines()[1])
    assert samples(*command[1:]).out.startswith("answered; ")
    assert "You took red wine" in samples("exec", "--conversation", known, "--resume").out


@here
def test_a_question_for_words(samples: Cli) -> None:
    waiting = samples("exec", "--agent", "asker", "--input", "")
    assert samples.next(f"approve {waiting.id} q3 --text TEXT") in waiting.err
    for wrong in ((), ("--deny",), ("--choice", "x"), ("--text", "x", "--always")):
        assert samples("approve", waiting.id, *wrong).status == 2
    assert samples("approve", waiting.id, "--text", "Zoë").status == 0
    assert "Hello, Zoë" in samples("exec", "--conversation", waiting.id, "--resume").out


@here
def test_two_questions(samples: Cli) -> None:
    waiting = samples("exec", "--agent", "pair", "--input", "")
    unclear = samples("approve", waiting.id)
    assert unclear.status == 2
    assert "First?" in unclear.err
    assert "Second?" in unclear.err
    first, second = (line.split()[0] for line in unclear.err.splitlines()[1:])
    assert samples("approve", waiting.id, "q99").status == 4
    left = samples("approve", waiting.id, second, "--deny")
    assert f"1 more to answer: {samples.next(f'show {waiting.id}')}" in left.out
    assert samples("approve", waiting.id, first).status == 0
    assert "[True, False]" in samples("exec", "--conversation", waiting.id, "--resume").out


def test_three_answers_are_two_too_many(cli: Cli) -> None:
    known = cli("exec", *DEMO).id
    assert cli("approve", known, "--deny", "--text", "x").status == 2
    assert cli("approve", known, "--deny", "--choice", "approve").status == 2


def test_nothing_is_asked(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    assert cli("approve", known).status == 4


def test_pause_resume_cancel(cli: Cli) -> None:
    known = cli("exec", *DEMO).id
    told = cli("pause", known, "--reason", "lunch").out
    assert told.splitlines() == [
        "paused; the run goes on with",
        f"  1 more to answer: {cli.next(f'show {known}')}",
        f"  {cli.next(f'exec --conversation {known} --resume')}",
    ]
    assert "paused (person: lunch)" in cli("show", known).out
    assert cli("pause", known).status == 4
    assert cli("resume", known).status == 0
    assert cli("show", known, "--output", "json").json()[0]["status"] == "waiting"
    canceled = cli("cancel", known, "--reason", "enough", "--output", "json").json()
    assert canceled == [
        {"conversation_id": known, "done": "canceled", "state": "canceled", "last_seq": 29}
    ]
    again = cli("exec", "--conversation", known, "--resume")
    assert (again.status, "canceled: enough" in again.err) == (6, True)


@pytest.mark.parametrize("command", ["approve", "pause", "resume", "cancel"])
def test_a_run_that_has_ended(cli: Cli, command: str) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    done = cli(command, known, "--output", "json")
    assert (done.status, done.out, done.error()["code"]) == (4, "", "state")


@here
@pytest.mark.parametrize(
    "command",
    [
        "show",
        "events",
        "approve",
        "pause",
        "resume",
        "cancel",
        "fork",
        "delete",
        "export",
        "verify",
    ],
)
def test_an_unknown_conversation_leaves_no_trace(cli: Cli, command: str) -> None:
    done = cli(command, "nobody", "--output", "json")
    assert (done.status, done.out, done.error()["code"]) == (4, "", "unknown")
    assert not cli.data_dir.exists()
    cli("exec", "--agent", "echo", "--input", "x")
    assert cli(command, "nobody").status == 4
    assert cli(command).status == (0 if command == "verify" else 2)


def test_a_run_that_another_process_drives(samples: Cli) -> None:
    args = ("--conversation", "c", "--agent", "gate", "--input", "", "--output", "json")
    with samples.started("exec", *args) as process:
        assert process.stdout
        process.stdout.readline()
        assert samples("pause", "c").status == 0
        assert samples("resume", "c").out.splitlines() == [
            "resumed; its controller goes on; to follow it",
            f"  {samples.next('attach c')}",
        ]
        Path(samples.folder, "open").touch()
        process.communicate()


def test_fork(cli: Cli) -> None:
    known = cli("exec", *DEMO, "--approve", "all").id
    done = cli("fork", f"{known}:21", "other")
    assert done.out.splitlines() == [
        "Conversation: other",
        "its run is paused; it goes on with",
        f"  {cli.next('exec --conversation other --resume')}",
    ]
    assert "Published" in cli("exec", "--conversation", "other", "--resume").out
    assert f"{known}:21" in cli("show", "other").out
    made_up = cli("fork", known, "--output", "json").json()[0]
    assert set(made_up) == {"conversation_id", "parent_id", "last_seq"}
    assert made_up["parent_id"] == known


def test_fork_as_ax_writes_it(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    ax = ("--src-conversation", known, "--dest-conversation")
    assert cli("fork", *ax, "a", "--src-seq", "2").id == "a"
    assert cli("fork", *ax, "b", "--src-seq", "0").id == "b"
    assert cli("fork", *ax, "c").id == "c"
    forked = [cli("show", name, "--output", "json").json()[0]["parent_seq"] for name in "abc"]
    assert forked == [2, 4, 4]
    wrong = [
        (*ax, "d", "--src-seq", "5"),
        (*ax, "d", "--src-seq", "-1"),
        (known, *ax, "d"),
        (known, "new", "--dest-conversation", "d"),
        (known, "--src-seq", "2"),
        (known, "with space"),
        (known, "$control"),
        (),
    ]
    for args in wrong:
        assert cli("fork", *args).status == 2, args
    assert cli("fork", *ax, "a").status == 4
    assert cli("fork", "--src-conversation", "nobody").status == 4
    assert len(cli("list", "--output", "json").json()) == 4


def test_fork_with_an_edit(cli: Cli) -> None:
    known = cli("exec", "--agent", "shell", "--input", "echo one").id
    edit = '{"result": {"exit_status": 0, "output": "another"}}'
    fork = cli("fork", f"{known}:4", "--edit", edit).id
    assert "another" in cli("exec", "--conversation", fork, "--resume").out
    Path(cli.folder, "edit").write_text(edit)
    assert cli("fork", f"{known}:4", "--edit", "@edit").status == 0
    for wrong in ("{", "[]", '{"reslut": 1}', "@missing"):
        assert cli("fork", f"{known}:4", "--edit", wrong).status == 2
    assert cli("fork", known, "--edit", edit).status == 2


def test_delete_asks_first(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    asked = cli.run("delete", known, input=b"y\n")
    assert (asked.status, "--yes" in asked.err) == (2, True)
    done = cli("delete", known, "--yes", "--output", "json")
    assert done.json() == [{"conversation_id": known, "done": "deleted"}]
    assert cli("list", "--output", "json").out == ""
    assert cli("delete", known, "--yes").status == 4
    assert "completed, deleted" in cli("show", known).out
    assert cli("show", known[:12]).status == 4


def test_prune(cli: Cli) -> None:
    for name in ("done", "gone"):
        cli("exec", "--agent", "echo", "--input", "x", "--conversation", name)
    cli("exec", *DEMO, "--conversation", "waits")
    cli("delete", "gone", "--yes")
    assert cli("prune", "--older-than", "1h").out == "0 conversations removed\n"
    told = cli("prune", "--older-than", "0", "--dry-run", "--output", "json").json()
    assert [(entry["conversation_id"], entry["state"]) for entry in told] == [
        ("gone", "deleted"),
        ("done", "completed"),
    ]
    assert {entry["done"] for entry in told} == {"would be purged"}
    assert "2 conversations would be removed" in cli("prune", "--older-than", "0", "--dry-run").out
    assert cli("prune", "--older-than", "0", "--state", "failed").out.startswith("0 conv")
    assert "2 conversations removed" in cli("prune", "--older-than", "0").out
    left = cli("list", "--output", "json").json()
    assert [entry["conversation_id"] for entry in left] == ["waits"]
    assert cli("show", "gone").status == 4
    assert cli("verify").status == 0


@here
@pytest.mark.parametrize("then", ["paused", "completed"])
def test_prune_leaves_what_has_been_gone_on_with_meanwhile(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    for name in ("a", "b"):
        cli("exec", "--agent", "echo", "--input", "x", "--conversation", name)
    purge = LocalClient.purge

    async def slowly(client: LocalClient, name: str) -> None:
        monkeypatch.setattr(LocalClient, "purge", purge)
        await purge(client, name)
        other = {"a": "b", "b": "a"}[name]
        if then == "paused":
            await client.start(other, "sleep 9", "shell", RunOptions())
            await client.pause(other, "")
        else:
            await client.start(other, "again", "echo", RunOptions())
            async for _ in client.watch(other, 0):
                if (await client.state(other)).run.state == "completed":
                    break

    monkeypatch.setattr(LocalClient, "purge", slowly)
    assert "1 conversation removed" in cli("prune", "--older-than", "0").out
    (left,) = cli("list", "--output", "json").json()
    assert left["state"] == then


@here
def test_prune_wants_an_age(cli: Cli) -> None:
    for wrong in ((), ("--older-than", "old"), ("--older-than", "1d", "--state", "running")):
        assert cli("prune", *wrong).status == 2
    assert cli("prune", "--older-than", "1d").out == "0 conversations removed\n"
    assert not cli.data_dir.exists()


def test_what_to_type_next_reaches_the_same_log(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my settings.yaml").touch()
    given = ("--config", "my settings.yaml", *cli.reached()[-2:])
    is_remote = "--server" in given
    monkeypatch.setattr(cli, "reached", list)
    waiting = cli("exec", *DEMO, *given)
    told = waiting.err.splitlines()
    approve = next(line for line in told if "axtui approve" in line)
    assert ("--config 'my settings.yaml'" in approve) is not is_remote
    assert cli(*shlex.split(approve)[1:]).status == 0
    # By itself it goes on where somebody drives it.
    assert "Published" in cli(*shlex.split(told[-1])[1:]).out
