"""Finding files in a folder and nowhere else, whatever names, links and other processes say.

Every part of a path is opened in the folder before it, without following links; links are read and
walked part by part as well. So nobody can lead the way outside, not even between two looks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_LINKS = 40
# Each folder on the way is open, and a process can't have many more.
MAX_DEPTH = 200
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Outside(Exception):
    """A path leads out of its folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: a name, which is no link or not there, in a folder that is open.

    `path` is from the confining folder on, without links and dots; empty for that folder itself.
    """

    folder: int
    name: str
    path: str

    def open(self, flags: int, mode: int = 0o666) -> int:
        """A descriptor of what is there. Raises OSError."""
        return os.open(self.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.folder)


@contextlib.contextmanager
def find(
    root: str,
    path: str,
    hidden: Sequence[str] = (),
    *,
    make_folders: bool = False,
    known: os.stat_result | None = None,
) -> Iterator[Place]:
    """The place of a path in the folder `root`, relative to it or absolute; folders on the way to
    it are made if wanted.

    Raises Outside, also for what is in one of the `hidden` places, paths from the root on, and if
    the root isn't the folder any more that is `known`; and OSError where the way ends.
    """
    walk = _Walk(root, hidden)
    try:
        if known is not None and not walk.begins_at(known):
            raise Outside(f"{root} is another folder by now")
        yield walk.to(path, make_folders)
    finally:
        walk.close()


class _Walk:
    """A way down from a root; the folders that it went through are open."""

    def __init__(self, root: str, hidden: Sequence[str]) -> None:
        self._root = root
        self._hidden = hidden
        # The root itself may be named by a link: it was a person who named it.
        self._folders = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        self._names: list[str] = []

    def close(self) -> None:
        for folder in self._folders:
            os.close(folder)

    def begins_at(self, folder: os.stat_result) -> bool:
        return os.path.samestat(os.fstat(self._folders[0]), folder)

    def to(self, path: str, make_folders: bool) -> Place:
        left = deque(self._parts(path))
        links = 0
        while left:
            part = left.popleft()
            if part == "..":
                self._up(path)
                continue
            here = "/".join([*self._names, part])
            if here in self._hidden:
                raise Outside(f"{path} belongs to axtui itself")
            mode = self._mode(part)
            if stat.S_ISLNK(mode):
                links += 1
                if links > MAX_LINKS:
                    raise Outside(f"{path} goes through more than {MAX_LINKS} links")
                left.extendleft(reversed(self._link(part, path)))
            elif not left:
                return Place(self._folders[-1], part, here)
            else:
                if not mode and make_folders and len(self._names) < MAX_DEPTH:
                    os.mkdir(part, dir_fd=self._folders[-1])
                self._down(part)
        return Place(self._folders[-1], ".", "/".join(self._names))

    def _parts(self, path: str) -> list[str]:
        if os.path.isabs(path):
            for root in (self._root, os.path.realpath(self._root)):
                if path == root or path.startswith(f"{root.rstrip('/')}/"):
                    path = path[len(root) :]
                    break
            else:
                raise Outside(f"{path} isn't in {self._root}")
        return [part for part in path.split("/") if part not in ("", ".")]

    def _mode(self, name: str) -> int:
        """What a name stands for; 0 if it isn't there."""
        try:
            return os.stat(name, dir_fd=self._folders[-1], follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0

    def _link(self, name: str, path: str) -> list[str]:
        target = os.readlink(name, dir_fd=self._folders[-1])
        try:
            parts = self._parts(target)
        except Outside:
            raise Outside(f"{path} goes through a link to {target}") from None
        if os.path.isabs(target):
            while self._names:
                self._up(path)
        return parts

    def _down(self, name: str) -> None:
        if len(self._names) == MAX_DEPTH:
            raise OSError(errno.ENAMETOOLONG, f"it is more than {MAX_DEPTH} folders deep")
        self._folders.append(os.open(name, _FOLDER, dir_fd=self._folders[-1]))
        self._names.append(name)

    def _up(self, path: str) -> None:
        if not self._names:
            raise Outside(f"{path} isn't in {self._root}")
        os.close(self._folders.pop())
        self._names.pop()
