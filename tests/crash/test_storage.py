"""Disks that are full or can't be written, logs that are cut, flipped or gone: one clear line.

Everything goes through the command line; `Zygote.run` refuses a traceback by itself.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import (
    BARE,
    EFFECTS,
    IDEMPOTENT,
    SHELL,
    Ended,
    Job,
    Kill,
    Trial,
    Zygote,
    reference,
)

_MIB = 1024 * 1024
_READING = (("events", "conversation"), ("show", "conversation"), ("list",), ("verify",))
_RESUME = ("exec", "--conversation", "conversation", "--resume")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if (
        os.geteuid()
        or shutil.which("mount") is None
        or subprocess.run(mount, check=False).returncode
    ):
        pytest.skip("a file system of its own needs root, and leave to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _told(ended: Ended, code: str = "log") -> str:
    """The one error that a command ended with; that there is no sandbox may be said before."""
    *warnings, error = map(json.loads, ended.stderr.splitlines())
    assert [warning["code"] for warning in warnings] in ([], ["sandbox"]), ended.stderr
    assert error["kind"] == "error"
    assert error["code"] == code
    assert error["hint"]
    message: str = error["message"]
    return message


_LARGE = Job(
    "shell",
    "\n".join(
        f'printf "%s\\n" "$AXTUI_IDEMPOTENCY_KEY" >> {EFFECTS}; '
        f'head -c 9000 /dev/zero | tr "\\0" {n}'
        for n in range(10)
    ),
)


@pytest.mark.parametrize("free_kib", [0, 40, 120, 250, 350, 450])
def test_a_disk_that_fills_up(
    zygote: Zygote, tmp_path: Path, small_disk: Path, free_kib: int
) -> None:
    undisturbed = reference(zygote, tmp_path / "reference", _LARGE)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(_MIB - free_kib * 1024))
    trial = Trial(zygote, tmp_path / "trial", _LARGE)
    trial.data = small_disk / "data"
    ended = trial.command("exec", "--conversation", trial.name, *_LARGE.argv())
    assert ended.status == 1
    assert "no space is left" in _told(ended)
    trial.note(ended)
    if free_kib > 200:
        assert trial.acknowledged
    ballast.unlink()
    trial.observe()
    ended = trial.finish()
    assert ended.status == 0
    trial.check_outcome(undisturbed)


@pytest.mark.parametrize("what", ["rm -f", "sh -c 'cp $0 $0.new; mv $0.new $0'"])
def test_a_log_that_goes_away_in_mid_run(zygote: Zygote, tmp_path: Path, what: str) -> None:
    trial = Trial(zygote, tmp_path, SHELL, config=BARE)
    job = Job("shell", f"echo one\n{what} {trial.data}/log.db\necho two\necho three")
    ended = trial.command("exec", "--conversation", trial.name, *job.argv())
    assert ended.status == 1
    assert "log.db" in _told(ended)
    said = [line for line in ended.lines if line["kind"] == "step.completed"]
    assert [line["data"]["result"]["output"] for line in said] == ["one\n"]


def test_a_log_that_is_emptied_in_mid_run(zygote: Zygote, tmp_path: Path) -> None:
    trial = _finished(zygote, tmp_path)
    trial.config = BARE
    job = Job("shell", f"echo one\n: > {trial.data}/log.db\necho two\necho three")
    ended = trial.command("exec", "--conversation", "other", *job.argv())
    # SQLite doesn't look at pages that it has in memory; the writer has to look at the file.
    assert ended.status == 1
    _told(ended)
    verified = trial.command("verify")
    assert verified.status == 1
    assert verified.lines or _told(verified)


def _finished(zygote: Zygote, folder: Path) -> Trial:
    trial = Trial(zygote, folder, SHELL)
    assert trial.attempt().status == 0
    return trial


def _damage(path: Path, chance: random.Random) -> str:
    content = bytearray(path.read_bytes())
    sort = chance.choice(("flip", "flip", "cut", "zero", "swap"))
    at = chance.randrange(len(content))
    page = at // 4096 * 4096
    if sort == "flip":
        content[at] ^= 1 << chance.randrange(8)
    elif sort == "cut":
        del content[at:]
    elif sort == "zero":
        content[page : page + 4096] = bytes(len(content[page : page + 4096]))
    else:
        other = chance.randrange(len(content)) // 4096 * 4096
        content[page : page + 4096], content[other : other + 4096] = (
            content[other : other + 4096],
            content[page : page + 4096],
        )
    path.write_bytes(content)
    return f"{sort} at {at}"


@pytest.mark.parametrize("count", [25, pytest.param(500, marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_a_damaged_log_is_told(zygote: Zygote, tmp_path: Path, count: int) -> None:
    trial = _finished(zygote, tmp_path / "trial")
    log = trial.data / "log.db"
    good = log.read_bytes()
    found = 0
    for number in range(count):
        for left in trial.data.glob("log.db-*"):
            left.unlink()
        log.write_bytes(good)
        what = _damage(log, random.Random(number))
        found += _check_damaged(trial, f"{number}: {what}", unchanged=log.read_bytes() == good)
    assert found > count / 3


def _check_damaged(trial: Trial, what: str, *, unchanged: bool) -> bool:
    """Whether `verify` finds it; if not, nothing may be told that wasn't written."""
    ended = {argv: trial.command(*argv) for argv in (*_READING, _RESUME)}
    for argv, one in ended.items():
        assert one.status in (0, 1, 4), (what, argv, one)
        if argv[0] != "verify" and one.status:
            _told(one, "unknown" if one.status == 4 else "log")
    sound = not ended["verify",].status
    if sound:
        events = ended["events", "conversation"]
        assert (events.status, events.lines) == (0, trial.events), what
        assert not ended[_RESUME].status, what
    assert sound or not unchanged, what
    return not sound


def test_a_cut_write_ahead_log_keeps_a_sound_beginning(zygote: Zygote, tmp_path: Path) -> None:
    for number in range(6):
        chance = random.Random(number)
        trial = Trial(zygote, tmp_path / f"{number}", SHELL)
        trial.attempt(Kill("after", 12))
        wal = trial.data / "log.db-wal"
        content = bytearray(wal.read_bytes())
        at = chance.randrange(len(content))
        if number % 2:
            content[at] ^= 1
        else:
            del content[at:]
        wal.write_bytes(content)
        (trial.data / "log.db-shm").unlink(missing_ok=True)
        # Such a disk has lost what was acknowledged; what is left must yet be a log.
        again = Trial(zygote, trial.folder, SHELL)
        ended = again.command("events", again.name)
        assert ended.status in (0, 4), ended
        assert ended.lines == trial.events[: len(ended.lines)]
        if ended.lines:
            again.check_sound()


@pytest.fixture
def read_only(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Takes away the right to write to a folder; even root's."""

    def protect(folder: Path) -> None:
        if os.geteuid():
            folder.chmod(0o500)
            request.addfinalizer(lambda: folder.chmod(0o700))
            return
        mounted = subprocess.run(["mount", "--bind", folder, folder], check=False).returncode == 0
        if not mounted:
            pytest.skip("root can write everywhere, unless it may mount")
        request.addfinalizer(lambda: subprocess.run(["umount", "-l", folder], check=True))
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)

    return protect


def test_a_folder_that_cant_be_written(
    zygote: Zygote, tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    trial = _finished(zygote, tmp_path / "trial")
    read_only(trial.data)
    events = trial.command("events", trial.name)
    assert (events.status, events.lines) == (0, trial.events)
    trial.check_sound()
    for argv in (["exec", *SHELL.argv()], ["exec", "--conversation", trial.name, *SHELL.argv()]):
        ended = trial.command(*argv)
        assert ended.status == 1
        assert "can't be written" in _told(ended)
    assert trial.command("events", trial.name).lines == trial.events


def test_a_new_log_in_a_folder_that_cant_be_written(
    zygote: Zygote, tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    trial = Trial(zygote, tmp_path / "trial", IDEMPOTENT)
    trial.data.mkdir()
    read_only(trial.data)
    ended = trial.command("exec", *IDEMPOTENT.argv())
    assert ended.status == 1
    assert "can't be" in _told(ended)
    assert not trial.effects()
