"""Servers that start in a moment: forked from a process that has imported all that they need.

Started as a script. It reads a request as a JSON line: the arguments of `axtui serve`, folder and
environment; it answers with the pid and the first line that the server has printed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

import axtui.cli.serve_command
import axtui.remote.server
import axtui.runtime.agents  # noqa: F401
from axtui.cli import main


def serve() -> None:
    """Answer requests until there are no more."""
    answers = os.dup(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        ours, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            _become(json.loads(line), theirs)
        os.close(theirs)
        with os.fdopen(ours) as said:
            answer = {"pid": pid, "line": said.readline()}
        os.write(answers, json.dumps(answer).encode() + b"\n")


def _become(request: dict[str, Any], output: int) -> NoReturn:
    status = 70
    try:
        os.dup2(output, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        status = main(["serve", *request["arguments"]])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
