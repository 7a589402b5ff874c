"""How commands are run and how they end, in a sandbox and without one."""

# ruff: noqa: ASYNC221, ASYNC240

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axtui.agent import ToolError
from axtui.runtime import config
from axtui.runtime.actors import cgroup, environment, sandbox
from axtui.runtime.actors.limits import counts_processes, is_superuser
from axtui.runtime.actors.sandbox import Sandbox, find_sandbox
from axtui.runtime.config import Limits

from .conftest import MARK, SECONDS, MakePlace, Place, wait_until_gone

BOTH = pytest.mark.parametrize("kind", ["bubblewrap", "none"])
MIB = 1024 * 1024


@pytest.fixture
def any_place(kind: str, make_place: MakePlace) -> Place:
    """A place in a sandbox, or without one."""
    return make_place(sandbox=kind)


@BOTH
async def test_how_it_ends(any_place: Place) -> None:
    assert await any_place.run("echo out; echo err >&2; exit 3") == {
        "exit_status": 3,
        "output": "out\nerr\n",
    }
    for command, status in (("kill -9 $$", 137), ("kill -15 $$", 143), ("nowhere", 127)):
        assert (await any_place.run(command))["exit_status"] == status
    assert await any_place.output("cat; test ! -t 0") == ""


@BOTH
async def test_what_is_said_is_shown_as_it_comes(any_place: Place) -> None:
    shown: list[str] = []
    heard = asyncio.Event()

    def show(text: str) -> None:
        shown.append(text)
        heard.set()

    command = "printf 'f\\303'; printf '\\274r\\n'; until test -e go; do sleep 0.01; done; echo end"
    running = asyncio.ensure_future(any_place.output(command, on_output=show))
    async with asyncio.timeout(SECONDS):
        while "für" not in "".join(shown):
            heard.clear()
            await heard.wait()
    (any_place.workspace / "go").touch()
    assert await running == "für\nend\n" == "".join(shown)


@BOTH
async def test_of_long_output_both_ends_are_kept(kind: str, make_place: MakePlace) -> None:
    place = make_place(sandbox=kind, limits=Limits(output=1001, time=SECONDS))
    for extra in (0, 1, 1000):
        number = 1001 + extra
        shown: list[str] = []
        command = f"head -c {number} /dev/zero | tr '\\0' '\\n'"
        done = await place.run(command, on_output=shown.append)
        assert "".join(shown) == "\n" * 1001
        assert done.get("dropped_bytes", 0) == extra
        note = f"\n[… {extra:,} bytes are left out …]\n"
        assert done["output"] == ("\n" * 500 + note + "\n" * 501 if extra else "\n" * 1001)


async def test_a_cut_goes_through_no_word(make_place: MakePlace) -> None:
    """It may be a secret, which nobody knows by a part of it."""
    place = make_place(sandbox="none", limits=Limits(output=1000, time=SECONDS))
    word = "printf %600s | tr ' ' s"
    shown: list[str] = []
    command = f"echo begin; {word}; printf ' middle '; {word}; echo ' end'"
    done = await place.run(command, on_output=shown.append)
    assert "".join(shown) == f"begin\n{'s' * 600} middle "
    assert done["output"] == "begin\n\n[… 1,208 bytes are left out …]\n end\n"
    assert done["dropped_bytes"] == 1208


async def test_nothing_is_shown_of_what_is_left_out(make_place: MakePlace) -> None:
    place = make_place(sandbox="none", limits=Limits(output=1000, time=SECONDS))
    shown: list[str] = []
    await place.run(f"echo begin; head -c {4 * MIB} /dev/zero | tr '\\0' x", on_output=shown.append)
    assert shown == ["begin\n"]


async def test_a_cut_goes_through_no_character(make_place: MakePlace) -> None:
    place = make_place(sandbox="none", limits=Limits(output=60_001, time=SECONDS))
    done = await place.run("printf x; printf %90000s | sed 's/ /ü/g'")
    begun, _, ended = done["output"].split("\n")
    # No secret is longer than what is left out at either end.
    assert begun == "x" + "ü" * 5_000
    assert ended == "ü" * 5_001


def peak_growth(before: int) -> int:
    """How many bytes of memory were taken at the most since they were `before`.

    From 0 it begins to count: what was taken earlier is forgotten.
    """
    if not before:
        Path("/proc/self/clear_refs").write_text("5")
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024 - before


@BOTH
@pytest.mark.parametrize("mib", [256, pytest.param(1024, marks=pytest.mark.long)])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak of memory")
async def test_a_flood_takes_no_memory(any_place: Place, mib: int) -> None:
    await any_place.output("echo warm")
    before = peak_growth(0)
    done = await any_place.run(f"head -c {mib * MIB} /dev/zero")
    assert done["exit_status"] == 0
    assert done["dropped_bytes"] >= mib * MIB - Limits().output
    assert peak_growth(before) < 64 * MIB


# The deaf may say that they can't fork any more.
BEHIND = {
    "in the background": "sleep 86399 & sleep 86399 >/dev/null 2>&1 &",
    "deaf": "(trap '' TERM HUP INT; while :; do sleep 0.05; done) 2>/dev/null &",
    "stopped": "sh -c 'kill -STOP $$; sleep 86399' &",
    "a session of its own": "setsid sleep 86399 &",
    "forked twice": "(setsid sh -c 'sleep 86399 & sleep 86399' >/dev/null 2>&1 &)",
    "stopped, in a session of its own": "setsid sh -c 'kill -STOP $$; sleep 86399' &",
    "deaf, in a session of its own": (
        "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' 2>/dev/null &"
    ),
}


@BOTH
@pytest.mark.parametrize("how", BEHIND)
async def test_what_is_left_behind_ends_with_the_command(any_place: Place, how: str) -> None:
    assert await any_place.output(f"{BEHIND[how]}\necho done") == "done\n"
    assert any_place.left() == []


ENDLESS = [*BEHIND.values(), "kill -STOP $$", "trap '' TERM; while :; do sleep 0.05; done"]


@BOTH
@pytest.mark.parametrize("command", ENDLESS)
async def test_the_time_is_limited(kind: str, command: str, make_place: MakePlace) -> None:
    place = make_place(sandbox=kind, limits=Limits(time=0.3))
    done = await place.run(f"echo begun; {command}\nsleep 86399")
    assert done["timed_out"] is True
    assert done["exit_status"] == 137 or kind == "none"
    assert "begun" in done["output"]
    wait_until_gone(place.mark)


@BOTH
async def test_a_call_can_be_shorter_than_the_limit_not_longer(
    kind: str, make_place: MakePlace
) -> None:
    place = make_place(sandbox=kind, limits=Limits(time=0.3))
    assert "timed_out" in await place.run("sleep 86399", timeout=86400)
    place = make_place(sandbox=kind)
    assert "timed_out" in await place.run("sleep 86399", timeout=0.3)


@BOTH
@pytest.mark.parametrize("command", [*BEHIND.values(), "kill -STOP $$"])
async def test_a_cancel_ends_all(any_place: Place, command: str) -> None:
    await canceled(any_place, f"echo; {command}\nsleep 86399")
    wait_until_gone(any_place.mark)


async def canceled(place: Place, command: str, times: int = 1) -> None:
    """Run a command until it says something, then cancel it, more than once if need be."""
    begun = asyncio.Event()
    running = asyncio.ensure_future(place.run(command, on_output=lambda _: begun.set()))
    async with asyncio.timeout(SECONDS):
        await begun.wait()
    for _ in range(times):
        running.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({running})
    assert running.cancelled()


async def test_a_command_is_asked_to_end_before_it_is_killed(make_place: MakePlace) -> None:
    place = make_place(sandbox="none")
    command = "trap 'touch tidied; exit' TERM; echo; while :; do sleep 0.01; done"
    await canceled(place, command)
    assert (place.workspace / "tidied").exists()


async def test_a_cancel_that_is_repeated_leaves_nothing_behind(make_place: MakePlace) -> None:
    place = make_place(sandbox="none")
    await canceled(place, f"{BEHIND['deaf, in a session of its own']} echo; sleep 86399", times=50)
    wait_until_gone(place.mark)


@BOTH
@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancel_at_any_moment_leaves_nothing(any_place: Place, times: int) -> None:
    await any_place.output("echo warm")
    for turns in range(40):
        running = asyncio.ensure_future(any_place.run("sleep 86399"))
        for _ in range(turns):
            await asyncio.sleep(0)
        for _ in range(times):
            running.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({running})
        assert running.cancelled()
    wait_until_gone(any_place.mark)


@BOTH
async def test_no_descriptors_are_left(any_place: Place) -> None:
    await any_place.output("echo warm")
    # What was closed is let go of at the loop's next turn.
    await asyncio.sleep(0)
    before = os.listdir("/dev/fd")
    for command in ("echo x", "exit 3", "sleep 86399 &"):
        await any_place.run(command)
    with pytest.raises(ToolError):
        await any_place.run("true", workspace="/nowhere")
    with pytest.raises(ToolError):
        await any_place.run("x" * 10_000_000)
    await asyncio.sleep(0)
    assert os.listdir("/dev/fd") == before


CONTROLLER = """
import asyncio, os, sys
from axtui.runtime import config
from axtui.runtime.actors.environment import Environment

async def main():
    environment = Environment(config.Environment(sandbox=sys.argv[1]))
    await environment.run("true", workspace=sys.argv[2])
    os.write(1, b"ready")
    await environment.run(
        sys.argv[3], workspace=sys.argv[2], variables={sys.argv[4]: sys.argv[5]},
        on_output=lambda text: os.write(1, b"begun"),
    )

asyncio.run(main())
"""


def started_controller(place: Place, kind: str, command: str) -> subprocess.Popen[bytes]:
    """Another process, which is about to run a command."""
    arguments = [kind, str(place.workspace), command, MARK, place.mark]
    controller = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, *arguments], stdout=subprocess.PIPE, bufsize=0
    )
    assert controller.stdout is not None
    assert controller.stdout.read(5) == b"ready"
    return controller


def killed_controller(place: Place, kind: str, command: str, after: float) -> None:
    """Have another process run a command and kill it, `after` seconds after it has begun or, if
    that is negative, so many after it has been asked to."""
    with started_controller(place, kind, command) as controller:
        assert controller.stdout is not None
        if after >= 0:
            assert controller.stdout.read(5) == b"begun"
        time.sleep(abs(after))
        controller.send_signal(signal.SIGKILL)
    wait_until_gone(place.mark)


@BOTH
@pytest.mark.parametrize("command", [*BEHIND.values(), "kill -STOP $$"])
def test_a_killed_controller_takes_its_command_along(
    any_place: Place, kind: str, command: str
) -> None:
    killed_controller(any_place, kind, f"echo; {command}\nsleep 86399", 0)


@BOTH
def test_a_controller_that_is_killed_while_a_command_starts(any_place: Place, kind: str) -> None:
    for milliseconds in range(1, 26, 4):
        killed_controller(any_place, kind, "sleep 86399", -milliseconds / 1000)


# Bubblewrap, whose first process makes its second and lets it begin only once it is told to; what
# can't be had together with that is left out.
HALF_BEGUN = """#!/bin/sh
for last; do :; done
case $last in *86399*) ;; *) exec {bubblewrap} "$@";; esac
for option; do
  shift
  case $option in *-userns*) ;; *) set -- "$@" "$option";; esac
done
exec {bubblewrap} --info-fd 8 --userns-block-fd 9 "$@" 8>/dev/null 9<{begin}
"""


def test_a_sandbox_that_has_half_begun_goes_with_its_controller(
    sandbox: None, make_place: MakePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bubblewrap = find_sandbox()
    assert isinstance(bubblewrap, Sandbox)
    begin = tmp_path / "begin"
    os.mkfifo(begin)
    script = HALF_BEGUN.format(bubblewrap=bubblewrap.binary, begin=begin)
    (tmp_path / "bwrap").write_text(script)
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    place = make_place(sandbox="bubblewrap")
    told = os.open(begin, os.O_RDWR)
    with started_controller(place, "bubblewrap", "sleep 86399") as controller:
        while sum("--userns-block-fd" in line for line in place.left()) < 2:
            time.sleep(0.01)
        controller.kill()
    os.close(told)
    wait_until_gone(place.mark)


def test_a_command_that_kills_all_it_sees_goes_with_its_controller(
    sandbox: None, make_place: MakePlace
) -> None:
    # Elsewhere than in a sandbox, that would be all there is.
    command = "[ $$ -lt 20 ] && kill -s KILL -- -1; echo; while :; do sleep 86399; done"
    killed_controller(make_place(sandbox="bubblewrap"), "bubblewrap", command, 0)


BOMB = "b() { b | b & }; b"


@pytest.fixture
def counted(sandbox: None) -> None:
    """Skips where the kernel doesn't limit the processes of a sandbox."""
    if is_superuser():
        try:
            asyncio.run(cgroup.ControlGroup.make(10, MIB).close())
        except OSError as error:
            pytest.skip(f"root's processes can't be limited here: {error}")
    elif not counts_processes():
        pytest.skip("this kernel counts the processes of a sandbox with all others of a user")


@pytest.mark.usefixtures("counted")
async def test_processes_are_limited(make_place: MakePlace) -> None:
    place = make_place(sandbox="bubblewrap", limits=Limits(processes=40, time=SECONDS))
    said = await place.refused("for i in $(seq 100); do sleep 86399 & done")
    assert "fork" in said.lower()
    assert place.left() == []


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("end", ["", "\nsleep 86399", "\nwait"])
async def test_a_fork_bomb_is_over_when_its_command_is(make_place: MakePlace, end: str) -> None:
    place = make_place(sandbox="bubblewrap", limits=Limits(processes=40, time=1))
    await place.run(BOMB + end)
    assert place.left() == []


async def test_other_limits(make_place: MakePlace, python: str) -> None:
    limits = Limits(memory=256 * MIB, file_size=MIB, time=SECONDS)
    place = make_place(sandbox="bubblewrap", limits=limits)
    await place.refused("head -c 2000000 /dev/zero > file")
    assert (place.workspace / "file").stat().st_size == MIB
    said = await place.refused(f'{python} -c "bytearray(512 * 1024 * 1024)"')
    assert "MemoryError" in said
    await place.refused(f'{python} -c "import os; [os.dup(0) for _ in range(5000)]"')
    assert "524288" in await place.output("df -k /tmp")


async def test_a_workspace_that_is_none(make_place: MakePlace) -> None:
    place = make_place(sandbox="none")
    (place.workspace / "file").touch()
    for name in ("file", "missing"):
        with pytest.raises(ToolError, match="there is no such folder"):
            await place.run("true", workspace=str(place.workspace / name))


@BOTH
@pytest.mark.parametrize("command", ["a\0b", "x" * 10_000_000])
async def test_commands_that_cant_be_started(any_place: Place, command: str) -> None:
    with pytest.raises(ToolError, match="can't start a command in"):
        await any_place.run(command)


async def test_a_sandbox_that_fails_to_come_about(place: Place, tmp_path: Path) -> None:
    (place.workspace / "file").touch()
    with pytest.raises(ToolError, match=r"can't start a command in .*bwrap: "):
        await place.run(
            "true", readable=[str(tmp_path / "workspace" / "file" / "x"), "/dev/null/x"]
        )


async def test_a_sandbox_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "find_sandbox", lambda: "no luck")
    wanted = environment.Environment(config.Environment(sandbox="bubblewrap"))
    with pytest.raises(ToolError, match="there is no sandbox to run commands in: no luck"):
        await wanted.run("true", workspace=str(tmp_path))


@pytest.mark.parametrize("kind", ["auto", "none"])
async def test_without_a_sandbox(
    kind: str, make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_sandbox", lambda: "no luck")
    place = make_place(sandbox=kind)
    monkeypatch.setenv("API_KEY", "hush")
    assert "hush" not in await place.output("env")
    warning = place.environment.take_warning()
    assert ("WITHOUT A SANDBOX: no luck" if kind == "auto" else "as the configuration") in warning
    await place.output("true")
    assert place.environment.take_warning() == ""


async def test_root_is_told_that_nothing_limits_processes(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "is_superuser", lambda: True)
    monkeypatch.setattr(cgroup, "ROOT", tmp_path / "none")
    await place.output("true")
    assert "nothing limits how many processes" in place.environment.take_warning()
    assert place.environment.take_warning() == ""


async def test_control_groups_of_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    stale = tmp_path / "axtui-99999999-1"
    stale.mkdir()
    group = cgroup.ControlGroup.make(40, MIB)
    (made,) = [path for path in tmp_path.glob("axtui-*") if path != stale]
    assert (made / "pids.max").read_text() == "40"
    assert (made / "memory.max").read_text() == str(MIB)
    done = subprocess.run(
        ["/bin/sh", "-c", f"{group.entering()} echo in"], capture_output=True, text=True
    )
    assert done.stdout == "in\n"
    assert int((made / "cgroup.procs").read_text()) > 0
    (made / "cgroup.procs").write_text("")
    group.kill()
    assert (made / "pids.max").read_text() == "0"
    for file in made.iterdir():
        file.unlink()
    await group.close()
    cgroup.remove_stale()
    assert list(tmp_path.glob("axtui-*")) == []


def test_no_control_group_is_left(sandbox: None, make_place: MakePlace) -> None:
    if not is_superuser():
        pytest.skip("control groups are for root")
    place = make_place(sandbox="bubblewrap")
    asyncio.run(place.output("sleep 86399 & true"))
    own = f"axtui-{os.getpid()}-*"
    left = [path for parent, _ in cgroup._hierarchies() for path in parent.glob(own)]
    assert left == []


def test_what_the_home_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for home, seen in ((str(tmp_path), str(tmp_path)), ("/", "/tmp"), ("/nowhere", "/tmp")):
        monkeypatch.setenv("HOME", home)
        assert sandbox.home_folder() == seen
