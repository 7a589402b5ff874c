"""The guard around an actor's process: nothing outlives its controller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from axtui.runtime.actors import shim

# Says who it is, then stays; its children and theirs do too.
STAYS = """
import os, signal, sys, time
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    print(os.getpid(), flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _start(
    started: list[subprocess.Popen[bytes]], *program: str, grace: float = 0.05
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        shim.command(program, grace=grace), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    started.append(process)
    return process


def _pids(process: subprocess.Popen[bytes], count: int) -> list[int]:
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(count)]


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("status", [0, 3, 127])
def test_it_ends_as_the_program_does(started: list[subprocess.Popen[bytes]], status: int) -> None:
    assert _start(started, "sh", "-c", f"exit {status}").wait() == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_it_ends_by_the_signal_that_ended_the_program(
    started: list[subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    assert _start(started, "sh", "-c", f"kill -{int(number)} $$").wait() == -number


def test_what_cannot_be_started_is_told(
    capfd: pytest.CaptureFixture[str], started: list[subprocess.Popen[bytes]]
) -> None:
    assert _start(started, "/nowhere/at-all").wait() == 127
    assert "can't start /nowhere/at-all: No such file or directory" in capfd.readouterr().err


def test_the_program_has_the_input_for_itself(started: list[subprocess.Popen[bytes]]) -> None:
    process = _start(started, "cat", grace=5)
    out, _ = process.communicate(b"whatever is said\n" * 10_000)
    assert out == b"whatever is said\n" * 10_000
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds daemons")
@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
@pytest.mark.parametrize("manners", ["polite", "deaf"])
def test_nothing_is_left_behind(
    started: list[subprocess.Popen[bytes]], how: str, manners: str
) -> None:
    process = _start(started, sys.executable, "-c", STAYS, manners)
    pids = _pids(process, 2)
    if how == "SIGTERM":
        process.terminate()
    else:
        assert process.stdin is not None
        process.stdin.close()
    assert process.wait() == -(signal.SIGTERM if manners == "polite" else signal.SIGKILL)
    assert not any(_is_alive(pid) for pid in pids)


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_the_program_has_its_time_to_tidy_up(
    started: list[subprocess.Popen[bytes]], how: str
) -> None:
    tidies = "trap 'sleep 0.1; echo tidied; exit 5' TERM; echo up; while :; do sleep 0.01; done"
    process = _start(started, "sh", "-c", tidies, grace=20 if how == "SIGTERM" else 2)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    if how == "SIGTERM":
        process.terminate()
    else:
        assert process.stdin is not None
        process.stdin.close()
    assert process.stdout.read() == b"tidied\n"
    assert process.wait() == 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds daemons")
def test_what_the_program_leaves_behind_ends_with_it(
    started: list[subprocess.Popen[bytes]],
) -> None:
    process = _start(started, sys.executable, "-c", STAYS)
    pids = _pids(process, 2)
    os.kill(pids[0], signal.SIGKILL)
    process.wait()
    assert not any(_is_alive(pid) for pid in pids)


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's death"
)
def test_a_controller_that_is_killed_takes_everything_with_it(tmp_path: Path) -> None:
    controller = f"""
import subprocess, sys
from axtui.runtime.actors import shim
process = subprocess.Popen(
    shim.command([sys.executable, "-c", {STAYS!r}, "deaf"], grace=0.05), stdin=subprocess.PIPE
)
process.wait()
"""
    parent = subprocess.Popen([sys.executable, "-c", controller], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout as pipe:
        pids = [int(pipe.readline()) for _ in range(2)]
        parent.kill()
        parent.wait()
        # The last of them to end closes the pipe.
        assert pipe.read() == b""
    assert not any(_is_alive(pid) for pid in pids)


def test_limits_hold_for_the_program() -> None:
    program = ["sh", "-c", "ulimit -n; ulimit -Hn"]
    done = subprocess.run(shim.command(program, limits={"nofile": 77}), capture_output=True)
    assert done.stdout.split() == [b"77", b"77"]
