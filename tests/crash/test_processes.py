"""Signals that must be heeded whatever hangs, and two processes that want the same log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from .harness import (
    CONFIG,
    EFFECTS,
    SHELL,
    Event,
    Trial,
    Zygote,
    clean_environment,
    lines_of,
)

# What is promised. A machine that is busy with other tests may be late itself, so it may be late
# now and then.
_LIMIT = 2.0
_TRIALS = 3
_STUBBORN = (
    f'printf "%s\\n" "$AXTUI_IDEMPOTENCY_KEY" >> {EFFECTS}\n'
    "trap '' TERM INT; while :; do sleep 0.2; done"
)


@contextmanager
def _running(work: Path, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program, in a folder of its own; its data directory is beside that."""
    work.mkdir(parents=True, exist_ok=True)
    data = str(work.with_name("data"))
    common = ("--data-dir", data, "--config", str(CONFIG), "--output", "json")
    process = subprocess.Popen(
        [sys.executable, "-m", "axtui", *argv, *common],
        cwd=work,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _run(work: Path, *argv: str) -> tuple[int, list[Event], str]:
    with _running(work, *argv) as process:
        said, errors = process.communicate(timeout=60)
    return process.returncode, lines_of(said), errors.decode()


def _until_effect(work: Path) -> None:
    """Wait for the step before the one that hangs."""
    until = time.monotonic() + 30
    while not (work / EFFECTS).exists():
        assert time.monotonic() < until, "it never began"
        time.sleep(0.01)
    time.sleep(0.3)


@pytest.mark.parametrize(
    ("agent", "input"),
    [
        *((agent, "") for agent in ("spins", "blocks", "blocks_in_step", "ignores_cancel")),
        *((f"{agent}_inline", "") for agent in ("spins", "blocks", "blocks_in_step")),
        ("ignores_cancel_inline", ""),
        # There is no end of these in the process that has to heed the signal.
        ("computes", ""),
        ("computes_in_step", ""),
        ("shell", _STUBBORN),
    ],
    ids=lambda value: value if value.isidentifier() else "",
)
def test_a_signal_ends_it_whatever_hangs(
    zygote: Zygote, tmp_path: Path, agent: str, input: str
) -> None:
    argv = ("exec", "--conversation", "c", "--agent", agent, "--input", input)

    def signalled(number: signal.Signals) -> tuple[Trial, list[Event]]:
        for trial in range(_TRIALS):
            folder = tmp_path / f"{number.name}-{trial}"
            with _running(folder / "work", *argv) as process:
                _until_effect(folder / "work")
                began = time.monotonic()
                process.send_signal(number)
                said, errors = process.communicate(timeout=30)
                seconds = time.monotonic() - began
            assert process.returncode == 128 + number, errors
            assert b"Traceback" not in errors
            if seconds < _LIMIT or _is_overloaded():
                break
        assert seconds < _LIMIT or _is_overloaded()
        return Trial(zygote, folder, replace(SHELL, policy="fail"), name="c"), lines_of(said)

    with ThreadPoolExecutor(2) as executor:
        for trial, told in executor.map(signalled, (signal.SIGINT, signal.SIGTERM)):
            _check_resumable(trial, told)


def _is_overloaded() -> bool:
    """Whether a process waits so long for a processor that two seconds can't be promised."""
    return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


def _check_resumable(trial: Trial, told: list[Event]) -> None:
    for line in told:
        if "seq" in line:
            trial.acknowledge(line)
    trial.observe()
    trial.check_sound()
    assert trial.events[-1]["kind"] not in ("run.completed", "run.failed", "run.canceled")
    started, completed = (
        {event["data"]["key"] for event in trial.events if event["kind"] == kind}
        for kind in ("step.started", "step.completed")
    )
    # A step that hung can be decided; an agent that hangs would but hang again.
    if started - completed:
        assert trial.attempt().status == 1
    assert set(trial.effects().values()) == {1}


def test_the_second_process_has_the_first_one_write(tmp_path: Path) -> None:
    work = tmp_path / "work"
    job = f"touch {EFFECTS}\nsleep 30"
    argv = ("exec", "--conversation", "c", "--agent", "shell", "--input", job)
    with _running(work, *argv) as process:
        _until_effect(work)
        status, _, errors = _run(work, *argv[:-1], "echo")
        assert (status, json.loads(errors)["code"]) == (4, "in_flight")
        status, said, _ = _run(work, "exec", "--agent", "echo", "--input", "beside it")
        assert (status, said[-1]["output"]) == (0, "beside it")
        assert _run(work, "events", "c")[0] == 0
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        # A dead holder's lock is free at once, without anything to delete.
        assert _run(work, "cancel", "c")[0] == 0
