"""Disks that are full, files that are damaged, not ours, or gone: told in a word, and harmless."""

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from axtui.model.events import Draft
from axtui.runtime.eventlog import schema
from axtui.runtime.eventlog.base import LogDamaged, LogError, LogFailed
from axtui.runtime.eventlog.blocks import settle
from axtui.runtime.eventlog.schema import APPLICATION_ID, MIGRATIONS, connect, explain, migrate
from axtui.runtime.eventlog.sqlite import SqliteLog, make_folder
from axtui.v1 import event_pb2 as pb
from tests.meddling import make_old, unsettle

from .conftest import SqliteStore
from .drafts import (
    BIG,
    Cut,
    done,
    everything,
    faults,
    fork,
    note,
    open_files,
    said,
    started,
    step,
    write,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def old(sqlite):
    """The store of an earlier version."""
    make_old(sqlite.path)
    return sqlite


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of one MiB."""
    point = tmp_path / "disk"
    point.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", point], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("a file system can't be mounted here: that takes root")
    yield point
    subprocess.run(["umount", "-l", point], check=True)


def remount(point, how):
    subprocess.run(["mount", "-o", f"remount,{how}", point], check=True)


def fill(path):
    """Write until no byte more is taken."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 1024):
            pass


def content(path):
    """What is in a file that SQLite has open here: closing it by hand would drop the locks."""
    return subprocess.run(["cat", path], capture_output=True, check=True).stdout


def one_line(error):
    """Whether an error says what it says in one line."""
    return "\n" not in str(error.value)


class TestFullDisk:
    async def test_what_was_acknowledged_is_kept_and_it_opens_again(self, small_disk):
        store = SqliteStore(small_disk / "log.db")
        log = store.write()
        conversation = await log.conversation("c", create=True)
        acknowledged = []

        async def write_on():
            while True:
                commit = conversation.append(note("x" * 5000))
                await commit
                acknowledged.extend(commit.records)

        with pytest.raises(LogFailed, match="no space is left") as failed:
            await write_on()
        assert one_line(failed)
        assert "acknowledged" in failed.value.hint
        assert acknowledged
        # It stays so, even if there is space: what came between is unknown.
        remount(small_disk, "size=8m")
        with pytest.raises(LogFailed, match="no space is left"):
            conversation.append(note())
        assert await everything(log, "c") == acknowledged
        await store.close()
        log = store.write()
        assert await everything(log, "c") == acknowledged
        assert await faults(log) == []
        await write(log, "c", note("on"))
        await store.close()

    async def test_opening_tells(self, small_disk):
        store = SqliteStore(small_disk / "log.db")
        await write(store.write(), "c", note())
        await store.close()
        filler = small_disk / "filler"
        fill(filler)
        with pytest.raises(LogError, match="no space is left") as failed:
            store.write()
        assert one_line(failed)
        assert open_files(small_disk) == []
        with pytest.raises(LogError, match="no space is left"):
            SqliteStore(small_disk / "new" / "log.db").write()
        filler.unlink()
        log = store.write()
        assert len(await everything(log, "c")) == 1
        await store.close()

    async def test_a_purge_that_fails_changes_nothing(self, sqlite, monkeypatch):
        log = sqlite.write()
        conversation = await log.conversation("c", create=True)
        await conversation.append(note())

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("axtui.runtime.eventlog.purge.purge", fail)
        with pytest.raises(LogError, match="no space"):
            await log.purge("c")
        monkeypatch.undo()
        assert await log.conversation("c") is conversation
        await conversation.append(note())
        assert len(await everything(log, "c")) == 2

    async def test_whatever_goes_wrong_in_the_writer_is_told(self, sqlite, monkeypatch):
        log = sqlite.write()
        await write(log, "c", note())

        def fail(*_):
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr("axtui.runtime.eventlog.writer._write", fail)
        with pytest.raises(LogFailed, match="a bug"):
            await asyncio.wait_for(write(log, "c", note()), 5)
        await asyncio.wait_for(log.close(), 5)


class TestReadOnly:
    async def test_a_disk_that_cannot_be_written(self, small_disk):
        store = SqliteStore(small_disk / "log.db")
        await write(store.write(), "c", note())
        await store.close()
        remount(small_disk, "ro")
        with pytest.raises(LogError, match="can't be written") as failed:
            store.write()
        assert one_line(failed)
        assert open_files(small_disk) == []
        with pytest.raises(LogError, match="can't be written"):
            SqliteStore(small_disk / "new" / "log.db").write()
        reader = store.read()
        assert len(await everything(reader, "c")) == 1
        assert await faults(reader) == []
        await store.close()

    async def test_a_log_of_a_dead_writer_there(self, small_disk):
        """With its write-ahead log beside it, which can't be folded in."""
        store = SqliteStore(small_disk / "log.db")
        log = store.write()
        await write(log, "c", note())
        copy = SqliteStore(small_disk / "copy" / "log.db")
        copy.path.parent.mkdir()
        for end in ("", "-wal", "-shm"):
            copied = copy.path.with_name(f"log.db{end}")
            copied.write_bytes(content(f"{store.path}{end}"))
        await store.close()
        remount(small_disk, "ro")
        assert len(await everything(copy.read(), "c")) == 1
        await copy.close()

    async def test_a_folder_of_somebody_else(self, sqlite):
        await write(sqlite.write(), "c", note())
        await sqlite.close()
        if os.geteuid():
            pytest.skip("acting as somebody else takes root")
        script = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from axtui.runtime.eventlog.base import LogError
from axtui.runtime.eventlog.sqlite import SqliteLog
async def main(path):
    # Imported already: he may not read our checkout, nor Python where it is under our home.
    path.as_uri()
    await (await asyncio.to_thread(lambda: asyncio.sleep(0)))
    os.setgid(65534)
    os.setuid(65534)
    for opening in (SqliteLog.open_to_write, SqliteLog.open_to_read):
        try:
            log = opening(path)
            print(len(await log.read("c")))
            await log.close()
        except LogError as error:
            print(type(error).__name__, error)
asyncio.run(main(Path(sys.argv[2])))
"""

        def ask():
            result = subprocess.run(
                [sys.executable, "-c", script, ROOT, sqlite.path], capture_output=True, text=True
            )
            assert not result.stderr
            return result.stdout.splitlines()

        os.chmod(sqlite.path.parent.parent, 0o755)
        os.chmod(sqlite.path.parent, 0o700)
        written, read = ask()
        assert "can't be" in written
        assert "can't be" in read
        os.chmod(sqlite.path.parent, 0o755)
        os.chmod(sqlite.path, 0o644)
        written, read = ask()
        assert "can't be" in written
        assert read == "1"

    async def test_the_files_are_for_their_owner_alone(self, sqlite):
        log = sqlite.write()
        await write(log, "c", note())
        for end in ("", "-wal", "-shm", ".lock"):
            assert os.stat(f"{sqlite.path}{end}").st_mode & 0o777 == 0o600
        assert sqlite.path.parent.stat().st_mode & 0o777 == 0o700

    def test_a_folder_that_is_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match="file"):
            make_folder(tmp_path / "file" / "deep")

    async def test_a_log_below_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        for opening in (SqliteLog.open_to_write, SqliteLog.open_to_read):
            with pytest.raises(LogError) as failed:
                opening(tmp_path / "file" / "log.db")
            assert one_line(failed)

    async def test_a_folder_in_the_place_of_a_log(self, tmp_path):
        for opening in (SqliteLog.open_to_write, SqliteLog.open_to_read):
            with pytest.raises(LogError, match=r"can't be|no log") as failed:
                opening(tmp_path)
            assert one_line(failed)
        assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


async def _fill(log):
    await write(log, "a", started(), said("hello"), note("x", request_id="r"))
    for number in range(8):
        await write(log, "a", step(str(number)), done(str(number)))
    await write(log, "b", note("one"), note("two " * 500))
    conversation = await log.conversation("b")
    big = pb.StepCompleted(key="1", result=conversation.data(BIG[:17_000]))
    await write(log, "b", Draft(big))
    await fork(log, "a", 7, "f", note())


async def _all_of(log):
    """Whatever can be asked of the log."""
    listed = await log.conversations(deleted=True)
    found = [sorted((c.summary, c.seq, c.updated_us) for c in listed)]
    for name in ("a", "b", "f"):
        records = await everything(log, name)
        found += [records, await log.head(name)]
        state = await log.state(name)
        found.append(state.SerializeToString(deterministic=True))
        found.append(await log.state(name, 3))
    found.append(await log.request_seq("a", "r"))
    found.append(await log.read("a", step="3"))
    found.append(await log.blob(sha256(BIG[:17_000].encode()).digest()))
    return found


class TestDamage:
    @pytest.fixture(params=["settled", "in the write-ahead log"])
    async def written(self, request, folder, monkeypatch):
        """The files of a log, and all that it says; keyframes too."""
        monkeypatch.setattr("axtui.runtime.eventlog.conversation.KEYFRAME_EVERY", 6)
        monkeypatch.setattr("axtui.runtime.verify._PAGE", 5)
        store = SqliteStore(folder / "source" / "log.db")
        await _fill(store.write())
        if request.param == "settled":
            await store.close()
            await store.write().close()
        files = {}
        for end in ("", "-wal"):
            if f"log.db{end}" in os.listdir(store.path.parent):
                files[end] = content(f"{store.path}{end}")
        said_ = await _all_of(store.read())
        await store.close()
        return files, said_

    def _copy(self, folder, files, number):
        path = folder / f"copy{number}.db"
        for end, data in files.items():
            Path(f"{path}{end}").write_bytes(data)
        return path

    async def test_a_flipped_bit_is_found_or_does_no_harm(self, written, folder):
        files, said_before = written
        dice = random.Random(20240607)
        found, words = 0, []
        for number in range(120):
            damaged = {end: bytearray(data) for end, data in files.items()}
            end = dice.choice(sorted(files, key=lambda e: len(files[e]))[-1:] + sorted(files))
            for _ in range(dice.choice([1, 1, 3])):
                # Half of them where the file begins: its header and schema.
                size = len(damaged[end])
                place = dice.randrange(min(size, 8192) if dice.random() < 0.3 else size)
                damaged[end][place] ^= 1 << dice.randrange(8)
            path = self._copy(folder, damaged, number)
            log = None
            try:
                log = (SqliteLog.open_to_write if number % 3 else SqliteLog.open_to_read)(path)
                if await faults(log):
                    found += 1
                else:
                    before = said_before
                    now = await _all_of(log)
                    # A torn tail of the write-ahead log is a crash, not damage: what follows the
                    # flip was never there.
                    assert now == before or end == "-wal"
                await _ask_all(log)
            except LogError as error:
                found += 1
                words.append(str(error))
            finally:
                if log is not None:
                    await log.close()
                for file in folder.glob("copy*"):
                    file.unlink()
        assert found > 10
        assert not any("\n" in word for word in words)

    async def test_a_cut_file_is_found_or_does_no_harm(self, written, folder):
        files, said_before = written
        for number, part in enumerate(
            [0, 1, 50, 100, 1000, 4095, 4096, 5000, 9000, 20_000, -4096, -1]
        ):
            path = self._copy(folder, {"": files[""][:part]}, number)
            log = None
            before = path.read_bytes()
            try:
                log = SqliteLog.open_to_read(path)
                assert await faults(log) or await _all_of(log) == said_before
            except LogError:
                pass
            finally:
                if log is not None:
                    await log.close()
            assert path.read_bytes() == before

    async def test_rows_of_other_types_are_damage(self, written, folder):
        """As a flipped byte in a record's header makes them."""
        files, _ = written
        for number, (what, change) in enumerate(
            [
                ("fresh", "envelope = 'text'"),
                ("fresh", "payload = 5"),
                ("fresh", "kind = NULL"),
                ("fresh", "kind = x'ff'"),
                ("fresh", "kind = CAST(x'ff' AS TEXT)"),
                ("fresh", "seq = 'x'"),
                ("fresh", "number = NULL"),
                ("blocks", "records = 'text'"),
                ("blocks", "first = 'x'"),
                ("blocks", "last = NULL"),
                ("blocks", "last = 9223372036854775807"),
                ("blocks", "kinds = 5"),
                ("blocks", "kinds = ',note,'"),
                ("requests", "seq = 'x'"),
                ("heads", "seq = 'x'"),
                ("heads", "hash = 'x'"),
                ("heads", "updated_us = NULL"),
                ("conversations", "title = 5"),
                ("conversations", "parent = 'x'"),
                ("conversations", "created_us = 1.5"),
                ("conversations", "parent_end = 'x'"),
                ("keyframes", "state = 'x'"),
                ("blobs", "data = 'x'"),
                ("lease", "epoch = 'x'"),
                ("lease", "epoch = 9223372036854775807"),
            ]
        ):
            path = self._copy(folder, files, number)
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                if what == "blocks":
                    settle(connection)
                elif what == "fresh":
                    unsettle(connection)
                connection.execute("PRAGMA writable_schema = ON")
                connection.execute(
                    "UPDATE sqlite_schema SET sql = replace(replace(replace(sql,"
                    " ') STRICT, ', ') '), ') STRICT', ')'), ' NOT NULL', '') WHERE type = 'table'"
                )
                connection.execute("PRAGMA writable_schema = RESET")
                connection.execute(f"UPDATE {what} SET {change}")
            for opening in (SqliteLog.open_to_read, SqliteLog.open_to_write):
                log = None
                bad = 0
                try:
                    log = opening(path)
                    bad = len(await faults(log)) + await _ask_all(log)
                except LogError:
                    bad = 1
                finally:
                    if log is not None:
                        await log.close()
                if what != "lease":
                    assert bad, (what, change)

    async def test_a_lease_without_its_row(self, sqlite):
        await write(sqlite.write(), "c", note())
        await sqlite.close()
        with closing(sqlite3.connect(sqlite.path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM lease")
        with pytest.raises(LogDamaged, match="lease"):
            sqlite.write()
        assert open_files(sqlite.path.parent) == []


async def _ask_all(log):
    """Ask everything, one by one; how often the answer was that something is damaged."""
    bad = 0
    for name in ("a", "b", "f", "none"):
        for asking in (
            log.find(name),
            log.conversations(),
            log.read(name),
            log.read(name, kinds=["message"]),
            log.read(name, newest_first=True),
            log.state(name),
            log.state(name, 2),
            log.head(name),
            log.request_seq(name, "r"),
            log.blob(bytes(32)),
            log.faults(),
        ):
            try:
                await asking
            except LogError as error:
                bad += isinstance(error, LogDamaged) and name != "none"
    return bad - 3


def _foreign(path, *script):
    with closing(sqlite3.connect(path)) as connection:
        for statement in script:
            connection.execute(statement)
        connection.commit()


AX = "CREATE TABLE conversation_log (conversation_id TEXT, seq INTEGER, data BLOB)"


class TestForeignFiles:
    @pytest.mark.parametrize(
        ("make", "word"),
        [
            (lambda path: _foreign(path, "CREATE TABLE t (x)"), "another program"),
            (lambda path: _foreign(path, "PRAGMA application_id = 7"), "another program"),
            (
                lambda path: _foreign(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)"),
                "another program",
            ),
            (lambda path: _foreign(path, AX), "AX"),
            (lambda path: path.write_text("Dear diary\n" * 500), "isn't a SQLite file"),
            (lambda path: path.write_bytes(b"\0" * 5000), "isn't a SQLite file"),
            (
                lambda path: _foreign(
                    path,
                    f"PRAGMA application_id = {APPLICATION_ID}",
                    f"PRAGMA user_version = {len(MIGRATIONS) + 1}",
                    "CREATE TABLE t (x)",
                ),
                "later axtui",
            ),
            (
                lambda path: _foreign(
                    path,
                    f"PRAGMA application_id = {APPLICATION_ID}",
                    "PRAGMA user_version = -1",
                ),
                "damaged",
            ),
        ],
        ids=["program", "id", "wal", "AX", "text", "zeros", "later", "negative"],
    )
    async def test_is_refused_and_left_as_it_is(self, folder, make, word):
        path = folder / "log.db"
        make(path)
        os.chmod(path, 0o640)
        before = path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns
        files = set(folder.iterdir()) | {Path(f"{path}.lock")}
        for opening in (SqliteLog.open_to_write, SqliteLog.open_to_read):
            with pytest.raises(LogError, match=word) as refused:
                opening(path)
            assert refused.value.hint
            assert one_line(refused)
            assert open_files(folder) == []
        assert (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) == before
        if make.__code__.co_consts and "WAL" not in str(make.__code__.co_consts):
            assert set(folder.iterdir()) <= files

    async def test_with_a_write_ahead_log_of_its_own_too(self, folder):
        path = folder / "log.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE t (x)")
            before = [content(f"{path}{end}") for end in ("", "-wal")]
            assert before[1]
            with pytest.raises(LogError, match="another program"):
                SqliteLog.open_to_write(path)
            after = [content(f"{path}{end}") for end in ("", "-wal")]
            assert after == before

    @pytest.mark.parametrize("size", [0, 1, 15, 99])
    async def test_nearly_nothing(self, folder, size):
        path = folder / "log.db"
        path.write_bytes(b"SQLite format 3\0".ljust(100, b"\0")[:size])
        with pytest.raises(LogError):
            SqliteLog.open_to_read(path)
        if size == 0:
            log = SqliteLog.open_to_write(path)
            await write(log, "c", note())
            await log.close()

    async def test_nothing_at_all(self, folder):
        with pytest.raises(LogError, match="there is no log"):
            SqliteLog.open_to_read(folder / "log.db")
        assert list(folder.iterdir()) == []
        assert open_files(folder) == []


class TestMigration:
    NEXT = (
        *MIGRATIONS,
        "ALTER TABLE conversations ADD COLUMN extra TEXT NOT NULL DEFAULT 'new'",
    )

    async def test_an_older_log_is_brought_up_to_date(self, sqlite, monkeypatch):
        records = await write(sqlite.write(), "c", note())
        await sqlite.close()
        monkeypatch.setattr(schema, "MIGRATIONS", self.NEXT)
        with pytest.raises(LogError, match="earlier axtui") as refused:
            sqlite.read()
        assert "up to date" in refused.value.hint
        log = sqlite.write()
        assert await everything(log, "c") == records
        await log.close()
        assert await everything(sqlite.read(), "c") == records
        monkeypatch.undo()
        for opening in (sqlite.read, sqlite.write):
            with pytest.raises(LogError, match="later axtui"):
                opening()

    async def test_the_usage_in_a_log_from_before_is_summed_up(self, old):
        with closing(connect(old.path, write=True)) as connection:
            for name in ("tokens", "cost_nusd", "unpriced_calls"):
                connection.execute(f"ALTER TABLE conversations DROP COLUMN {name}")
            connection.execute("DROP INDEX heads_updated")
            connection.execute("PRAGMA user_version = 1")
            connection.execute("DELETE FROM fresh WHERE kind = 'note' AND seq = 1")
        log = old.write()
        listed = {found.summary.id: found.summary[-3:] for found in await log.conversations()}
        damaged = {"damaged": (0, 0, 0)}
        assert listed == {"a": (11, 7, 0), "f": (32, 7, 1), "b": (0, 0, 0), **damaged}
        assert {fault.conversation_id for fault in await faults(log)} == {"damaged"}

    @pytest.mark.parametrize("cut", [None, "INSERT INTO blocks", "DROP TABLE settled"])
    async def test_a_row_for_each_event_becomes_one_for_many(self, old, cut, monkeypatch):
        with pytest.raises(LogError, match="earlier axtui"):
            old.read()
        if cut:
            *before, last = MIGRATIONS
            with monkeypatch.context() as patch:
                broken = (*before, lambda connection: last(Cut(connection, cut)))
                patch.setattr(schema, "MIGRATIONS", broken)
                with pytest.raises(LogError, match="power cut"):
                    old.write()
        log = old.write()
        assert await faults(log) == []
        seqs = {found.summary.id: found.seq for found in await log.conversations()}
        assert seqs == {"a": 307, "f": 143, "b": 2, "damaged": 1}
        assert await log.request_seq("a", "r") == 5
        assert await log.request_seq("f", "r") is None
        assert [r.seq for r in await log.read("a", kinds=["message"])] == [2, 307]
        assert [r.kind for r in await log.read("f", step="2")] == [
            "step.started",
            "step.completed",
        ]
        await write(log, "a", note("on it goes"))
        assert [r.seq for r in await log.read("a", after=300)] == [*range(301, 309)]
        assert await faults(log) == []

    def test_each_step_is_taken_once_and_whole(self, tmp_path):
        steps = ("CREATE TABLE a (x)", "CREATE TABLE b (x);\nINSERT INTO b VALUES (1)")
        with closing(connect(tmp_path / "db", write=True)) as connection:
            migrate(connection, steps[:1])
            with pytest.raises(sqlite3.OperationalError):
                migrate(connection, (steps[0], "CREATE TABLE b (x);\nnonsense"))
        with closing(connect(tmp_path / "db", write=True)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            for _ in range(2):
                migrate(connection, steps)
            assert connection.execute("SELECT x FROM b").fetchall() == [(1,)]
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)

    async def test_one_that_fails_leaves_the_log_as_it_was(self, sqlite, monkeypatch):
        records = await write(sqlite.write(), "c", note())
        await sqlite.close()
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, "DELETE FROM blocks;\nnonsense"))
            with pytest.raises(LogError):
                sqlite.write()
        assert open_files(sqlite.path.parent) == []
        assert await everything(sqlite.write(), "c") == records

    async def test_keyframes_of_another_fold_are_dropped(self, sqlite, monkeypatch):
        monkeypatch.setattr("axtui.runtime.eventlog.conversation.KEYFRAME_EVERY", 2)
        records = await write(sqlite.write(), "c", *[note() for _ in range(5)])
        await sqlite.close()
        with closing(sqlite3.connect(sqlite.path, isolation_level=None)) as connection:
            connection.execute("UPDATE keyframes SET fold_version = 0, state = x'ff'")
        assert (await sqlite.read().state("c")).seq == 5
        log = sqlite.write()
        with closing(connect(sqlite.path, write=False)) as connection:
            assert connection.execute("SELECT count(*) FROM keyframes").fetchone() == (0,)
        assert await everything(log, "c") == records


class TestGoneFiles:
    @pytest.mark.parametrize("how", ["deleted", "replaced", "cut"])
    async def test_a_log_that_is_gone_takes_no_more(self, sqlite, how):
        log = sqlite.write()
        await write(log, "c", note())
        if how == "cut":
            os.truncate(sqlite.path, 0)
        else:
            sqlite.path.rename(sqlite.path.with_name("moved.db"))
        if how == "replaced":
            sqlite.path.write_bytes(b"")
        with pytest.raises(LogFailed, match="deleted, replaced or cut"):
            await write(log, "c", note("lost"))
        with pytest.raises(LogFailed, match="deleted, replaced or cut"):
            await log.purge("c")
        await log.close()

    async def test_its_folder_too(self, sqlite):
        log = sqlite.write()
        await write(log, "c", note())
        shutil.rmtree(sqlite.path.parent)
        with pytest.raises(LogFailed):
            await write(log, "c", note())
        await log.close()


class TestNothingIsLeft:
    async def test_of_what_was_opened_and_closed(self, sqlite):
        await write(sqlite.write(), "c", note())
        sqlite.read()
        await sqlite.close()
        threads = threading.active_count()
        for _ in range(5):
            log = sqlite.write()
            reader = sqlite.read()
            await write(log, "c", note())
            await everything(reader, "c")
            with pytest.raises(LogError):
                sqlite.write()
            await sqlite.close()
        # One file is folded into the other, and threads have ended.
        assert open_files(sqlite.path.parent) == []
        assert threading.active_count() <= threads + 1
        assert sorted(os.listdir(sqlite.path.parent)) == ["log.db", "log.db.lock"]


class TestWords:
    @pytest.mark.parametrize(
        ("error", "kind", "word"),
        [
            (OSError(28, "No space left on device"), LogError, "no space"),
            (OSError(122, "Disk quota exceeded"), LogError, "no space"),
            (PermissionError(13, "Permission denied", "/full/log"), LogError, "can't be written"),
            (OSError(30, "Read-only file system"), LogError, "can't be written"),
            (OSError(24, "Too many open files"), LogError, "Too many open files"),
            (NotADirectoryError(20, "Not a directory"), LogError, "Not a directory"),
        ],
    )
    def test_of_the_system(self, tmp_path, error, kind, word):
        told = explain(error, tmp_path / "log.db")
        assert type(told) is kind
        assert word in str(told)
        assert told.hint

    @pytest.mark.parametrize(
        ("code", "kind", "word"),
        [
            ("SQLITE_FULL", LogError, "no space"),
            ("SQLITE_READONLY_DBMOVED", LogError, "can't be written"),
            ("SQLITE_CANTOPEN", LogError, "can't be opened"),
            ("SQLITE_NOTADB", LogDamaged, "isn't a SQLite file"),
            ("SQLITE_CORRUPT_VTAB", LogDamaged, "is damaged"),
            ("SQLITE_BUSY", LogError, "locked"),
            ("SQLITE_IOERR_FSYNC", LogError, "full of words"),
            ("SQLITE_NOMEM", LogError, "full of words"),
            ("SQLITE_ERROR", LogDamaged, "is damaged"),
        ],
    )
    def test_of_sqlite(self, tmp_path, code, kind, word):
        error = sqlite3.OperationalError("full of words")
        error.sqlite_errorcode = getattr(sqlite3, code)
        told = explain(error, tmp_path / "log.db")
        assert type(told) is kind
        assert word in str(told)

    async def test_of_a_log_that_another_program_has_locked(self, sqlite, monkeypatch):
        await write(sqlite.write(), "c", note())
        await sqlite.close()
        with closing(sqlite3.connect(sqlite.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            real = schema.connect

            def impatient(*args, **kwargs):
                connection = real(*args, **kwargs)
                connection.execute("PRAGMA busy_timeout = 1")
                return connection

            monkeypatch.setattr("axtui.runtime.eventlog.sqlite.connect", impatient)
            with pytest.raises(LogError, match="locked by another program"):
                sqlite.write()
