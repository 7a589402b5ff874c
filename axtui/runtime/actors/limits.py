"""The shell script in front of each command: its limits, and its end if the controller ends."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from axtui.runtime.config import Limits

MAX_OPEN_FILES = 4096
# What `ulimit -f` counts in.
_BLOCK = 512

# Standard input is a pipe that the controller holds open. When that closes, a process which has
# left the command's family, so that no `wait` there sees it, ends all.
_SCRIPT = """\
exec 3<&0 </dev/null
((trap '' HUP INT TERM; read -r _ <&3; kill -s KILL -- {all}) >/dev/null 2>&1 &)
exec 3<&-
{limits}
exec /bin/sh -c "$1"
"""


def guarded(command: str, limits: Limits, *, sandboxed: bool) -> list[str]:
    """How a command is called so that it keeps to `limits`, and dies with who holds its standard
    input: in a sandbox with all that is in it, else with its process group."""
    script = _SCRIPT.format(
        all="-1" if sandboxed else "0", limits="\n".join(_ulimits(limits, sandboxed))
    )
    return ["/bin/sh", "-c", script, "sh", command]


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
