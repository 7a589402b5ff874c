"""Control groups: what bounds the processes and the memory of a command that root runs.

For everybody else a resource limit counts the processes of a sandbox; the kernel exempts root from
it. In exchange root may make control groups, of version 1 or 2, whichever the machine has.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# The kernel takes a moment to see that a group is empty.
CLOSE_SECONDS, CLOSE_TRIES = 2.0, 200
_PREFIX = "axtui-"
_numbers = itertools.count(1)


class ControlGroup:
    """The processes of one command."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders

    @classmethod
    def make(cls, processes: int, memory: int) -> ControlGroup:
        """A group of at most `processes`, threads included, and `memory` bytes together.

        Raises OSError where there can't be one.
        """
        name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        group = cls([])
        try:
            for parent, limits in _hierarchies():
                (parent / name).mkdir()
                group._folders.append(parent / name)
                for file, template in limits.items():
                    text = template.format(processes=processes, memory=memory)
                    (parent / name / file).write_text(text)
        except OSError:
            all(map(_removed, group._folders))
            raise
        return group

    def entering(self) -> str:
        """What a shell does to run here, with all that it starts; it ends if it can't."""
        return "".join(f'echo $$ >"{folder}/cgroup.procs" || exit\n' for folder in self._folders)

    def kill(self) -> None:
        """Kill all that is here, and let nothing begin any more."""
        folder = self._folders[0]
        with contextlib.suppress(OSError):
            (folder / "pids.max").write_text("0")
        # Twice, for what was just beginning.
        for _ in range(2):
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)

    async def close(self) -> None:
        """Remove the group once nothing is in it any more; if that takes too long, `remove_stale`
        does it some day."""
        for _ in range(CLOSE_TRIES):
            self._folders = [folder for folder in self._folders if not _removed(folder)]
            if not self._folders:
                return
            await asyncio.sleep(CLOSE_SECONDS / CLOSE_TRIES)


def remove_stale() -> None:
    """Remove the groups that controllers have left behind which were killed."""
    with contextlib.suppress(OSError):
        for parent, _ in _hierarchies():
            for folder in parent.glob(f"{_PREFIX}*"):
                owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
                if not Path(f"/proc/{owner}").exists():
                    _removed(folder)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _hierarchies() -> Iterator[tuple[Path, dict[str, str]]]:
    """Where groups are made, and which files take which limit; the first counts processes."""
    if (ROOT / "cgroup.controllers").exists():
        # Below the root, since a group that has processes itself can't bound those below it.
        yield ROOT, {"pids.max": "{processes}", "memory.max": "{memory}"}
        return
    own = dict(
        line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()
    )
    for name, file, template in (
        ("pids", "pids.max", "{processes}"),
        ("memory", "memory.limit_in_bytes", "{memory}"),
    ):
        # Below our own, so that its limits hold as well.
        yield ROOT / name / own.get(name, "/").lstrip("/"), {file: template}
