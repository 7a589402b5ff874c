"""Running the program: in this process, in one of its own, and in a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import axtui
from axtui.cli import main

SECONDS = 30.0
# For what is about the log of this machine, and the process that writes it.
here = pytest.mark.here
ROOT = Path(axtui.__file__).parents[1]


class Result(NamedTuple):
    """How a command ended, and what it has printed."""

    status: int
    out: str
    err: str

    def json(self) -> list[dict[str, Any]]:
        """The objects on standard output, which holds nothing else."""
        return [json.loads(line) for line in self.out.splitlines()]

    def error(self) -> dict[str, Any]:
        """The error on standard error, which holds nothing else."""
        (line,) = self.err.splitlines()
        found: dict[str, Any] = json.loads(line)
        assert set(found) == {"kind", "code", "message", "hint"}
        assert found["kind"] == "error"
        return found

    @property
    def unwarned(self) -> str:
        """Standard error without what is said where there is no sandbox."""
        lines = self.err.splitlines(keepends=True)
        warning = re.compile('axtui: warning: |{"kind": "warning", ')
        return "".join(line for line in lines if not warning.match(line))

    @property
    def id(self) -> str:
        """The conversation that is named first."""
        label, name = self.out.splitlines()[0].split()
        assert label == "Conversation:"
        return name

    @property
    def seq(self) -> int:
        """Where the log is said to end."""
        return int(self.out.splitlines()[-1].removeprefix("seq="))


class Cli:
    """The one place that knows how a command reaches its log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.reach = ["--data-dir", str(self.data_dir)]

    def reached(self) -> list[str]:
        """The options that say where the log is."""
        return self.reach

    def args(self, command: str, *rest: str) -> list[str]:
        """The whole command line behind the name of the program."""
        return [command, *rest, *self.reached()]

    def next(self, command: str) -> str:
        """What is said to be typed next, for the same log."""
        return f"axtui {command} {shlex.join(self.reached()[-2:])}"

    def __call__(self, command: str, *rest: str) -> Result:
        """Run a command in this process."""
        out, err = io.BytesIO(), io.BytesIO()
        with (
            _stream(out) as stdout,
            _stream(err) as stderr,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            status = main(self.args(command, *rest))
            stdout.flush()
            stderr.flush()
            return Result(status, out.getvalue().decode(), err.getvalue().decode())

    def program(
        self,
        *args: str | bytes,
        input: bytes | None = None,
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> Result:
        """Run the real program with just these arguments."""
        if input is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(
            [sys.executable, "-m", "axtui", *args],
            input=input,
            capture_output="stdout" not in options,
            env=environment(**(env or {})),
            cwd=options.pop("cwd", self.folder),
            timeout=options.pop("timeout", SECONDS),
            check=False,
            **options,
        )
        return Result(done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode())

    def run(self, command: str, *rest: str, **options: Any) -> Result:
        """Run a command as the real program."""
        return self.program(*self.args(command, *rest), **options)

    @contextlib.contextmanager
    def started(self, command: str, *rest: str) -> Iterator[subprocess.Popen[str]]:
        """The real program while it runs; killed at the end if it still does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "axtui", *self.args(command, *rest)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd=self.folder,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def terminal(self, *rest: str, width: int = 100, **env: str) -> Iterator[Terminal]:
        """The real program in a terminal of its own."""
        terminal = Terminal([*rest, *self.reached()], self.folder, width, env)
        try:
            yield terminal
        finally:
            terminal.close()


class RemoteCli(Cli):
    """The same by way of a server, which is there from the first command on."""

    def __init__(self, folder: Path, servers: subprocess.Popen[str]) -> None:
        super().__init__(folder)
        self._servers = servers
        self.server = 0

    def reached(self) -> list[str]:
        """The address of the server, which is started now if it isn't yet."""
        if not self.server:
            request = {
                "arguments": [*self.reach, "--address", "127.0.0.1:0"],
                "folder": str(self.folder),
                "environment": {**os.environ, "PYTHONPATH": str(ROOT)},
            }
            assert self._servers.stdin
            assert self._servers.stdout
            self._servers.stdin.write(json.dumps(request) + "\n")
            self._servers.stdin.flush()
            answer = json.loads(self._servers.stdout.readline())
            self.server = answer["pid"]
            self.reach += ["--server", answer["line"].split()[-1]]
        return self.reach

    def stop(self) -> None:
        """End the server."""
        if self.server:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.server, signal.SIGKILL)


@contextlib.contextmanager
def _stream(buffer: io.BytesIO) -> Iterator[io.TextIOWrapper]:
    stream = io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace")
    try:
        yield stream
    finally:
        stream.detach()


def environment(**changes: str) -> dict[str, str]:
    """A plain environment, in which output is buffered as it is for everybody."""
    kept = ("HOME", "PATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "UTC",
        "XDG_CONFIG_HOME": "/nonexistent",
        **changes,
    }


_BECOME_FOREGROUND = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, '-m', 'axtui', *sys.argv[1:]])"
)


class Terminal:
    """A pseudo-terminal with the program in its foreground."""

    def __init__(self, args: Sequence[str], folder: Path, width: int, env: dict[str, str]) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BECOME_FOREGROUND, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            cwd=folder,
            env=environment(**{"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env}),
        )
        os.close(slave)
        self.text = ""
        self._seen = 0

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def expect(self, pattern: str) -> str:
        """Wait for something new to appear."""
        end = time.monotonic() + SECONDS
        while not (found := re.compile(pattern).search(self.text, self._seen)):
            assert self._read(end - time.monotonic()), f"no {pattern!r} in {self.text!r}"
        self._seen = found.end()
        return found[0]

    def finish(self) -> int:
        """The exit status."""
        end = time.monotonic() + SECONDS
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(SECONDS)

    def screen(self) -> list[str]:
        """The lines on the screen and above it, as far as there is anything in them."""
        return "\n".join(screen(self.text)).rstrip().split("\n")

    def close(self) -> None:
        """Close the terminal and end what is left in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def hang_up(self) -> int:
        """Close the window; gives back the exit status."""
        os.close(self._master)
        self._master = -1
        return self.process.wait(SECONDS)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, seconds))
        try:
            chunk = os.read(self._master, 65536) if ready else b""
        except OSError:
            chunk = b""
        self.text += chunk.decode(errors="replace")
        return bool(chunk)


_TOKENS = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def screen(text: str) -> list[str]:
    """What a terminal shows of text that moves the cursor up, and erases lines."""
    lines, row, column = [""], 0, 0
    for argument, command, move, plain in _TOKENS.findall(text):
        if command == "A":
            row = max(0, row - int(argument or 1))
        elif command == "K":
            lines[row] = "" if argument == "2" else lines[row][:column]
        elif command not in ("", "m", "h", "l"):
            raise AssertionError(f"the terminal can't do {command}")
        elif move == "\r":
            column = 0
        elif move == "\n":
            row += 1
            lines += [""] * (row - len(lines) + 1)
        else:
            before = lines[row].ljust(column)
            lines[row] = before[:column] + plain + before[column + len(plain) :]
            column += len(plain)
    return [line.rstrip() for line in lines]
