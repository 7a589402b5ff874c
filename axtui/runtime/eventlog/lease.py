"""The right to write a log on one machine: a lock that the operating system holds for us.

The lock dies with its process, however that dies, so there is never a file to delete by hand. It
is advisory; the epoch row in the log is what refuses a writer that goes on without it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakSet

from axtui.runtime.eventlog.base import LeaseHeld, LogError

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "9p", "ncpfs"}
    | {"fuse.ceph-fuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "lustre", "ocfs2", "gfs2"}
)
_UNLOCKABLE = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_READ_TRIES = 50
_LOCK_TRIES = 5
_TRY_SECONDS = 0.002


class Lease:
    """A held lock. Held until `release`, or until the process ends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        _held_here.add(self)

    @classmethod
    def acquire(cls, log: Path) -> Lease:
        """Lock the log at its real path. Raises LeaseHeld, or LogError where nothing can lock."""
        path = Path(f"{os.path.realpath(log)}.lock")
        refuse_network(path.parent)
        lease = cls(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            lease._lock(log, path.parent)
            os.ftruncate(lease._fd, 0)
            name = json.dumps({"pid": os.getpid(), "since": time.time()})
            os.pwrite(lease._fd, name.encode(), 0)
        except BaseException:
            lease.release()
            raise
        return lease

    def release(self) -> None:
        """Let the next process write."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lock(self, log: Path, folder: Path) -> None:
        # Who only asks for the holder's name has the lock too, for a moment.
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(_TRY_SECONDS)
            except OSError as error:
                if error.errno not in _UNLOCKABLE:
                    raise
                raise LogError(
                    f"the file system of {folder} can't lock files ({error.strerror}), so two "
                    "writers could destroy the log",
                    "choose a --data-dir on a local disk",
                ) from None
        raise _held(self._fd, log)


# A lock is shared with whoever inherits the descriptor: a forked child must not keep it when its
# parent dies. Closing a copy leaves the parent's lock alone.
_held_here: WeakSet[Lease] = WeakSet()


def _forget() -> None:
    for lease in list(_held_here):
        lease.release()


os.register_at_fork(after_in_child=_forget)


def _held(fd: int, log: Path) -> LeaseHeld:
    pid, since = _read_holder(fd)
    who = f"process {pid}" if pid else "another process"
    started = ""
    with suppress(ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(since, UTC).astimezone()
        started = f", since {moment:%Y-%m-%d %H:%M:%S}" if pid else ""
    return LeaseHeld(
        f"{log} is being written by {who}{started}",
        f"wait for {who} or stop it, or use another --data-dir",
        pid,
    )


def _read_holder(fd: int) -> tuple[int, float]:
    # The holder writes its name just after it has locked.
    for _ in range(_READ_TRIES):
        try:
            holder = json.loads(os.pread(fd, 200, 0))
            return int(holder["pid"]), float(holder["since"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            time.sleep(_TRY_SECONDS)
    return 0, 0.0


def refuse_network(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raise LogError if `folder` is on a file system that other machines share.

    SQLite's write-ahead log needs memory that all its users share, and locks that a server may
    forget, so such a log would break sooner or later. Where there is no list of mounts (macOS),
    the lock itself has to fail.
    """
    try:
        lines = mounts.read_text(errors="surrogateescape").split("\n")
    except OSError:
        return
    real = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5:
            continue
        # Blanks and the like are in octal.
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    if kind in _NETWORK:
        raise LogError(
            f"{folder} is on a network file system ({kind}), where a log can't be locked safely",
            "choose a --data-dir on a local disk",
        )


def holder(log: Path) -> tuple[int, float]:
    """The pid of the process that holds the lease of a log, and since when, in seconds since 1970;
    zeros if nobody does."""
    try:
        fd = os.open(f"{os.path.realpath(log)}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0, 0.0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_holder(fd)
    finally:
        os.close(fd)
    return 0, 0.0
