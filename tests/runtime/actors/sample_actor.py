"""An actor that does whatever a test of the supervisor asks of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from axtui.runtime.actors.wire import Fault, Handler, Peer, Progress, serve

_peer: Peer


def start(peer: Peer) -> dict[str, Handler]:
    global _peer
    _peer = peer
    return {
        "start": hello,
        "echo": echo,
        "fail": fail,
        "raise": crash,
        "exit": leave,
        "hang": hang,
        "count": count,
        "garbage": garbage,
        "ask": ask,
        "say": say,
        "daemon": daemon,
    }


async def hello(params: Any, progress: Progress) -> Any:
    if params == "refuse":
        raise Fault("config", "not like this")
    if params == "never":
        await asyncio.sleep(86399)
    if params == "exit":
        print("out of order", file=sys.stderr, flush=True)
        os._exit(9)
    return {"pid": os.getpid(), "hello": params}


async def echo(params: Any, progress: Progress) -> Any:
    return params


async def fail(params: Any, progress: Progress) -> Any:
    raise Fault("busy", "not now", retry_after=3)


async def crash(params: Any, progress: Progress) -> Any:
    raise KeyError("oops")


async def leave(params: Any, progress: Progress) -> Any:
    print("going", flush=True)
    os.kill(os.getpid(), params) if params else os._exit(7)


async def hang(params: Any, progress: Progress) -> Any:
    if params == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        progress("hanging")
        # Let the word go out first, whatever turns that takes.
        for _ in range(50):
            await asyncio.sleep(0)
        while True:
            signal.pause()
    try:
        progress("hanging")
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        _write(params, "canceled")
        raise


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)


async def count(params: Any, progress: Progress) -> Any:
    for number in range(params):
        progress(number)
    return "done"


async def garbage(params: Any, progress: Progress) -> Any:
    _peer._link._writer.write(params.encode("latin-1"))
    await asyncio.Event().wait()


async def ask(params: Any, progress: Progress) -> Any:
    return await _peer.call("question", params)


async def say(params: Any, progress: Progress) -> Any:
    print(params, file=sys.stderr, flush=True)


async def daemon(params: Any, progress: Progress) -> Any:
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.write(write_end, b"%d" % os.getpid())
        while True:
            signal.pause()
    return int(os.read(read_end, 20))


async def close() -> None:
    pass


if __name__ == "__main__":
    serve(start, close)
