"""The environment: where the commands of a run are run."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from axtui.agent import ToolError, call

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
    try:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            cwd=this.workspace or None,
            env={**os.environ, "AXTUI_IDEMPOTENCY_KEY": this.idempotency_key},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ToolError(f"can't start a command in {this.workspace}: {error}") from None
    assert process.stdout is not None
    output = _Output(this.delta)
    reading = asyncio.create_task(output.read(process.stdout))
    try:
        status = await process.wait()
        # What the command left running in the background may hold the pipe open for ever.
        await asyncio.wait({reading}, timeout=_DRAIN_SECONDS)
    except asyncio.CancelledError:
        await _end(process)
        raise
    finally:
        reading.cancel()
    result: dict[str, Any] = {"exit_status": status, "output": output.text()}
    if output.dropped:
        result["dropped_bytes"] = output.dropped
    return result


async def _end(process: asyncio.subprocess.Process) -> None:
    for number, patience in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, 1.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
            return


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
