"""Runs Python modules in forked children of a warm parent, for those that take seconds to import.

Started as a script, it imports what is heavy and listens on a socket; `warm_entry.py` is then the
program that stands for `python -m MODULE`. `planner_trial.Warm` is the end that tests hold.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

REHEARSAL = "This is a rehearsal."
_PR_SET_CHILD_SUBREAPER = 36
_ORPHAN_SECONDS = 20.0


def _serve(path: str, url: str) -> None:
    import counting_server  # noqa: F401

    import axtui.runtime.actors.tools.host  # noqa: F401

    asyncio.run(_rehearse(url))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(path)
        listening.listen(64)
        assert threading.active_count() == 1
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            with connection:
                data, fds, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                request = json.loads(data)
                if request is None:
                    connection.sendall(b"0" if _nobody_left() else b"1")
                elif not os.fork():
                    listening.close()
                    _become(connection, fds, request)
            for fd in fds:
                os.close(fd)


async def _rehearse(url: str) -> None:
    """Ask a model once: much is only imported, and made, when it is needed."""
    from axtui.runtime.actors.models.host import ModelHost
    from axtui.runtime.config import ModelProvider, Models

    host = ModelHost(Models(providers={"local": ModelProvider("openai", f"{url}/v1")}), {})
    said = {"role": "user", "content": [{"text": REHEARSAL}]}
    await host.complete({"model": "local:scripted", "messages": [said]}, lambda *_: None)
    await host.aclose()


def _nobody_left() -> bool:
    until = time.monotonic() + _ORPHAN_SECONDS
    while time.monotonic() < until:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not pid:
            time.sleep(0.001)
    return False


def _become(connection: socket.socket, fds: list[int], request: dict[str, Any]) -> NoReturn:
    status = 70
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environ"])
        sys.argv = [request["module"]]
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(str(status).encode())
        os._exit(status)


def _end_with(connection: socket.socket) -> None:
    """Whoever stands for this process was killed, and so it is."""
    connection.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
