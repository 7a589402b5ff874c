"""Where the process that writes a log is found by the others on its machine.

It listens on a Unix socket whose name is a hash of the log's path. A line comes in, a JSON object
that says what is wanted, and one goes out: who it is and which runs it drives, where it serves
gRPC, or that it makes room. gRPC is loaded when somebody wants it, so that a process which is left
alone starts without.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from axtui.runtime.eventlog.base import LogError

MAX_LINE = 1 << 20
_ANSWER_SECONDS = 5.0
# A socket's address has about a hundred bytes, on some systems.
_MAX_FOLDER = 70


class Holder(NamedTuple):
    """The process that writes a log, since when, the conversations whose runs it drives, and by the
    ids of its actors how many calls each works on."""

    pid: int = 0
    since_us: int = 0
    driving: frozenset[str] = frozenset()
    calls: Mapping[str, int] = MappingProxyType({})


class Door:
    """Open for as long as this process holds the lease of a log.

    `answer` is given what is wanted, and gives back what is said to that.
    """

    def __init__(self, log: Path, answer: Callable[[str], Awaitable[dict[str, Any]]]) -> None:
        self._log = log
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. Raises LogError where there can't be a socket."""
        path = socket_path(self._log)
        try:
            # Whoever left it has no lease any more.
            path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, path, limit=MAX_LINE)
            path.chmod(0o600)
        except OSError as error:
            raise LogError(
                f"no socket can be made at {path}: {error.strerror or error}",
                "set XDG_RUNTIME_DIR to a folder of yours",
            ) from None

    def close(self) -> None:
        """Be found no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
            socket_path(self._log).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                wanted = str(json.loads(await reader.readline())["want"])
            writer.write(json.dumps(await self._answer(wanted)).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError, KeyError, TypeError, TimeoutError, RecursionError):
            # Whoever it was doesn't know what to say.
            pass
        finally:
            writer.close()


async def knock(log: Path, want: str) -> dict[str, Any] | None:
    """What the process that writes a log says to what is wanted; None if nobody is there."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(socket_path(log), limit=MAX_LINE)
            try:
                writer.write(json.dumps({"want": want}).encode() + b"\n")
                return dict(json.loads(await reader.readline()))
            finally:
                writer.close()
    except (LogError, OSError, ValueError, TypeError, TimeoutError):
        return None


def socket_path(log: Path, end: str = "") -> Path:
    """The socket of a log. Raises LogError if there is no folder for it that is ours alone."""
    name = sha256(os.fsencode(os.path.realpath(log))).hexdigest()[:24]
    return _folder() / f"{name}{end}"


def _folder() -> Path:
    # The first is found without the session's variables too, such as by a cron job.
    wanted = (f"/run/user/{os.getuid()}", os.environ.get("XDG_RUNTIME_DIR"))
    folders = [Path(name, "axtui") for name in wanted if name and os.path.isdir(name)]
    for folder in (*folders, Path(f"/tmp/axtui-{os.getuid()}")):
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            about = folder.lstat()
            ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
            if ours and not about.st_mode & 0o077 and len(os.fsencode(folder)) <= _MAX_FOLDER:
                return folder
    raise LogError(
        f"there is no folder for sockets: {folder} can't be made, or isn't yours alone",
        "set XDG_RUNTIME_DIR to a folder of yours",
    )
