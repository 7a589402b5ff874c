"""The process that runs one model of this machine: llama.cpp with its own server on the loopback.

A process for each, since loading one stops everything else in it, and what is wrong with a file of
weights may end it.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from axtui.runtime.actors.wire import Fault, Handler, Peer, Progress, serve

# Beginnings of conversations are kept in memory up to that, so that they needn't be read again.
CACHE_MIB = 1024
# Where nobody says otherwise: agents are better served by what is likely than by what is new. But
# small models then say the same again and again, and may find no end.
TEMPERATURE = 0.2
REPEAT_PENALTY = 1.1
MAX_TOKENS = 4096
_ERRORS_ONLY = 1
_LOG_SECONDS = 2.0
_MAX_SAID = 1 << 20
_settings: dict[str, str] = {}
# The server, as long as it is to run, and what `open` gives back.
_running: list[Any] = []


def _start(peer: Peer) -> dict[str, Handler]:
    return {"start": _hello, "open": _open}


async def _hello(settings: Any, progress: Progress) -> Any:
    _settings.update(settings)


async def _open(params: Any, progress: Progress) -> Any:
    """Where the model is served, and the key without which nobody is: `base_url`, `key`."""
    if not _running:
        key = secrets.token_urlsafe()
        server = _served(_settings["path"], _settings["name"], key)
        _running.extend((server, {"base_url": f"{server.listening_address}/v1", "key": key}))
    return _running[1]


def _served(path: str, name: str, key: str) -> Any:
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = path
    wanted.model_alias = {name}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = 0
    wanted.api_keys = [key]
    wanted.ui = False
    wanted.endpoint_slots = False
    wanted.cache_ram_mib = CACHE_MIB
    wanted.n_predict = MAX_TOKENS
    wanted.sampling.temp = TEMPERATURE
    wanted.sampling.penalty_repeat = REPEAT_PENALTY
    # Its threads wait for each other at each step by turning in circles: one that has to share its
    # processor holds up all.
    wanted.cpuparams.n_threads = max(1, (os.cpu_count() or 1) // 2)
    wanted.verbosity = _ERRORS_ONLY
    with _errors() as said:
        try:
            return xllamacpp.Server(wanted)
        except RuntimeError:
            raise Fault("invalid", f"local: {path} can't be loaded: {_why(said)}") from None


def _why(said: Callable[[], str]) -> str:
    """The first error that was printed. A thread of the library's own does so, a moment later."""
    end = time.monotonic() + _LOG_SECONDS
    while not (found := re.search(r" E .*?: (.*)\n", said())):
        if time.monotonic() > end:
            return "llama.cpp doesn't say why"
        time.sleep(0.01)
    return found[1]


@contextmanager
def _errors() -> Iterator[Callable[[], str]]:
    """Have what the library prints as errors meanwhile go where it can be read."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            # Not `file.read`, which would move the place where the next is written.
            yield lambda: os.pread(file.fileno(), _MAX_SAID, 0).decode(errors="replace")
        finally:
            os.dup2(kept, 2)
            os.close(kept)


async def _close() -> None:
    # It may be in the middle of an answer that nobody waits for any more.
    os._exit(0)


if __name__ == "__main__":
    serve(_start, _close)
