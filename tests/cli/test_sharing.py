"""Several processes on one data directory: who holds the lease drives what all of them want."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from axtui.remote import background, door
from axtui.runtime.eventlog.base import LogError
from axtui.runtime.eventlog.lease import holder

from .harness import SECONDS, Cli, here

pytestmark = here


def until(holds: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def shared(samples: Cli) -> Iterator[Cli]:
    """The command line on a log that no process holds any more at the end."""
    yield samples
    pid = holder(samples.data_dir / "log.db")[0]
    if pid and pid != os.getpid():
        os.kill(pid, signal.SIGTERM)
        until(lambda: not holder(samples.data_dir / "log.db")[0])


def gate(cli: Cli, name: str) -> list[str]:
    """A run that ends once there is a file, in a step that may be done twice."""
    command = ["exec", "--conversation", name, "--agent", "gate", "--input", ""]
    return [*command, "--agent-config", '"idempotent"', "--output", "json"]


def test_a_second_run_is_driven_by_the_first_process(shared: Cli) -> None:
    with shared.started(*gate(shared, "a")) as first:
        assert first.stdout
        first.stdout.readline()
        done = shared("exec", "--agent", "echo", "--input", "beside it", "--conversation", "b")
        assert (done.status, done.out.splitlines()[1]) == (0, "beside it")
        (shared.folder / "open").touch()
        out, _ = first.communicate()
        assert first.returncode == 0
        assert "grpc" not in out


def test_those_that_start_at_once_find_each_other(shared: Cli) -> None:
    with ExitStack() as stack:
        started = [
            stack.enter_context(shared.started("exec", "--agent", "echo", "--input", "x"))
            for _ in range(4)
        ]
        told = [process.communicate(timeout=SECONDS)[1] for process in started]
        assert [process.returncode for process in started] == [0] * 4, told
    listed = shared("list", "--output", "json").json()
    assert [entry["state"] for entry in listed].count("completed") >= 4


def test_a_background_process_goes_on_with_what_others_wanted(shared: Cli) -> None:
    with shared.started(*gate(shared, "a")) as first, shared.started(*gate(shared, "b")) as second:
        assert first.stdout
        assert second.stdout
        first.stdout.readline()
        second.stdout.readline()
        first.send_signal(signal.SIGTERM)
        assert first.wait(SECONDS) == 143
        (shared.folder / "open").touch()
        out, err = second.communicate(timeout=SECONDS)
        assert (second.returncode, err.count("Traceback")) == (0, 0)
    assert '"state": "completed"' in out.splitlines()[-1]
    assert shared("verify").status == 0


def test_or_when_the_process_is_killed(shared: Cli) -> None:
    with (
        shared.started(*gate(shared, "a")) as first,
        shared.started(*gate(shared, "b"), "--on-interrupted", "retry") as second,
    ):
        assert first.stdout
        assert second.stdout
        first.stdout.readline()
        lines = [second.stdout.readline()]
        first.kill()
        first.wait(SECONDS)
        (shared.folder / "open").touch()
        # Not `communicate`, which would pass over what was read ahead.
        lines += second.stdout.readlines()
        assert second.wait(SECONDS) == 0
    seqs = [_seq(line) for line in lines[:-1]]
    assert seqs == list(range(1, len(seqs) + 1))
    assert '"state": "completed"' in lines[-1]


def _seq(line: str) -> int:
    import json

    return int(json.loads(line)["seq"])


def test_detached_it_goes_on_without_us(shared: Cli) -> None:
    done = shared("exec", "--detach", *gate(shared, "c")[1:])
    assert done.status == 0
    assert done.json()[-1]["state"] in ("pending", "running")
    assert shared("list", "--output", "json").json()[0]["controller_pid"] not in (None, os.getpid())
    with shared.started("attach", "c", "--output", "json") as follower:
        assert follower.stdout
        assert _seq(follower.stdout.readline()) == 1
        follower.send_signal(signal.SIGINT)
        assert follower.wait(SECONDS) == 130
    (shared.folder / "open").touch()
    followed = shared.run("attach", "c")
    assert followed.status == 0
    assert followed.out.splitlines()[-2] == "through"


def test_the_background_pauses_what_it_drives_when_it_is_told_to_end(shared: Cli) -> None:
    assert shared("exec", "--detach", *gate(shared, "c")[1:]).status == 0
    os.kill(holder(shared.data_dir / "log.db")[0], signal.SIGTERM)
    until(lambda: not holder(shared.data_dir / "log.db")[0])
    (state,) = shared("show", "c", "--output", "json").json()
    assert (state["status"], state["run"]["cause"]) == ("paused", "shutdown")
    assert (shared.data_dir / "background.log").read_text() == ""


def test_a_detached_run_is_answered_and_goes_on(shared: Cli) -> None:
    command = ("exec", "--detach", "--conversation", "c", "--agent", "asker", "--input", "")
    assert shared(*command).status == 0
    until(lambda: shared("show", "c", "--output", "json").json()[0]["status"] == "waiting")
    followed = shared.run("attach", "c")
    assert followed.status == 3
    assert "axtui attach c" in followed.err
    assert shared("approve", "c", "--text", "a friend").status == 0
    until(lambda: shared("show", "c", "--output", "json").json()[0]["status"] == "completed")
    assert shared("exec", "--conversation", "c", "--resume").status == 0


def test_what_others_left_to_a_command_goes_on_when_it_is_interrupted(shared: Cli) -> None:
    with shared.started(*gate(shared, "own")) as first:
        assert first.stdout
        first.stdout.readline()
        assert shared("exec", "--detach", *gate(shared, "left")[1:]).status == 0
        first.send_signal(signal.SIGINT)
        assert first.wait(SECONDS) == 130
    (shared.folder / "open").touch()
    until(lambda: shared("show", "left", "--output", "json").json()[0]["status"] == "completed")
    # Who pressed Ctrl+C didn't want his own to go on.
    (own,) = shared("show", "own", "--output", "json").json()
    assert (own["status"], own["run"]["cause"]) == ("paused", "person")


def test_a_server_that_ends_leaves_nothing_in_the_background(shared: Cli) -> None:
    with shared.started("serve", "--address", "unix:socket") as server:
        assert server.stdout
        server.stdout.readline()
        reach = ("--server", "unix:socket")
        done = shared.program("exec", "--timeout", "0.5s", *gate(shared, "c")[1:], *reach)
        assert done.status == 3
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS) == 0
    (state,) = shared("show", "c", "--output", "json").json()
    assert (state["status"], state["run"]["cause"]) == ("paused", "shutdown")
    assert not (shared.data_dir / "background.log").exists()


def test_without_a_folder_for_sockets_a_command_is_alone(
    shared: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_folder() -> Path:
        raise LogError("there is no folder for sockets", "set XDG_RUNTIME_DIR")

    monkeypatch.setattr(door, "_folder", no_folder)
    assert shared("exec", "--agent", "echo", "--input", "x").status == 0
    assert shared("list").status == 0
    done = shared("exec", "--detach", "--agent", "echo", "--input", "x")
    assert (done.status, done.out) == (5, "")
    assert done.err == "axtui: there is no folder for sockets\n  set XDG_RUNTIME_DIR\n"


def test_a_process_that_cannot_serve_says_why_and_goes_on(shared: Cli) -> None:
    place = door.socket_path(shared.data_dir / "log.db", ".grpc")
    place.mkdir()
    try:
        with shared.started(*gate(shared, "a")) as first:
            assert first.stdout
            first.stdout.readline()
            done = shared("exec", "--agent", "echo", "--input", "x")
            assert (done.status, done.err.count("\n")) == (5, 2)
            assert "serves nobody: can't listen on" in done.err
            (shared.folder / "open").touch()
            _, err = first.communicate()
            assert (first.returncode, "Traceback" in err) == (0, False)
    finally:
        place.rmdir()


def test_nobody_to_attach_to(shared: Cli) -> None:
    with shared.started(*gate(shared, "a")) as first:
        assert first.stdout
        first.stdout.readline()
        first.kill()
        first.wait(SECONDS)
    done = shared("attach", "a")
    assert done.status == 4
    assert "axtui exec --conversation a --resume" in done.err


def test_another_configuration_is_refused(shared: Cli) -> None:
    with shared.started(*gate(shared, "a")) as first:
        assert first.stdout
        first.stdout.readline()
        other = shared.folder / "other.yaml"
        other.write_text("environment: {network: true}\n")
        done = shared("exec", "--agent", "echo", "--input", "x", "--config", str(other))
        assert done.status == 4
        assert str(first.pid) in done.err
        assert "another configuration" in done.err
        (shared.folder / "open").touch()
        first.communicate()


def test_a_server_takes_over_from_the_background(shared: Cli) -> None:
    assert shared("exec", "--detach", *gate(shared, "c")[1:]).status == 0
    before = holder(shared.data_dir / "log.db")[0]
    with shared.started("serve", "--address", "127.0.0.1:0") as server:
        assert server.stdout
        address = server.stdout.readline().split()[-1]
        assert holder(shared.data_dir / "log.db")[0] == server.pid != before
        Path(shared.folder, "open").touch()
        done = shared.program("attach", "c", "--server", address)
        assert (done.status, done.out.splitlines()[-2]) == (0, "through")
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS) == 0


def test_a_second_server_is_refused(shared: Cli) -> None:
    with shared.started("serve", "--address", "127.0.0.1:0") as server:
        assert server.stdout
        server.stdout.readline()
        done = shared.run("serve", "--address", "127.0.0.1:0")
        assert done.status == 4
        assert str(server.pid) in done.err


def test_the_background_ends_when_there_is_nothing_to_do(
    shared: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "IDLE_SECONDS", 0.2)
    done = shared("exec", "--detach", "--agent", "echo", "--input", "x", "--conversation", "c")
    assert done.status == 0
    until(lambda: not holder(shared.data_dir / "log.db")[0])
    assert shared("show", "c", "--output", "json").json()[0]["status"] == "completed"


def test_a_file_in_the_workspace_does_not_stand_in_for_what_axtui_needs(shared: Cli) -> None:
    # An agent may have written it, in its sandbox, for a process that has none.
    (shared.folder / "queue.py").write_text("open('stood in', 'w').close()\n")
    (shared.folder / "axtui").mkdir()
    done = shared("exec", "--detach", "--agent", "echo", "--input", "x", "--conversation", "c")
    assert done.status == 0
    assert not (shared.folder / "stood in").exists()


def test_why_there_can_be_no_process_in_the_background(cli: Cli) -> None:
    (cli.folder / "axtui.yaml").write_text(
        "agents: [{id: bad, python: 'none:none', isolation: inline}]\n"
    )
    done = cli("exec", "--detach", "--agent", "echo", "--input", "x", "--output", "json")
    assert (done.status, done.out) == (5, "")
    assert "agent 'bad' can't be loaded" in done.error()["message"]
    assert "check `python:`" in done.error()["hint"]


def test_nothing_listens_where_the_log_is_not_held(shared: Cli) -> None:
    assert shared("exec", "--agent", "echo", "--input", "x").status == 0
    from axtui.remote.door import socket_path

    assert not socket_path(shared.data_dir / "log.db").exists()
