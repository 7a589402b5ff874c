"""A guard around one program: whatever becomes of its controller, nothing of it is left behind.

    python -I -S shim.py [--grace SECONDS] [--limit NAME=NUMBER …] -- PROGRAM [ARGUMENT …]

The program gets this process's own input, output and errors; nothing is copied. Once nobody holds
the other end of the input any more, which is what the death of a controller looks like, the program
has `grace` seconds to end by itself, then it is asked to with SIGTERM, then killed. So it is on
SIGTERM, without the first wait. All that it started goes too, daemons included where the system can
find them (Linux). Ends as the program did.

Runs without site-packages, for a start of a few milliseconds, and so imports the standard library
alone.
"""

import contextlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Sequence

GRACE_SECONDS = 2.0
_KILL_SECONDS = 5.0
_CHECK_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def command(
    program: Sequence[str], *, grace: float = GRACE_SECONDS, limits: dict[str, int] | None = None
) -> list[str]:
    """The command line that runs `program` guarded. `limits` are soft and hard ones, named as in
    the `resource` module: nofile, as, cpu, fsize …"""
    options = [f"--limit={name}={number}" for name, number in (limits or {}).items()]
    return [sys.executable, "-I", "-S", __file__, f"--grace={grace}", *options, "--", *program]


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start(program: list[str], limits: dict[str, int]) -> int:
    guard = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        for caught in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGPIPE):
            signal.signal(caught, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(128 + signal.SIGKILL)
        for name, number in limits.items():
            kind = getattr(resource, f"RLIMIT_{name.upper()}")
            resource.setrlimit(kind, (number, number))
        os.execvp(program[0], program)
    except OSError as error:
        print(f"can't start {program[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)


class _Guard:
    def __init__(self, grace: float) -> None:
        self._pid = 0
        self._grace = grace
        self._status: int | None = None
        self._stop = False
        self._wake, write_end = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._asked_to_stop)
        # A terminal's Ctrl+C is for the controller, which then says what is to become of us.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _asked_to_stop(self, *_: object) -> None:
        self._stop = True

    def run(self, program: list[str], limits: dict[str, int]) -> int:
        """The status with which the program ended, as `waitpid` has it."""
        # Not before signals are heeded: it may end, or we be asked to, at once.
        self._pid = _start(program, limits)
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        # Only whether the other end is gone; what is to be read there is the program's.
        poll.register(0, 0)
        while self._status is None and not self._stop:
            ready = dict(poll.poll())
            if self._wake in ready:
                self._reap()
            elif 0 in ready:
                self._wait(self._grace, hurried=True)
                self._stop = True
        if self._status is None:
            self._signal(signal.SIGTERM)
            self._wait(self._grace)
        self._sweep()
        return self._status or 0

    def _wait(self, seconds: float, hurried: bool = False) -> None:
        until = time.monotonic() + seconds
        while self._status is None and not (hurried and self._stop):
            if (left := until - time.monotonic()) <= 0:
                return
            select.select([self._wake], [], [], left)
            self._reap()

    def _reap(self) -> None:
        """Collect whoever has ended; orphans of the program's come here too."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self._pid:
                self._status = status

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def _sweep(self) -> None:
        """Kill all that is left. An orphan of the killed becomes a child of ours, and is next."""
        self._signal(signal.SIGKILL)
        until = time.monotonic() + _KILL_SECONDS
        while time.monotonic() < until:
            for pid in children():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()
            if self._status is not None and not children():
                return
            select.select([self._wake], [], [], _CHECK_SECONDS)


def children() -> list[int]:
    """The processes whose parent is this one, where the system says so."""
    if sys.platform != "linux":
        return []
    found = []
    me = os.getpid()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The name of a program may hold anything, parentheses too.
                parent = file.read().rpartition(b")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == me:
            found.append(int(name))
    return found


def main(arguments: list[str]) -> None:
    """Guard what the command line says."""
    grace = GRACE_SECONDS
    limits: dict[str, int] = {}
    end = arguments.index("--")
    for option in arguments[:end]:
        name, _, value = option.partition("=")
        if name == "--grace":
            grace = float(value)
        else:
            kind, _, limit = value.partition("=")
            limits[kind] = int(limit)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    status = _Guard(grace).run(arguments[end + 1 :], limits)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main(sys.argv[1:])
