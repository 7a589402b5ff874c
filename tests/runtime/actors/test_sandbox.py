"""What a command in the sandbox can't do: one test for each way out that it may try."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from axtui.runtime.actors.sandbox import Sandbox, View, find_sandbox

from .conftest import SECONDS, MakePlace, Place

pytestmark = pytest.mark.usefixtures("sandbox")

CONNECT = "import socket; socket.create_connection(('127.0.0.1', {port}), 5).sendall(b'in')"


@pytest.fixture
def heard() -> Iterator[tuple[int, list[bytes]]]:
    """The port of a server on the loopback interface, and what it hears."""
    found: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    found.append(connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], found
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


async def test_no_network(place: Place, python: str, heard: tuple[int, list[bytes]]) -> None:
    port, found = heard
    said = await place.refused(f'{python} -c "{CONNECT.format(port=port)}"')
    assert "Connection refused" in said
    assert found == []


async def test_the_network_if_wanted(
    make_place: MakePlace, python: str, heard: tuple[int, list[bytes]]
) -> None:
    port, found = heard
    place = make_place(sandbox="bubblewrap", network=True)
    await place.output(f'{python} -c "{CONNECT.format(port=port)}"')
    async with asyncio.timeout(SECONDS):
        while not found:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert found == [b"in"]


async def test_sockets_that_know_no_network_namespace(place: Place, python: str) -> None:
    for family in (17, 38, 40):  # Packets, the kernel's cryptography, the host of this machine.
        code = f"import socket; socket.socket({family}, socket.SOCK_RAW)"
        assert "not supported" in await place.refused(f'{python} -c "{code}"')


async def test_other_processes_are_not_seen(place: Place) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "86399")
    try:
        said = await place.output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; ls -d /proc/[0-9]*")
        assert f"kill {other.pid}" in await place.refused(
            f"echo kill {other.pid}; kill {other.pid}"
        )
        assert other.returncode is None
    finally:
        other.kill()
        await other.wait()
    assert "sleep" not in said
    assert len(said.split("\n/proc/")) < 10


async def test_the_home_is_empty(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text("hush")
    monkeypatch.setenv("HOME", str(home))
    assert await place.output("echo $HOME; ls -A ~; touch ~/new") == f"{home}\n"
    assert "No such file" in await place.refused(f"cat {home}/secret")
    assert sorted(path.name for path in home.iterdir()) == ["secret"]


async def test_other_folders_are_not_there(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    assert "No such file" in await place.refused(f"cat {tmp_path}/secret")
    for folder in ("/root/.ssh", "/var/log", "/run", "/sys", "/boot", "/srv"):
        assert "No such file" in await place.refused(f"ls {folder}")


async def test_a_workspace_in_the_home_leaves_the_rest_hidden(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret").write_text("hush")
    assert await place.output("ls -A ~; touch here") == "workspace\n"
    assert (place.workspace / "here").exists()


async def test_a_workspace_that_holds_the_home_is_warned_of(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "workspace"))
    (place.workspace / "file").touch()
    assert await place.output("ls -A ~") == "file\n"
    assert "read and change the whole home folder" in place.environment.take_warning()


@pytest.mark.parametrize(
    "path", ["/x", "/usr/x", "/usr/bin/env", "/etc/passwd", "/bin/x", "/dev/x", "/proc/x"]
)
async def test_the_system_cant_be_written(place: Place, path: str) -> None:
    before = os.stat(path) if os.path.exists(path) else None  # noqa: ASYNC240
    await place.refused(f"echo x >> {path}")
    await place.refused(f"rm -f {path} && test ! -e {path} && touch {path}")
    after = os.stat(path) if os.path.exists(path) else None  # noqa: ASYNC240
    assert (before and before.st_mtime_ns) == (after and after.st_mtime_ns)


@pytest.mark.parametrize("name", ["kernel/core_pattern", "vm/swappiness", "kernel/pid_max"])
async def test_the_kernels_settings_cant_be_written(place: Place, name: str) -> None:
    # Root may write these without any capability.
    await place.refused(f'same=$(cat /proc/sys/{name}) && echo "$same" > /proc/sys/{name}')


async def test_secrets_of_the_system(place: Place) -> None:
    for path in ("/etc/shadow", "/etc/gshadow"):
        if os.path.exists(path):  # noqa: ASYNC240
            await place.refused(f"cat {path}")
    assert "root" in await place.output("cat /etc/passwd")


async def test_secrets_of_the_environment(
    place: Place, make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "hush")
    monkeypatch.setenv("LC_ALL", "C")
    look = "env; cat /proc/[0-9]*/environ | tr '\\0' '\\n'"
    said = await place.output(look)
    assert "hush" not in said
    assert "LC_ALL=C\n" in said
    assert "API_KEY=hush" in await make_place(env=("API_KEY",)).output(look)


async def test_a_link_out_of_the_workspace_leads_nowhere(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    (place.workspace / "link").symlink_to(tmp_path / "secret")
    (place.workspace / "up").symlink_to("../secret")
    for name in ("link", "up"):
        assert "No such file" in await place.refused(f"cat {name}")
    await place.run("echo x > link; echo x > up")
    assert (tmp_path / "secret").read_text() == "hush"


async def test_what_is_axtuis_own_is_hidden(make_place: MakePlace, tmp_path: Path) -> None:
    own = tmp_path / "workspace" / "data"
    place = make_place((str(own), str(own / "log.db"), str(tmp_path / "workspace" / "runs.db")))
    own.mkdir()
    (own / "log.db").write_text("events")
    (place.workspace / "runs.db").write_text("events")
    assert await place.output("ls -A data") == ""
    for path in ("data/log.db", "runs.db"):
        await place.refused(f"cat {path} | grep events || echo x > {path}")
    (tmp_path / "alias").symlink_to(place.workspace)
    assert await place.output("ls -A data", workspace=str(tmp_path / "alias")) == ""
    assert (own / "log.db").read_text() == "events"
    assert (place.workspace / "runs.db").read_text() == "events"


async def test_what_is_axtuis_own_is_hidden_in_a_tool_chain_too(
    make_place: MakePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("opt/bin", "opt/lib", "opt/data/workspace"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "opt" / "data" / "log.db").write_text("events")
    (tmp_path / "opt" / "lib" / "library").write_text("to read")
    monkeypatch.setenv("PATH", f"{tmp_path}/opt/bin:{os.environ['PATH']}")
    own = tmp_path / "opt" / "data"
    place = make_place((str(own), str(own / "log.db")), sandbox="bubblewrap")
    assert await place.output(f"ls -A {own}; cat {own}/../lib/library") == "to read"
    assert await place.output(f"touch here; ls {own}", workspace=str(own / "workspace")) == (
        "workspace\n"
    )
    assert (own / "workspace" / "here").exists()


async def test_what_is_axtuis_own_is_hidden_in_the_system_too(make_place: MakePlace) -> None:
    assert await make_place(("/usr/share",)).output("ls -A /usr/share") == ""


async def test_what_is_hidden_cant_be_moved(make_place: MakePlace, tmp_path: Path) -> None:
    above = tmp_path / "workspace" / "var"
    place = make_place((str(above / "lib" / "axtui"), str(above / "runs.db")))
    (above / "lib" / "axtui").mkdir(parents=True)
    for file in (above / "lib" / "axtui" / "log.db", above / "runs.db"):
        file.write_text("events")
    for path in ("var", "var/lib", "var/lib/axtui", "var/runs.db"):
        assert "busy" in await place.refused(f"mv -T {path} {path}2")
    assert await place.output("grep -rs events . || echo nothing") == "nothing\n"
    assert await place.output("echo x > var/lib/file && ls var/lib") == "axtui\nfile\n"
    assert (above / "lib" / "file").read_text() == "x\n"


def test_only_what_holds_something_hidden_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for folder in ("data", "home/.local/axtui", "var/lib/axtui"):
        (tmp_path / folder).mkdir(parents=True)

    def held(*hidden: str) -> set[str]:
        view = View(str(tmp_path), hidden=[str(tmp_path / path) for path in hidden])
        said = Sandbox("bwrap").arguments(view)
        bound = {said[at + 1] for at, word in enumerate(said) if word == "--bind"}
        return {os.path.relpath(path, tmp_path) for path in bound} - {"."}

    assert held() == held("data") == held("missing/too/axtui") == set()
    assert held("var/lib/axtui", "data") == {"var", "var/lib"}
    monkeypatch.setenv("HOME", str(home))
    # What is there in the home folder isn't to be seen, whoever is in it.
    assert held("home/.local/axtui") == set()


async def test_what_is_readable_is_not_writable(make_place: MakePlace, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "file").write_text("to read")
    place = make_place(sandbox="bubblewrap", readable=(str(shared),))
    assert await place.output(f"cat {shared}/file") == "to read"
    await place.refused(f"echo x > {shared}/file")
    bare = make_place(sandbox="bubblewrap")
    assert await bare.output(f"cat {shared}/file", readable=[str(shared)]) == "to read"
    await bare.refused(f"cat {shared}/file")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no `unshare` here")
@pytest.mark.parametrize("flag", ["-U", "-Ur", "-m", "-p", "-n"])
async def test_no_namespaces_within(place: Place, flag: str) -> None:
    assert "Operation not permitted" in await place.refused(f"unshare {flag} true")


CALLS = {
    "ptrace": "ptrace(0, 0, 0, 0)",
    "mount": "mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    "umount2": "umount2(b'/tmp', 0)",
    "chroot": "chroot(b'/tmp')",
    "setns": "setns(0, 0)",
    "unshare": "unshare(0)",
    "process_vm_readv": "process_vm_readv(1, None, 0, None, 0, 0)",
    "clone a namespace": "syscall({'x86_64': 56, 'aarch64': 220}[machine], 0x10000011, 0, 0, 0, 0)",
    "io_uring": "syscall(425, 1, None)",
    "bpf": "syscall({'x86_64': 321, 'aarch64': 280}[machine], 0, 0, 0)",
    "keyctl": "syscall({'x86_64': 250, 'aarch64': 219}[machine], 0, 0, 0, 0, 0)",
    "perf_event_open": "syscall({'x86_64': 298, 'aarch64': 241}[machine], 0, 0, 0, 0, 0)",
}


@pytest.mark.skipif(
    os.uname().machine not in ("x86_64", "aarch64"), reason="there is no filter for this machine"
)
@pytest.mark.parametrize("call", CALLS)
async def test_calls_that_are_refused(place: Place, python: str, call: str) -> None:
    code = (
        "import ctypes, errno, os; machine = os.uname().machine\n"
        f"got = ctypes.CDLL(None, use_errno=True).{CALLS[call]}\n"
        "print(got, errno.errorcode.get(ctypes.get_errno()))\n"
    )
    (place.workspace / "call.py").write_text(code)
    assert await place.output(f"{python} call.py") == "-1 EPERM\n"


async def test_no_typing_into_a_terminal(place: Place, python: str) -> None:
    code = (
        "import fcntl, os, pty, termios\n"
        "os.setsid() if os.getpid() != os.getsid(0) else None\n"
        "_, terminal = pty.openpty()\n"
        "fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)\n"
        "fcntl.ioctl(terminal, termios.TIOCSTI, b'x')\n"
    )
    (place.workspace / "type.py").write_text(code)
    assert "Operation not permitted" in await place.refused(f"setsid -w {python} type.py")
    assert "No such device" in await place.refused("sh -c ': < /dev/tty'")


async def test_no_rights_are_left(place: Place) -> None:
    said = await place.output("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status")
    fields = dict(line.split(":\t") for line in said.splitlines())
    rights = {name: value for name, value in fields.items() if name.startswith("Cap")}
    assert set(rights.values()) == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


async def test_the_workspace_is_at_its_own_path(place: Place) -> None:
    assert await place.output("pwd; echo x > file") == f"{place.workspace}\n"
    assert (place.workspace / "file").read_text() == "x\n"


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/var/tmp"])
async def test_the_temporary_folders_are_the_commands_own(place: Place, folder: str) -> None:
    assert await place.output(f"touch {folder}/axtui-test; ls {folder}/axtui-test") != ""
    assert "axtui-test" not in os.listdir(folder)
    assert "No such file" in await place.refused(f"ls {folder}/axtui-test")


@pytest.mark.parametrize("workspace", ["/", "/usr", "/etc", "/dev"])
async def test_no_work_in_the_system(place: Place, workspace: str) -> None:
    from axtui.agent import ToolError

    with pytest.raises(ToolError, match="is a part of the system"):
        await place.run("true", workspace=workspace)


def test_a_tool_chain_on_the_path_can_be_used(
    tmp_path: Path, make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("chain/bin", "chain/lib", "home/.local/bin", "alone"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("chain/bin/tool", "home/.local/bin/own", "alone/single"):
        (tmp_path / name).write_text("#!/bin/sh\necho it works\n")
        (tmp_path / name).chmod(0o755)
    folders = [str(tmp_path / name) for name in ("chain/bin", "home/.local/bin", "alone")]
    monkeypatch.setenv("PATH", os.pathsep.join([*folders, os.environ["PATH"]]))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = make_place(sandbox="bubblewrap")
    said = asyncio.run(place.output("tool; single; own || true; ls -d ../chain/lib"))
    assert said.count("it works") == 2
    assert "own: not found" in said
    assert "../chain/lib" in said


def test_the_probe_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from axtui.runtime.actors import sandbox

    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: no such luck' >&2\nexit 1\n")
    fake.chmod(0o755)
    for binaries, said in (
        ([str(fake)], f"{fake}: no such luck"),
        ([str(tmp_path / "none")], "No such file"),
        ([], "there is no bwrap on the PATH"),
    ):
        monkeypatch.setattr(sandbox, "_binaries", lambda found=binaries: iter(found))
        reason = find_sandbox.__wrapped__()
        assert isinstance(reason, str)
        assert said in reason
