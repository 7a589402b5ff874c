"""Runs command lines of axtui in forked children of a warm parent, and kills them.

Started as a script. It has imported axtui once, so that an attempt costs a fork and not the start
of an interpreter; the fork comes before any loop or thread. It reads a request as a JSON line,
and answers with one. `harness.Zygote` is the other end.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parent))

# Also what a command line would import in its own time.
import agents  # type: ignore[import-not-found]
import meddling  # type: ignore[import-not-found]

import axtui.cli.approve_command
import axtui.cli.events_command
import axtui.cli.exec_command
import axtui.cli.verify_command
import axtui.client
import axtui.runtime.agents  # noqa: F401
from axtui.cli import main
from axtui.runtime.actors import shim
from axtui.runtime.config_file import load

_PR_SET_CHILD_SUBREAPER = 36
_ORPHAN_SECONDS = 20.0
_ATTEMPT_SECONDS = 60.0


def serve() -> None:
    """Answer requests until there are no more."""
    answers = os.dup(1)
    # Whatever reading a configuration sets up; no loop or thread comes of it.
    load(str(agents.CONFIG), None, {}, Path.cwd())
    # What a killed controller has started becomes our child, so that we can wait for its end.
    is_subreaper = sys.platform == "linux" and not ctypes.CDLL(None).prctl(
        _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0
    )
    for line in sys.stdin:
        answer = _attempt(json.loads(line))
        if is_subreaper:
            answer["outlived"] = _wait_for_orphans()
        else:
            time.sleep(0.1)
            answer["outlived"] = []
        os.write(answers, json.dumps(answer).encode() + b"\n")


def _attempt(request: dict[str, Any]) -> dict[str, Any]:
    told, telling = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        os.close(told)
        _become(request, telling)
    os.close(telling)
    commits, hangs = _watch(pid, told, began, request["kill"])
    os.close(told)
    _, status = os.waitpid(pid, 0)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - began,
        "commits": commits,
        "hangs": hangs,
    }


def _watch(pid: int, told: int, began: float, kill: dict[str, Any]) -> tuple[int, bool]:
    """Count the child's commits up to its end, which may be ours to make; whether it hung."""
    commits, hangs = 0, False
    armed = kill.get("when") == "later" and not kill["commit"]
    deadline = began + (kill["delay"] if armed else _ATTEMPT_SECONDS)
    while True:
        readable, _, _ = select.select([told], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            hangs = hangs or not armed
            os.kill(pid, signal.SIGKILL)
            deadline += _ATTEMPT_SECONDS
            continue
        heard = os.read(told, 4096)
        if not heard:
            return commits, hangs
        commits += len(heard)
        if kill.get("when") == "later" and not armed and commits >= kill["commit"]:
            armed, deadline = True, time.monotonic() + kill["delay"]


def _wait_for_orphans() -> list[str]:
    """Wait for the processes that outlived the child, whose effects are over then. What is said
    of those that stay for too long, and are killed."""
    until = time.monotonic() + _ORPHAN_SECONDS
    outlived: list[str] = []
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return outlived
        if pid:
            continue
        if time.monotonic() > until:
            for pid in shim.children():
                outlived.append(_described(pid))
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _described(pid: int) -> str:
    proc = Path(f"/proc/{pid}")
    words = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    state = (proc / "stat").read_text().rpartition(")")[2].split()[0]
    return f"{pid} {state} {(proc / 'wchan').read_text()}: {words}"


def _become(request: dict[str, Any], telling: int) -> NoReturn:
    status = 70
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        for number, name in ((1, request["stdout"]), (2, request["stderr"])):
            os.dup2(os.open(name, flags, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["cwd"])
        observers = _count_commits(request["kill"], lambda: os.write(telling, b"."))
        meddling.apply(request["meddle"], *observers)
        status = main(request["argv"])
        sys.stdout.flush()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _count_commits(
    kill: dict[str, Any], tell: Callable[[], object]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """What is called before and after each commit: kills this very process at one of them."""
    count = 0

    def before() -> None:
        nonlocal count
        count += 1
        if kill.get("when") == "before" and kill["commit"] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def after() -> None:
        tell()
        if kill.get("when") == "after" and kill["commit"] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    return before, after


if __name__ == "__main__":
    serve()
