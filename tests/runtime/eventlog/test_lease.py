"""One writer: whoever it is, however it dies, and whoever inherits from it."""

import asyncio
import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from axtui.runtime.eventlog import lease
from axtui.runtime.eventlog.base import LeaseHeld, LeaseLost, LogError
from axtui.runtime.eventlog.lease import Lease, holder, refuse_network
from axtui.runtime.eventlog.sqlite import SqliteLog

from .drafts import everything, faults, note, open_files, write

ROOT = Path(__file__).parents[3]
HOLD = """
import asyncio, sys
from pathlib import Path
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.model.events import Draft
from axtui.v1 import event_pb2 as pb

async def main():
    log = SqliteLog.open_to_write(Path(sys.argv[1]))
    conversation = await log.conversation("c", create=True)
    await conversation.append(Draft(pb.Note(text="held")))
    print("held", flush=True)
    sys.stdin.read()
    await log.close()

asyncio.run(main())
"""


class Script:
    """A Python script in a process of its own, that says "held" and ends with its input."""

    def __init__(self, script, *args):
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def line(self):
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


async def test_a_second_opener_in_the_same_process_is_refused(sqlite):
    log = sqlite.write()
    await write(log, "c", note())
    with pytest.raises(LeaseHeld, match=f"process {os.getpid()}, since 20") as refused:
        sqlite.write()
    assert refused.value.pid == os.getpid()
    assert "--data-dir" in refused.value.hint
    await write(log, "c", note())
    await log.close()
    assert holder(sqlite.path)[0] == 0
    sqlite.write()


async def test_one_in_another_process_is_refused_until_the_holder_is_killed(sqlite):
    with Script(HOLD, sqlite.path) as script:
        assert script.line() == "held"
        pid = script.process.pid
        assert holder(sqlite.path)[0] == pid
        with pytest.raises(LeaseHeld, match=f"process {pid}, since 20") as refused:
            sqlite.write()
        assert refused.value.pid == pid
        # Reading needs no lease.
        assert len(await everything(sqlite.read(), "c")) == 1
        script.process.kill()
        script.process.wait()
        log = sqlite.write()
        assert len(await everything(log, "c")) == 1


async def test_a_link_to_a_log_is_the_same_log(sqlite, folder):
    log = sqlite.write()
    await write(log, "c", note())
    (folder / "link.db").symlink_to(sqlite.path)
    (folder / "dir").symlink_to(sqlite.path.parent)
    for path in (folder / "link.db", folder / "dir" / "log.db"):
        with pytest.raises(LeaseHeld):
            SqliteLog.open_to_write(path)
        assert holder(path)[0] == os.getpid()
        reader = SqliteLog.open_to_read(path)
        assert len(await everything(reader, "c")) == 1
        await reader.close()


class TestInheritance:
    async def test_a_spawned_child_that_outlives_us_holds_nothing(self, sqlite):
        script = HOLD.replace(
            'print("held"',
            "import subprocess; child = subprocess.Popen(['sleep', '60'], close_fds=False);"
            ' print("held", child.pid',
        )
        self._outlived(sqlite, script)

    async def test_nor_does_a_forked_one(self, sqlite):
        script = HOLD.replace(
            'print("held"',
            "import os, time\n"
            "    child = os.fork()\n"
            "    if child == 0:\n"
            "        os.close(1)\n"
            "        time.sleep(60)\n"
            "        os._exit(0)\n"
            '    print("held", child',
        )
        self._outlived(sqlite, script)

    def _outlived(self, sqlite, script):
        with Script(script, sqlite.path) as parent:
            word, child = parent.line().split()
            assert word == "held"
            try:
                with pytest.raises(LeaseHeld):
                    sqlite.write()
                parent.process.kill()
                parent.process.wait()
                os.kill(int(child), 0)
                sqlite.write()
            finally:
                os.kill(int(child), signal.SIGKILL)

    async def test_a_forked_child_that_ends_leaves_the_lease_to_us(self, sqlite):
        script = HOLD.replace(
            'print("held"',
            'import os\n    if os.fork() == 0: os._exit(0)\n    os.wait()\n    print("held"',
        )
        with Script(script, sqlite.path) as parent:
            assert parent.line() == "held"
            with pytest.raises(LeaseHeld):
                sqlite.write()

    def test_the_descriptor_is_not_inheritable(self, folder):
        held = Lease.acquire(folder / "log.db")
        assert not os.get_inheritable(held._fd)
        held.release()
        held.release()


class TestFencing:
    async def test_a_writer_whose_lock_file_was_deleted_is_refused_by_the_store(self, sqlite):
        first = sqlite.write()
        await write(first, "c", note("first"))
        stale = await first.conversation("c")
        os.unlink(f"{sqlite.path}.lock")
        second = sqlite.write()
        await write(second, "c", note("second"))
        for _ in range(2):
            with pytest.raises(LeaseLost, match="taken over"):
                await write(first, "c", note("lost"))
        with pytest.raises(LeaseLost):
            await stale.append(note("lost"))
        with pytest.raises(LeaseLost):
            await write(first, "new", note("lost"))
        texts = [r.event().note.text for r in await everything(second, "c")]
        assert texts == ["first", "second"]
        assert await faults(second) == []

    @pytest.mark.parametrize("what", ["purge", "restore"])
    async def test_nor_can_it_purge_or_import(self, sqlite, what):
        first = sqlite.write()
        records = await write(first, "c", note("kept"))
        os.unlink(f"{sqlite.path}.lock")
        second = sqlite.write()
        with pytest.raises(LeaseLost):
            await (first.purge("c") if what == "purge" else first.restore("d", records, []))
        await first.close()
        assert await everything(second, "c") == records
        assert len(await second.conversations()) == 1
        await write(second, "c", note())

    async def test_those_that_wait_all_hear_of_it(self, sqlite):
        first = sqlite.write()
        conversations = [await first.conversation(f"c{n}", create=True) for n in range(3)]
        os.unlink(f"{sqlite.path}.lock")
        sqlite.write()
        commits = [c.append(note()) for c in conversations for _ in range(3)]
        for commit in commits:
            with pytest.raises(LeaseLost):
                await commit


RACE = """
import asyncio, os, sys
from pathlib import Path
from axtui.runtime.eventlog.base import LeaseHeld
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.model.events import Draft
from axtui.v1 import event_pb2 as pb

path, start, done = Path(sys.argv[1]), os.pipe(), os.pipe()

def say(line):
    # In one piece: fifty have the same pipe.
    os.write(1, f"{line}\\n".encode())

async def race():
    try:
        log = SqliteLog.open_to_write(path)
    except LeaseHeld as error:
        return f"held {error.pid}"
    conversation = await log.conversation("c", create=True)
    await conversation.append(Draft(pb.Note(text=str(os.getpid()))))
    # Held until all others have had their try.
    say(f"wrote {os.getpid()}")
    os.read(done[0], 1)
    await log.close()
    return ""

for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        os.close(start[1])
        os.close(done[1])
        os.read(start[0], 1)
        result = asyncio.run(race())
        if result:
            say(result)
        os._exit(0)
os.close(start[1])
sys.stdin.readline()
os.close(done[1])
for _ in range(int(sys.argv[2])):
    os.wait()
"""


async def test_of_fifty_that_race_exactly_one_writes(sqlite):
    with Script(RACE, sqlite.path, 50) as script:
        lines = [script.line() for _ in range(50)]
        writers = [line.split()[1] for line in lines if line.startswith("wrote")]
        assert len(writers) == 1
        # Those that came before it had written its name may not know it.
        assert {line.split()[1] for line in lines if line.startswith("held")} <= {writers[0], "0"}
        script.process.communicate("\n", timeout=10)
    log = sqlite.write()
    assert [r.event().note.text for r in await everything(log, "c")] == writers


def test_who_only_asks_for_the_holder_stands_in_nobodys_way(folder, monkeypatch):
    """Asking takes the lock for a moment: whoever opens then has to try again."""
    Lease.acquire(folder / "log.db").release()
    asking = os.open(f"{folder / 'log.db'}.lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    monkeypatch.setattr(lease.time, "sleep", lambda _: os.close(asking))
    Lease.acquire(folder / "log.db").release()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"pid": "x", "since": 0}', b"\xff", b"[" * 10**5],
    ids=["empty", "cut", "list", "object", "word", "binary", "deep"],
)
def test_a_lock_without_a_name_is_held_all_the_same(folder, content, monkeypatch):
    monkeypatch.setattr(lease, "_READ_TRIES", 2)
    held = Lease.acquire(folder / "log.db")
    Path(f"{folder / 'log.db'}.lock").write_bytes(content)
    with pytest.raises(LeaseHeld, match="another process") as refused:
        Lease.acquire(folder / "log.db")
    assert refused.value.pid == 0
    held.release()


@pytest.mark.parametrize("since", [1e300, -1e300, 10**400])
def test_a_start_outside_the_calendar_does_no_harm(folder, since, monkeypatch):
    monkeypatch.setattr(lease, "_READ_TRIES", 2)
    held = Lease.acquire(folder / "log.db")
    Path(f"{folder / 'log.db'}.lock").write_text(json.dumps({"pid": 7, "since": since}))
    with pytest.raises(LeaseHeld):
        Lease.acquire(folder / "log.db")
    held.release()


class TestFileSystems:
    @pytest.mark.parametrize(
        ("folder", "refused"),
        [
            ("/", ""),
            ("/srv", ""),
            ("/srv/nfs", "nfs4"),
            ("/srv/nfs/deep/er", "nfs4"),
            ("/srv/nfs-not", ""),
            ("/srv/nfs/local", ""),
            ("/srv/with blank/x", "cifs"),
            ("/srv/büro", "fuse.sshfs"),
        ],
    )
    def test_those_that_machines_share_are_refused(self, tmp_path, folder, refused):
        mounts = tmp_path / "mountinfo"
        mounts.write_bytes(
            b"22 1 8:1 / / rw - ext4 /dev/sda rw\n"
            b"30 22 0:40 / /srv/nfs rw,relatime shared:1 master:2 - nfs4 server:/x rw\n"
            b"31 22 8:2 / /srv/nfs/local rw - ext4 /dev/sdb rw\n"
            b"32 22 0:41 / /srv/with\\040blank rw - cifs //server/y rw\n"
            + "33 22 0:42 / /srv/büro rw - fuse.sshfs host: rw\n".encode()
            + b"34 22 0:43 / /srv/\xff rw - ext4 /dev/sdc rw\n\nnonsense\n"
        )
        if refused:
            with pytest.raises(LogError, match=rf"network file system \({re.escape(refused)}\)"):
                refuse_network(Path(folder), mounts)
        else:
            refuse_network(Path(folder), mounts)

    def test_without_a_list_of_mounts_the_lock_has_to_tell(self, tmp_path):
        refuse_network(tmp_path, tmp_path / "none")

    @pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
    async def test_those_that_cannot_lock_are_refused(self, sqlite, monkeypatch, number):
        def fail(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", fail)
        with pytest.raises(LogError, match="can't lock files"):
            sqlite.write()
        monkeypatch.undo()
        assert open_files(sqlite.path.parent) == []
        assert not sqlite.path.exists()
        sqlite.write()

    @pytest.mark.parametrize("call", ["ftruncate", "pwrite"])
    async def test_a_lock_whose_holder_cannot_be_written_is_let_go(self, sqlite, monkeypatch, call):
        def fail(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(LogError, match="no space"):
                sqlite.write()
        await asyncio.sleep(0)
        sqlite.write()
