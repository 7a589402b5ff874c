"""The environment: where the commands of a run are run."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from axtui.agent import Call, ToolError, call

OUTPUT_LIMIT = 1024 * 1024
_CHUNK = 64 * 1024
_DRAIN_SECONDS = 0.2
_TERM_SECONDS = 0.2


async def run_command(command: str) -> dict[str, Any]:
    """Run a shell command in the run's workspace: its exit status, and its output as one text.

    Output beyond 1 MiB is counted, not kept. Raises ToolError if the command can't be started.
    Canceled, it ends the command with all that it started in its process group.
    """
    this = call()
    # A pipe of our own: asyncio's would have `wait` wait for whoever else holds it open.
    read_end, write_end = os.pipe()
    output = _Output(this.delta)
    with open(read_end, "rb", buffering=0) as pipe:  # noqa: ASYNC230
        try:
            process = await _started(asyncio.create_task(_start(command, this, write_end)))
        finally:
            os.close(write_end)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_CHUNK)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        reading = asyncio.create_task(output.read(reader))
        try:
            status = await process.wait()
            # What the command left running in the background may hold the pipe open for ever.
            await asyncio.wait({reading}, timeout=_DRAIN_SECONDS)
        except asyncio.CancelledError:
            await _end(process)
            raise
        finally:
            reading.cancel()
            transport.close()
    result: dict[str, Any] = {"exit_status": status, "output": output.text()}
    if output.dropped:
        result["dropped_bytes"] = output.dropped
    return result


async def _start(command: str, this: Call, write_end: int) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            cwd=this.workspace or None,
            env={**os.environ, "AXTUI_IDEMPOTENCY_KEY": this.idempotency_key},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ToolError(f"can't start a command in {this.workspace}: {error}") from None


async def _started(starting: asyncio.Task[asyncio.subprocess.Process]) -> Any:
    """The process; if this is canceled, what it has begun by then is ended too."""
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(ToolError):
            await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command with all that it started; who doesn't go when asked to is killed."""
    try:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TERM_SECONDS):
                await process.wait()
    finally:
        # The shell may be gone before what it started.
        _signal(process, signal.SIGKILL)


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class _Output:
    """The first part of a command's output, shown as it comes."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._parts: list[str] = []
        self._kept = 0
        self.dropped = 0

    async def read(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(_CHUNK):
            kept = chunk[: max(0, OUTPUT_LIMIT - self._kept)]
            self._kept += len(kept)
            self.dropped += len(chunk) - len(kept)
            if text := self._decoder.decode(kept):
                self._parts.append(text)
                self._show(text)

    def text(self) -> str:
        return "".join(self._parts) + self._decoder.decode(b"", final=True)
