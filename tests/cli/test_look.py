"""list, show, events and verify."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from axtui.cli.table import fitting
from axtui.model.words import ago, count, size_text, took
from tests.meddling import spread

from .harness import SECONDS, Cli, here

DEMO = ("--agent", "demo", "--agent-config", '{"speed": 0}', "--input", "x")


def test_list(cli: Cli) -> None:
    assert cli("list").out == "no conversations; `axtui exec` makes one\n"
    assert cli("list", "--output", "json").out == ""
    cli("exec", "--agent", "echo", "--input", "a\n\x1b[31mtitle", "--conversation", "one")
    cli("exec", *DEMO, "--conversation", "two")
    head, first, second, end = cli("list").out.splitlines()
    assert head.split() == ["CONVERSATION", "STATE", "AGENT", "EVENTS", "AGE", "ABOUT"]
    assert first.split()[:4] == ["two", "waiting", "demo", "26"]
    assert first.endswith("Publish the page?")
    assert second.split()[:4] == ["one", "completed", "echo", "4"]
    assert second.endswith("a ␛[31mtitle")
    assert end.startswith("2 conversations shown; the log takes ")


@here
def test_list_in_json(cli: Cli) -> None:
    cli("exec", *DEMO, "--conversation", "one")
    (entry,) = cli("list", "--output", "json").json()
    assert {**entry, "exec_id": "", "created": "", "updated": ""} == {
        "conversation_id": "one",
        "state": "waiting",
        "controller_pid": None,
        "agent": "demo",
        "exec_id": "",
        "title": "x",
        "waiting_for": "Publish the page?",
        "events": 26,
        "created": "",
        "updated": "",
        "parent_id": None,
        "parent_seq": None,
        "usage": {"tokens": 0, "cost_usd": 0.0},
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["updated"])


def test_list_filters(cli: Cli) -> None:
    cli("exec", "--agent", "echo", "--input", "x", "--conversation", "done")
    cli("exec", *DEMO, "--conversation", "waits")

    def ids(*args: str) -> list[str]:
        return [entry["conversation_id"] for entry in cli("list", *args, "--output", "json").json()]

    assert ids("--state", "completed") == ["done"]
    assert ids("--state", "completed", "--state", "waiting") == ["waits", "done"]
    assert ids("--agent", "demo") == ["waits"]
    assert ids("--limit", "1") == ["waits"]
    assert ids("--limit", "0") == []
    assert cli("list", "--agent", "nobody").out == "no conversations fit\n"
    for wrong in (("--limit", "-1"), ("--limit", "x"), ("--state", "odd"), ("one",)):
        assert cli("list", *wrong).status == 2


def test_show(cli: Cli) -> None:
    known = cli("exec", *DEMO).id
    told = cli("show", known).out
    facts = dict(re.findall(r"^([a-z]+(?: [a-z]+)?)\s{2,}(.*)$", told, re.M))
    assert facts["conversation"] == known
    assert facts["state"] == "waiting"
    assert facts["steps"] == "8 in 1 run, 1 attempt failed"
    assert "              - Whales sing songs" in told
    assert f"axtui approve {known} q26" in told
    assert cli("show", f"{known}:3").out.count("axtui approve") == 0


def test_show_in_json(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    (state,) = cli("show", known, "--output", "json").json()
    assert (state["conversation_id"], state["seq"], state["status"]) == (known, 4, "completed")
    (state,) = cli("show", f"{known}:2", "--output", "json").json()
    assert (state["seq"], state["status"]) == (2, "pending")


def test_times_are_those_of_the_place(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    here = cli.run("events", known, env={"TZ": "UTC"}).out
    there = cli.run("events", known, env={"TZ": "XXX-05:30"}).out
    for line, other in zip(here.splitlines(), there.splitlines(), strict=True):
        first, second = (
            time.mktime(time.strptime(" ".join(text.split()[1:3])[:19], "%Y-%m-%d %H:%M:%S"))
            for text in (line, other)
        )
        assert second - first == 5.5 * 3600


@pytest.mark.parametrize(
    ("command", "seq"),
    [("show", "0"), ("show", "5"), ("show", "x"), ("show", "9" * 30), ("show", ""), ("fork", "5")],
)
def test_no_such_checkpoint(cli: Cli, command: str, seq: str) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    done = cli(command, f"{known}:{seq}")
    assert (done.status, done.out) == (2, "")
    assert "its events are 1 to 4" in done.err


def test_events(cli: Cli) -> None:
    known = cli("exec", "--agent", "shell", "--input", "echo one\necho two").id

    def seqs(*args: str) -> list[int]:
        return [entry["seq"] for entry in cli("events", known, *args, "--output", "json").json()]

    assert seqs() == list(range(1, 10))
    assert seqs("--after", "7") == [8, 9]
    assert seqs("--after", "99") == []
    assert seqs("--after", "1", "--limit", "2") == [2, 3]
    assert seqs("--limit", "0") == []
    assert seqs("--kind", "step.completed") == [4, 7]
    assert seqs("--kind", "step") == [3, 4, 6, 7]
    assert seqs("--actor", "shell", "--kind", "message") == [5, 8]
    assert seqs("--actor", "nobody") == []
    assert seqs("--follow", "--limit", "9") == seqs()
    lines = cli("events", known).out.splitlines()
    assert "root: echo one" not in lines[0]
    assert [line.split()[0] for line in lines if line[:6].strip()] == list("123456789")


def test_events_of_an_unknown_kind(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    done = cli("events", known, "--kind", "step.complete")
    assert done.status == 2
    assert "did you mean 'step.completed'?" in done.err
    for wrong in (("--after", "-1"), ("--limit", "-1"), ("--after", "9" * 30)):
        assert cli("events", known, *wrong).status == 2


def test_events_as_they_come(samples: Cli) -> None:
    args = ("--conversation", "c", "--agent", "gate", "--input", "", "--output", "json")
    with samples.started("exec", *args) as process:
        assert process.stdout
        process.stdout.readline()
        with samples.started("events", "c", "--follow") as following:
            assert following.stdout
            seen = [following.stdout.readline() for _ in range(3)]
            Path(samples.folder, "open").touch()
            while seen[-1] and "run.completed" not in seen[-1]:
                seen.append(following.stdout.readline())
            following.send_signal(signal.SIGINT)
            assert following.wait(SECONDS) == 130
            assert [int(line.split()[0]) for line in seen] == list(range(1, len(seen) + 1))
        process.communicate()


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
def test_ids_may_be_shortened(cli: Cli, command: str) -> None:
    first = cli("exec", *DEMO).id
    more = ("--yes",) if command == "delete" else ()
    assert cli(command, first[:12], *more).status == 0


def test_only_generated_ids_may_be_shortened(cli: Cli) -> None:
    for name in ("job-10", "beef-10"):
        cli("exec", "--agent", "echo", "--input", "x", "--conversation", name)
    generated = cli("exec", "--agent", "echo", "--input", "x").id
    for name in ("job-1", "beef", generated[:3], generated + "0"):
        assert cli("delete", name, "--yes").status == 4
    assert cli("exec", "--conversation", generated[:4], "--resume").id == generated
    # With input it is the id of a new conversation.
    new = cli("exec", "--conversation", generated[:4], "--agent", "echo", "--input", "x")
    assert new.id == generated[:4]
    assert cli("show", generated[:4]).out.splitlines()[0].split()[1] == generated[:4]


def test_an_ambiguous_beginning_names_the_candidates(cli: Cli) -> None:
    ids = [cli("exec", "--agent", "echo", "--input", "x").id for _ in range(2)]
    common = os.path.commonprefix(ids)  # noqa: RUF071
    done = cli("show", common)
    assert done.status == 2
    assert all(name in done.err for name in ids)


def test_a_sound_log(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    assert cli("verify").out == "sound: 1 conversation; found: 0 faults\n"
    assert cli("verify", known, "--output", "json").json() == [
        {"conversation_id": known, "sound": True}
    ]


def test_a_damaged_log(cli: Cli) -> None:
    known = cli("exec", "--agent", "echo", "--input", "x").id
    with spread(cli.data_dir / "log.db") as log:
        for table in ("settled", "fresh"):
            log.execute(f"UPDATE {table} SET payload = x'ffff' WHERE seq = 3")
    done = cli("verify", "--output", "json")
    assert done.status == 1
    fault = done.json()[0]
    assert set(fault) == {"conversation_id", "seq", "what", "sound"}
    assert (fault["conversation_id"], fault["seq"], fault["sound"]) == (known, 3, False)
    assert f"{known}:3: " in cli("verify").out
    told = cli("events", known)
    assert (told.status, told.err.count("\n")) == (1, 2)
    assert "axtui verify" in told.err


@here
def test_a_log_that_is_none(cli: Cli) -> None:
    assert cli("verify").status == 1
    cli.data_dir.mkdir()
    Path(cli.data_dir, "log.db").write_text("no database " * 100)
    for args in (("list",), ("verify",), ("exec", "--agent", "echo", "--input", "x")):
        done = cli(*args)
        assert (done.status, done.out) == (1, "")
        assert "log.db" in done.err


def test_what_fits_into_a_terminal() -> None:
    widths = [36, 9, 5, 6, 3, 40]
    assert fitting(widths, 200, (3, 2, 5, 4)) == [0, 1, 2, 3, 4, 5]
    assert fitting(widths, 80, (3, 2, 5, 4)) == [0, 1, 2, 3, 4, 5]
    assert fitting(widths, 76, (3, 2, 5, 4)) == [0, 1, 2, 4, 5]
    assert fitting(widths, 60, (3, 2, 5, 4)) == [0, 1, 4]
    assert fitting(widths, 10, (3, 2, 5, 4)) == [0, 1]


def test_words() -> None:
    assert [count(n, "event") for n in (0, 1, 1234)] == ["0 events", "1 event", "1,234 events"]
    durations = (-5, 400, 900_000, 2_340_000, 59_700_000, 65e6, 3_600e6, 90_061e6)
    assert [took(int(us)) for us in durations] == [
        *("0ms", "0ms", "900ms", "2.3s", "1m 0s", "1m 5s", "1h 0m", "1d 1h")
    ]
    times = (0, 119, 120, 7199, 7200, 172_800, -5)
    assert [ago(0, seconds * 10**6) for seconds in times] == [
        *("0s", "119s", "2m", "119m", "2h", "2d", "0s")
    ]
    assert [size_text(n) for n in (0, 2048, 5 << 20, 3 << 30)] == [
        *("0 B", "2.0 KiB", "5.0 MiB", "3.0 GiB")
    ]
