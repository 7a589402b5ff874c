"""`axtui import` of a Google AX log."""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .harness import Cli

TIME = "2026-05-22 10:11:12.123456789-07:00"
LONG = "ü" * 50_000


def said(role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": {"text": {"text": text}}, **more}


def row(exec_id: str, *messages: Any, state: str = "STATE_PENDING", **more: Any) -> dict[str, Any]:
    found = {"exec_id": exec_id, "state": state, "unknown": 1, **more}
    return {**found, "messages": list(messages)} if messages else found


def ax_log(path: Path, conversations: dict[str, list[Any]], executions: list[Any] = ()) -> None:
    """What AX writes."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE conversation_log (conversation_id TEXT, seq INTEGER, payload TEXT,"
            " PRIMARY KEY (conversation_id, seq))"
        )
        for name, rows in conversations.items():
            for seq, found in enumerate(rows, start=1):
                text = found if isinstance(found, str) else json.dumps(found)
                connection.execute("INSERT INTO conversation_log VALUES (?,?,?)", (name, seq, text))
        if executions:
            connection.execute(
                "CREATE TABLE execution_log (exec_id TEXT, payload TEXT, timestamp DATETIME)"
            )
            for exec_id, found, time in executions:
                connection.execute(
                    "INSERT INTO execution_log VALUES (?,?,?)", (exec_id, json.dumps(found), time)
                )


@pytest.fixture
def imported(cli: Cli) -> Cli:
    config = base64.b64encode(b'{"deep": true}').decode()
    private = said("assistant", "session 7", internal_only=True)
    thought = {"thought": {"summary": [{"text": {"text": "hmm"}}]}}
    call = {"tool_call": {"id": "1", "function_call": {"name": "look", "arguments": {"at": 1}}}}
    ax_log(
        cli.folder / "log.sqlite",
        {
            "done": [
                row("e1", said("user", "Hello")),
                row("e1", {"role": "model", "content": thought}),
                row("e1", {"role": "model", "content": call}, said("assistant", "Hi")),
                row("e1", state="STATE_COMPLETED"),
                row("e2", said("user", LONG)),
                row("e2", state="STATE_FAILED"),
            ],
            "open": [row("e3", said("user", "Go"), harness_id="far", harness_config={"a": 1})],
        },
        [
            ("e1", {"agent_id": "echo", "agent_config": config, "outputs": [private]}, TIME),
            ("e1", {"outputs": [private, said("assistant", "Hi")]}, "2026-05-22T17:11:20Z"),
        ],
    )
    done = cli("import", "log.sqlite")
    assert (done.status, done.err) == (0, "")
    assert done.out == (
        "Conversation: done\n10 events imported\nConversation: open\n3 events imported\n"
        "its run is paused; it goes on with\n"
        f"  {cli.next('exec --conversation open --resume')}\n"
    )
    return cli


def test_what_becomes_of_its_rows(imported: Cli) -> None:
    events = imported("events", "done", "--output", "json").json()
    assert [event["kind"] for event in events] == [
        *("run.started", "message", "message", "message", "message", "message", "run.completed"),
        *("run.started", "message", "run.failed"),
    ]
    assert [event["exec_id"] for event in events] == ["e1"] * 7 + ["e2"] * 3
    assert events[0]["data"]["agent"] == "echo"
    assert events[0]["data"]["config"] == {"deep": True}
    assert events[0]["time"] == "2026-05-22T17:11:12.123456Z"
    assert events[6]["time"] == "2026-05-22T17:11:20.000000Z"
    contents = [event["data"]["content"][0] for event in events[1:6]]
    assert contents[0] == {"text": "Hello"}
    assert contents[1] == {"thought": "hmm"}
    assert json.loads(contents[2]["ax"])["tool_call"]["function_call"]["arguments"] == {"at": 1}
    assert contents[3:] == [{"text": "Hi"}, {"text": "session 7"}]
    assert events[5]["data"]["internal_only"]
    assert events[6]["data"]["output"] == "Hi"
    assert events[8]["data"]["content"][0]["text"]["size"] == len(LONG.encode())


def test_the_log_is_sound_and_its_conversations_go_on(imported: Cli) -> None:
    assert imported("verify").status == 0
    assert (
        "session"
        not in imported("exec", "--conversation", "done", "--resume", "--last-seq", "0").out
    )
    again = imported("exec", "--conversation", "done", "--agent", "echo", "--input", "more")
    assert (again.status, again.out.splitlines()[1]) == (0, "more")


def test_what_had_not_ended_is_paused(imported: Cli) -> None:
    events = imported("events", "open", "--output", "json").json()
    assert events[0]["data"]["agent"] == "far"
    assert events[0]["data"]["config"] == {"a": 1}
    assert (events[-1]["kind"], events[-1]["data"]["cause"]) == ("run.paused", "person")


def test_ids_that_exist_are_left_out_with_a_word(imported: Cli) -> None:
    again = imported("import", "log.sqlite", "--output", "json")
    assert (again.status, again.out) == (4, "")
    told = [json.loads(line) for line in again.err.splitlines()]
    assert [line["kind"] for line in told] == ["warning", "warning", "error"]
    assert {line["code"] for line in told} == {"taken"}
    with closing(sqlite3.connect(imported.folder / "log.sqlite")) as connection, connection:
        payload = json.dumps(row("e9", said("user", "x")))
        connection.execute("INSERT INTO conversation_log VALUES ('new', 1, ?)", (payload,))
    some = imported("import", "log.sqlite")
    assert some.status == 0
    assert some.out.startswith("Conversation: new\n3 events imported\nits run is paused;")
    assert some.err.count("left out: there is a conversation") == 2


def test_a_row_that_cannot_be_read_spoils_its_conversation_alone(cli: Cli) -> None:
    good = [row("e1", said("user", "x"))]
    for number, bad in enumerate(["no json", "[1]", '{"messages": [{"content": 5}]}']):
        name = f"log{number}.sqlite"
        ax_log(cli.folder / name, {f"bad{number}": [*good, bad], f"good{number}": good})
        done = cli("import", name)
        assert done.status == 0
        assert f"row 2 of conversation bad{number} can't be read" in done.err
        assert done.out.startswith(f"Conversation: good{number}\n")


def test_files_that_are_no_log_of_ax(cli: Cli) -> None:
    cli("exec", "--agent", "echo", "--input", "x", "--conversation", "c")
    with closing(sqlite3.connect(cli.folder / "other.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    with closing(sqlite3.connect(cli.folder / "later.db")) as connection:
        connection.execute("CREATE TABLE conversation_log (conversation_id, step, payload)")
    ax_log(cli.folder / "empty.db", {})
    for name, word in [
        ("other.db", "isn't a log of Google AX"),
        ("data/log.db", "a log of axtui's"),
        ("later.db", "a version of Google AX that isn't known"),
        ("empty.db", "holds no conversations"),
    ]:
        done = cli("import", name)
        assert (done.status, done.out, word in done.err) == (2, "", True), done.err
