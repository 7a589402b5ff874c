"""The life of an actor's process: started when it is needed, restarted when it breaks, stopped when
nobody needs it any more.

Each runs behind the guard of `shim.py`, so that nothing of it outlives the controller. Its errors
and its output are kept to the last few KiB. A crash ends the calls in flight with a fault, and the
next call starts it again, after a wait that doubles each time; too many crashes in a row, and it is
`failed` until `_FORGET_SECONDS` have passed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from axtui.runtime.actors import shim
from axtui.runtime.actors.cut import ending
from axtui.runtime.actors.patience import to_the_end
from axtui.runtime.actors.wire import CLOSED, Fault, Handler, Peer, connect

MAX_CRASHES = 5
IDLE_SECONDS = 600.0
START_SECONDS = 60.0
STDERR_BYTES = 64 * 1024
_FIRST_DELAY = 0.5
_MAX_DELAY = 30.0
_FORGET_SECONDS = 600.0
GRACE_SECONDS = 0.5
_STOP_SECONDS = 1.0
# What the guard takes to find and kill all that is left, at most.
_SWEEP_SECONDS = 6.0
_ALLOWED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME")


@dataclass(frozen=True)
class Spec:
    """How an actor is started. `hello` is what it is first called with, as `start`; it has `grace`
    seconds to end by itself, and again once it is asked to, before it is killed.
    """

    id: str
    kind: str
    program: Sequence[str]
    hello: Any = None
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    cwd: str | None = None
    idle_seconds: float = IDLE_SECONDS
    grace: float = GRACE_SECONDS


@dataclass(frozen=True)
class Change:
    """What has become of an actor: `started`, `stopped` (why says by what) or `failed`."""

    spec: Spec
    how: str
    pid: int = 0
    why: str = ""
    stderr: str = ""


def scrubbed_env(environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """The few variables of `environ` that every program may see, and `extra`."""
    return {name: environ[name] for name in _ALLOWED if name in environ} | dict(extra)


class Crashes:
    """What something that is to be there has suffered lately: the more, the longer is waited before
    it is tried again."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MAX_CRASHES)

    def add(self) -> None:
        """One more."""
        self._times.append(time.monotonic())

    @property
    def too_many(self) -> bool:
        """Whether it isn't worth another try before some of them are forgotten."""
        while self._times and self._times[0] < time.monotonic() - _FORGET_SECONDS:
            self._times.popleft()
        return len(self._times) == MAX_CRASHES

    async def wait(self) -> None:
        """Wait until the next try is due."""
        if self._times:
            delay = min(_FIRST_DELAY * 2 ** (len(self._times) - 1), _MAX_DELAY)
            await asyncio.sleep(max(0.0, self._times[-1] + delay - time.monotonic()))


class Actor:
    """One actor of a controller. Belongs to the running event loop.

    `on_gone` is called as soon as its process can't be reached any more, before any call hears of
    it; `on_change` once it is known why. `greet` gets out of a process that has just started what
    it can do; else that is the answer to a call, `start`.
    """

    def __init__(
        self,
        spec: Spec,
        on_change: Callable[[Change], None],
        handlers: Mapping[str, Handler],
        redact: Callable[[str], str] = str,
        on_gone: Callable[[Peer], None] = lambda peer: None,
        greet: Callable[[Peer], Awaitable[Any]] | None = None,
    ) -> None:
        self.spec = spec
        self.state = "stopped"
        self.pid = 0
        self.why = ""
        self.info: Any = None
        self._on_change = on_change
        self._handlers = handlers
        self._redact = redact
        self._on_gone = on_gone
        self._greet = greet or self._call_start
        self._peer: Peer | None = None
        self._life: asyncio.Task[None] | None = None
        self._asked_to_stop = False
        self._is_ending = False
        self._lock = asyncio.Lock()
        self._users = 0
        self._idle: asyncio.TimerHandle | None = None
        self._crashes = Crashes()
        self._stderr = bytearray()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Peer]:
        """The actor, running; it isn't stopped for idleness meanwhile. Raises Fault."""
        self._users += 1
        if self._idle is not None:
            self._idle.cancel()
        try:
            yield await self._running()
        finally:
            self._users -= 1
            if not self._users and self._peer is not None:
                loop = asyncio.get_running_loop()
                self._idle = loop.call_later(self.spec.idle_seconds, self._stop_idle)

    @property
    def calls(self) -> int:
        """How many use it at the moment."""
        return self._users

    async def ready(self) -> Any:
        """Have it running; gives back what it can do. Raises Fault."""
        async with self.use():
            return self.info

    async def call(
        self, method: str, params: Any, on_progress: Callable[[Any], None] = lambda _: None
    ) -> Any:
        """Call it, started if need be. Raises Fault; `unknown` if it broke in the middle."""
        async with self.use() as peer:
            try:
                return await peer.call(method, params, on_progress)
            except Fault as fault:
                if fault.code != "gone":
                    raise
                if self._life is not None:
                    await asyncio.wait({self._life})
                raise Fault("gone", f"{self.spec.id} ended: {self.why}", unknown=True) from None

    async def stop(self, why: str = "shutdown") -> None:
        """End it, first with a word, then by force."""
        if self._idle is not None:
            self._idle.cancel()
        if self._life is not None and not self._life.done():
            if not self._is_ending:
                self._asked_to_stop = True
                self.why = why
                self._life.cancel()
            await asyncio.wait({self._life})

    async def ending(self, seconds: float) -> None:
        """Give one that may be about to end by itself the time to do so."""
        if self._life is not None:
            await asyncio.wait({self._life}, timeout=seconds)

    @property
    def stderr(self) -> str:
        """The last of what it wrote that was no message."""
        said = self._stderr.decode(errors="replace")
        return self._redact(ending(said) if len(self._stderr) == STDERR_BYTES else said)

    def _stop_idle(self) -> None:
        # Whoever calls from here on is for the next.
        self._peer = None
        self._stopping = asyncio.ensure_future(self.stop("idle"))

    async def _running(self) -> Peer:
        async with self._lock:
            if self._peer is None:
                if self._life is not None:
                    # What there is to tell of it would be told of the next.
                    await asyncio.wait({self._life})
                if self._crashes.too_many:
                    why = f"{self.spec.id} ended {MAX_CRASHES} times in a row: {self.why}"
                    raise Fault("failed", why)
                await self._crashes.wait()
                await self._start()
            assert self._peer is not None
            return self._peer

    async def _start(self) -> None:
        self.state = "starting"
        ours, theirs = socket.socketpair()
        with theirs:
            peer = await connect(ours, self._handlers, self._on_gone)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command(),
                    stdin=theirs.fileno(),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    env=scrubbed_env(os.environ, self.spec.env),
                    cwd=self.spec.cwd,
                    start_new_session=True,
                )
            except BaseException as error:
                peer.close()
                self.state = "stopped"
                if not isinstance(error, OSError):
                    raise
                self.why = f"it can't be started: {error}"
                raise Fault("start", f"{self.spec.id} didn't start: {self.why}") from None
        self._stderr.clear()
        self._asked_to_stop = self._is_ending = False
        self.pid = process.pid
        self._life = asyncio.create_task(self._live(process, peer), name=f"actor {self.spec.id}")
        await self._get_to_know(peer, self._life)
        # What it can do is known, and so it counts as started.
        self._peer = peer
        self.state = "ready"
        self._on_change(Change(self.spec, "started", process.pid))

    def _command(self) -> list[str]:
        spec = self.spec
        return shim.command(spec.program, grace=spec.grace, limits=dict(spec.limits))

    async def _call_start(self, peer: Peer) -> Any:
        return await peer.call("start", self.spec.hello)

    async def _get_to_know(self, peer: Peer, life: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                self.info = await self._greet(peer)
        except TimeoutError:
            await self.stop(f"no answer within {START_SECONDS:g} s")
            self._crashes.add()
            raise Fault("start", f"{self.spec.id} didn't start: {self.why}") from None
        except Fault as fault:
            if fault.code == "gone":
                await asyncio.wait({life})
            else:
                await self.stop(str(fault))
                self._crashes.add()
            why = f"{self.spec.id} didn't start: {self.why}"
            raise Fault("start", why, reason=fault.code) from None
        except asyncio.CancelledError:
            # The next who needs it would start another beside it.
            await to_the_end(self.stop("nobody waits for it any more"))
            raise

    async def _live(self, process: asyncio.subprocess.Process, peer: Peer) -> None:
        """From the start to the end, whichever way that comes."""
        listening = asyncio.create_task(self._listen(process))
        broken = ""
        try:
            broken = await peer.run()
        finally:
            self._is_ending = True
            self._peer = None
            peer.close()
            status = await _end(process, self.spec.grace)
            await asyncio.wait({listening}, timeout=_STOP_SECONDS)
            listening.cancel()
            if not self._asked_to_stop:
                self.why = self._ending(status, broken)
                self._crashes.add()
            self.state = "failed" if self._crashes.too_many else "stopped"
            self.pid = 0
            how = "failed" if self.state == "failed" else "stopped"
            self._on_change(Change(self.spec, how, process.pid, self.why, self.stderr))

    def _ending(self, status: int, broken: str) -> str:
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        lines = self.stderr.strip().splitlines()
        said = f" ({lines[-1][:200]})" if lines else ""
        return f"{how}{said}" if broken == CLOSED else f"{broken}{said}"

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while chunk := await process.stdout.read(STDERR_BYTES):
            self._stderr += chunk
            del self._stderr[:-STDERR_BYTES]


async def _end(process: asyncio.subprocess.Process, grace: float) -> int:
    """Wait for the guard, which has noticed that nobody is there any more; hurry it if it takes
    too long."""
    patience = 2 * grace + _STOP_SECONDS, grace + _SWEEP_SECONDS
    for hurry, seconds in zip((process.terminate, process.kill), patience, strict=True):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await process.wait()
        with suppress(ProcessLookupError):
            hurry()
    return await process.wait()
