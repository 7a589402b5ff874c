"""A command in flight: its process, what it says, and how all of it is brought to an end."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import fcntl
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping

from axtui.agent import ToolError
from axtui.runtime.actors.cgroup import ControlGroup
from axtui.runtime.actors.cut import LONGEST, beginning, ending
from axtui.runtime.actors.limits import watched
from axtui.runtime.actors.sandbox import NoSandbox, Sandbox, View

# How long a sandbox may take to come about, and what was killed to go.
START_SECONDS = 30.0
END_SECONDS = 30.0
# What nobody will see is read with a pause after each piece, so that a flood takes little of the
# time of all others: at most 64 MiB a second of a pipe that holds as much as is read at a time.
PAUSE_SECONDS = 0.004
PIPE_BYTES = 256 * 1024
# Who escaped without a sandbox may hold the pipe open; whoever says nothing so long is left.
SILENT_SECONDS = 0.2


class Output(asyncio.Protocol):
    """What a command says: of at most `limit` bytes all of them, else the first and the last.

    `show` gets the first `limit` bytes as text, as they come, but for a word that is cut off. What
    is beyond is read slowly.
    """

    _transport: asyncio.ReadTransport

    def __init__(self, limit: int, show: Callable[[str], None]) -> None:
        self.closed = asyncio.Event()
        self.bytes = 0
        self._limit = limit
        self._show = show
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._unshown = ""
        self._head = bytearray()
        self._tail = bytearray()

    @property
    def is_cut(self) -> bool:
        """Whether there was more than is kept."""
        return self.bytes > self._limit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Something may come."""
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what belongs to either end, and show what is within the limit."""
        if self.is_cut:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._go_on)
        within = data[: max(0, self._limit - self.bytes)]
        self.bytes += len(data)
        if within:
            self._unshown += self._decoder.decode(within)
            # The word that is being said may be the one that the limit cuts.
            ends = self.bytes > self._limit - LONGEST
            if told := beginning(self._unshown) if ends else self._unshown:
                self._unshown = self._unshown[len(told) :]
                self._show(told)
        begun = data[: self._limit // 2 - len(self._head)]
        self._head += begun
        self._tail += data[len(begun) :]
        ended = self._limit - self._limit // 2
        if len(self._tail) > 2 * ended:
            del self._tail[:-ended]

    def _go_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        if self._unshown and not self.is_cut:
            self._show(self._unshown)
        self.closed.set()

    def text(self) -> tuple[str, int]:
        """What was kept, with a line in the middle that says how many bytes were not, and that
        number. Of words that the cut goes through nothing is kept."""
        if not self.is_cut:
            return (self._head + self._tail).decode(errors="replace"), 0
        tail = self._tail[len(self._tail) - self._limit + self._limit // 2 :]
        begun = beginning(self._head.decode("utf-8", "surrogateescape"))
        ended = ending(tail.decode("utf-8", "surrogateescape"))
        kept = [part.encode("utf-8", "surrogateescape") for part in (begun, ended)]
        dropped = self.bytes - sum(map(len, kept))
        first, last = (part.decode(errors="replace") for part in kept)
        return f"{first}\n[… {dropped:,} bytes are left out …]\n{last}", dropped


class Running:
    """A command that was started, with all that it starts in turn."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        guard: int,
        output: Output,
        sandboxed: bool,
        group: ControlGroup | None,
    ) -> None:
        self._process = process
        self._exit = asyncio.ensure_future(process.wait())
        self._guard = guard
        self._output = output
        self._sandboxed = sandboxed
        self._group = group
        self._transports: list[asyncio.BaseTransport] = []
        self._status = asyncio.StreamReader()
        # Of the sandbox's first process, which goes when all others in there are gone, and of that
        # which ends it when the guard is closed.
        self._first = self._watch = -1
        self._begun = asyncio.ensure_future(self._begin())

    @classmethod
    async def start(
        cls,
        command: list[str],
        view: View,
        sandbox: Sandbox | None,
        group: ControlGroup | None,
        variables: Mapping[str, str],
        output: Output,
    ) -> Running:
        """Start a command that `limited` or, without a sandbox, `guarded` made. Raises ToolError if
        that can't be done."""
        stdin, guard = os.pipe()
        said, stdout = _wide_pipe()
        heard, status = _patient_pipe() if sandbox else os.pipe()
        filter = sandbox.open_filter() if sandbox else -1
        inherited = [end for end in (status, filter) if sandbox and end >= 0]
        try:
            if sandbox:
                command = [*sandbox.arguments(view, filter, status), *command]
                command = watched(command, status, group.entering() if group else "")
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=None if sandbox else view.workspace,
                env=variables,
                stdin=stdin,
                stdout=stdout,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=inherited,
                start_new_session=True,
            )
        except (OSError, ValueError, NoSandbox) as error:
            for end in (guard, said, heard):
                os.close(end)
            if group is not None:
                await group.close()
            raise ToolError(f"can't start a command in {view.workspace}: {error}") from None
        finally:
            for end in {stdin, stdout, status, *inherited}:
                os.close(end)
        running = cls(process, guard, output, sandbox is not None, group)
        await running._listen(said, heard)
        return running

    async def wait(self, seconds: float) -> bool:
        """Whether it ends by itself in so many seconds."""
        done, _ = await asyncio.wait({self._exit}, timeout=seconds)
        return bool(done)

    async def end(self) -> int:
        """End what there still is of it, and give back the exit status, that of a shell."""
        try:
            if not self._exit.done():
                await self._before_the_end()
        finally:
            self._kill()
        status = self._exit.result() if await self.wait(END_SECONDS) else -signal.SIGKILL
        await asyncio.wait({self._begun}, timeout=END_SECONDS)
        for pidfd in self._pidfds:
            await _gone(pidfd)
        await self._all_said()
        return status if status >= 0 else 128 - status

    async def failed_to_start(self) -> bool:
        """Whether a sandbox that has ended hadn't got as far as the command."""
        status = self._process.returncode or 0
        return self._sandboxed and status > 0 and b"exit-code" not in await self._status.read()

    async def close(self) -> None:
        """Let go of everything. What couldn't be ended by now is left."""
        for transport in self._transports:
            transport.close()
        for pidfd in self._pidfds:
            os.close(pidfd)
        self._exit.cancel()
        self._begun.cancel()
        if self._group is not None:
            await self._group.close()

    @property
    def _pidfds(self) -> list[int]:
        return [pidfd for pidfd in (self._first, self._watch) if pidfd >= 0]

    async def _listen(self, said: int, heard: int) -> None:
        """Take what the command says, and what bubblewrap says of it."""
        loop = asyncio.get_running_loop()
        status = asyncio.StreamReaderProtocol(self._status)
        listening = await loop.connect_read_pipe(lambda: self._output, os.fdopen(said, "rb", 0))
        hearing = await loop.connect_read_pipe(lambda: status, os.fdopen(heard, "rb", 0))
        self._transports = [listening[0], hearing[0]]

    async def _begin(self) -> None:
        """Learn of the processes of the sandbox that aren't children of ours."""
        self._watch = await self._told_of(rb"(\d+)")
        # Half a line if bubblewrap is killed right then, but the number is whole.
        self._first = await self._told_of(rb'.*"child-pid": (\d+)')

    async def _told_of(self, pattern: bytes) -> int:
        """A pidfd of the process that a line names; -1 if there's none, or none any more."""
        pid = re.match(pattern, await self._status.readline())
        with contextlib.suppress(ProcessLookupError):
            return os.pidfd_open(int(pid[1])) if pid else -1
        return -1

    async def _before_the_end(self) -> None:
        """Let the guard end a command that is in no sandbox; let a sandbox begin: bubblewrap's
        first process would wait for ever if its second were killed before."""
        if self._sandboxed:
            await asyncio.wait({self._begun}, timeout=START_SECONDS)
        else:
            self._signal(signal.SIGTERM)
            await self.wait(END_SECONDS)

    def _kill(self) -> None:
        if self._group is not None:
            self._group.kill()
        if self._sandboxed:
            self._signal(signal.SIGKILL)
        if self._first >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
        if self._guard >= 0:
            # Whoever watches this ends all the rest at once.
            os.close(self._guard)
            self._guard = -1

    def _signal(self, number: int) -> None:
        if not self._exit.done():
            # The process's own method would take its exit status away from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _all_said(self) -> None:
        """Wait until the pipe is read empty, though somebody who escaped may hold it open."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + END_SECONDS
        closed = asyncio.ensure_future(self._output.closed.wait())
        before = -1
        while not closed.done() and before < self._output.bytes and loop.time() < deadline:
            before = self._output.bytes
            await asyncio.wait({closed}, timeout=SILENT_SECONDS)
        closed.cancel()


async def _gone(pidfd: int) -> None:
    """Wait until a process is gone; one that is stuck in the kernel is left after a while."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await gone.wait()
    finally:
        loop.remove_reader(pidfd)
    # Whoever is process 1 of a container has inherited it.
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)  # noqa: ASYNC222


def _wide_pipe() -> tuple[int, int]:
    """A pipe that holds more than others, where that can be had."""
    read_end, write_end = os.pipe()
    if sys.platform == "linux":
        # More than everybody may have if there are many of them.
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return read_end, write_end


def _patient_pipe() -> tuple[int, int]:
    """A pipe that can be written to though nobody is left to read it: bubblewrap would end in the
    middle of things else."""
    read_end, write_end = os.pipe()
    try:
        return read_end, os.open(f"/dev/fd/{write_end}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(write_end)
