"""The right to write a log on one machine: a lock that the operating system holds for us.

The lock dies with its process, however that dies, so there is never a file to delete by hand. It
is advisory; the epoch row in the log is what refuses a writer that goes on without it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from axtui.runtime.eventlog.base import LeaseHeld, LogError

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "9p", "ncpfs"}
)
_UNLOCKABLE = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_READ_TRIES = 50


class Lease:
    """A held lock. Held until `release`, or until the process ends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pid = os.getpid()

    @classmethod
    def acquire(cls, log: Path) -> Lease:
        """Lock the log at its real path. Raises LeaseHeld, or LogError where nothing can lock."""
        path = Path(f"{os.path.realpath(log)}.lock")
        refuse_network(path.parent)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(fd, log) from None
        except OSError as error:
            os.close(fd)
            if error.errno in _UNLOCKABLE:
                raise LogError(
                    f"the file system of {path.parent} can't lock files ({error.strerror}), so two "
                    "writers could destroy the log",
                    "choose a --data-dir on a local disk",
                ) from None
            raise
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid(), "since": time.time()}).encode(), 0)
        lease = cls(fd)
        os.register_at_fork(after_in_child=lease._forget)
        return lease

    def release(self) -> None:
        """Let the next process write."""
        if self._fd >= 0 and os.getpid() == self._pid:
            os.close(self._fd)
            self._fd = -1

    def _forget(self) -> None:
        # A lock is shared with whoever inherits the descriptor: a forked child must not keep it
        # when its parent dies. Closing a copy leaves the parent's lock alone.
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _held(fd: int, log: Path) -> LeaseHeld:
    try:
        pid, since = _read_holder(fd)
    finally:
        os.close(fd)
    started = datetime.fromtimestamp(since, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return LeaseHeld(
        f"{log} is being written by process {pid}, since {started}",
        f"wait for process {pid} or stop it, or use another --data-dir",
        pid,
    )


def _read_holder(fd: int) -> tuple[int, float]:
    # The holder writes its name just after it has locked.
    for _ in range(_READ_TRIES):
        try:
            holder = json.loads(os.pread(fd, 200, 0))
            return int(holder["pid"]), float(holder["since"])
        except ValueError:
            time.sleep(0.002)
    return 0, time.time()


def refuse_network(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raise LogError if `folder` is on a file system that other machines share.

    SQLite's write-ahead log needs memory that all its users share, and locks that a server may
    forget, so such a log would break sooner or later. Where there is no list of mounts (macOS),
    the lock itself has to fail.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return
    real = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].encode().decode("unicode_escape")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    if kind in _NETWORK:
        raise LogError(
            f"{folder} is on a network file system ({kind}), where a log can't be locked safely",
            "choose a --data-dir on a local disk",
        )


def holder(log: Path) -> int:
    """The pid of the process that holds the lease of a log; 0 if nobody does."""
    try:
        fd = os.open(f"{os.path.realpath(log)}.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_holder(fd)[0]
    finally:
        os.close(fd)
    return 0
