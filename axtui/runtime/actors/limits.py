"""What is in front of each command: its limits, and its end if the controller ends."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from axtui.runtime.actors import shim
from axtui.runtime.config import Limits

MAX_OPEN_FILES = 4096
# What `ulimit -f` counts in.
_BLOCK = 512

# A child of bubblewrap's first process, outside of the sandbox, watches standard input, a pipe that
# the controller holds open. Once that closes it stops bubblewrap, for that not to start any other,
# and kills it with its other child: the first process in there, whose end none survives.
_WATCH = """\
exec 3<&0 </dev/null
(
  trap '' HUP INT TERM
  read -r _ <&3
  read -r self _ _ parent _ </proc/self/stat
  [ "$parent" = $$ ] || exit
  kill -s STOP $$
  while read -r _ _ state _ </proc/$$/stat && [ "$state" != T ] && [ "$state" != Z ]; do :; done
  for process in /proc/[0-9]*; do
    read -r pid _ _ parent _ <"$process/stat" || continue
    [ "$parent" != $$ ] || [ "$pid" = "$self" ] || kill -s KILL "$pid"
  done
  kill -s KILL $$
) >/dev/null 2>&1 &
exec 3<&-
"""
# How long a command has to end by itself when it is asked to.
_GRACE_SECONDS = 0.2


def guarded(command: str, limits: Limits) -> list[str]:
    """How a command is called without a sandbox so that it keeps to `limits`, and dies with who
    holds its standard input, with all that it has started."""
    return shim.command(limited(command, limits, sandboxed=False), grace=_GRACE_SECONDS)


def limited(command: str, limits: Limits, *, sandboxed: bool) -> list[str]:
    """How a command is called so that it keeps to `limits`."""
    # In one line with the first of the command, whose lines are counted where it is wrong.
    before = "; ".join(["exec </dev/null", *_ulimits(limits, sandboxed)])
    return ["/bin/sh", "-c", f"{before}; {command}"]


def watched(sandbox: list[str], told: int, enter: str = "") -> list[str]:
    """How a sandbox is started so that it dies with who holds its standard input, with all that is
    in it; `enter` is what a shell does first. For Linux.

    A line with the number of the process that sees to it goes to the descriptor `told`.
    """
    script = f'{_WATCH}echo $! >/dev/fd/{told}\n{enter}exec "$@"'
    return ["/bin/sh", "-c", script, "sh", *sandbox]


def counts_processes() -> bool:
    """Whether the kernel counts the processes of a sandbox apart from the user's other ones."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and (int(version[1]), int(version[2])) >= (5, 14)


def is_superuser() -> bool:
    """Whether this is root, whose processes the kernel doesn't count, and not just called so in a
    container."""
    with open("/proc/self/uid_map") as mapping:
        return os.geteuid() == 0 and mapping.readline().split()[:2] == ["0", "0"]


def _ulimits(limits: Limits, sandboxed: bool) -> Iterator[str]:
    # Whoever evades the controller's clock is out of computing time some day.
    computing = int(limits.time * (os.cpu_count() or 1)) + 1
    for flag, value in (
        ("c", 0),
        ("n", MAX_OPEN_FILES),
        ("f", -(-limits.file_size // _BLOCK)),
        ("d", -(-limits.memory // 1024)),
        ("t", computing),
    ):
        # A limit that is lower already stays.
        yield f"ulimit -{flag} {value} 2>/dev/null"
    if sandboxed and counts_processes():
        # In bash it is -u, in dash and BusyBox -p.
        number = limits.processes
        yield f"ulimit -u {number} 2>/dev/null || ulimit -p {number} 2>/dev/null"
