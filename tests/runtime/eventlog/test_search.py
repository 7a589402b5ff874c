"""Search finds what is in the log, and nothing else; its index is nobody's loss."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axtui.model.events import Draft
from axtui.model.search import Hit, terms
from axtui.runtime.eventlog import search as search_module
from axtui.runtime.eventlog.base import EventLog, LogError, UnknownConversation
from axtui.runtime.eventlog.search import _match
from axtui.v1 import event_pb2 as pb

from .conftest import SqliteStore, Store
from .drafts import BIG, fork, note, notes, write

ROOT = Path(__file__).parents[3]


async def find(log: EventLog, text: str, name: str = "", limit: int = 50) -> list[Hit]:
    """What is found, once all is read."""
    while True:
        found = await log.search(terms(text), conversation_id=name, limit=limit)
        if not found.left:
            return found.hits
        assert found.hits == []


async def places(log: EventLog, text: str, name: str = "", limit: int = 50) -> list[str]:
    """Where it is found."""
    return [f"{hit.conversation_id}:{hit.seq}" for hit in await find(log, text, name, limit)]


def index_of(store: SqliteStore) -> Path:
    return Path(f"{store.path}.search")


class TestFinding:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("quick fox", True),
            ("FOX quick", True),
            ('"quick brown"', True),
            ('"brown quick"', False),
            ("qui*", True),
            ("qui", False),
            ('"quick bro"*', True),
            ("fox wolf", False),
            ("creme brulee", True),
            ("CRÈME", True),
            ("北京", True),
            ("京烤", True),
            ("京北", False),
            ("ラーメン", True),
            ("安녕", False),
            ("녕하", True),
            ("c++", False),
            ("lazy_dog", True),
            ("dog", True),
            ("NEAR(fox)", False),
            ("fox NOT brown", False),
        ],
    )
    async def test_all_that_is_typed_must_occur(self, log, text, wanted):
        words = "The quick brown fox, lazy_dog; crème brûlée 在北京烤鸭 とんこつラーメン 안녕하세요"
        await write(log, "c", note("other"), note(words))
        assert await places(log, text) == (["c:2"] if wanted else [])

    async def test_what_is_said_of_a_hit(self, log):
        private = pb.Message(
            role="assistant", internal_only=True, content=[pb.Content(text=pb.Data(text="my fox"))]
        )
        records = await write(
            log,
            "c",
            Draft(pb.StepFailed(key="1", error=pb.Error(message="a\nfox\tran")), "x", "w"),
            Draft(private),
        )
        mine, failed = await find(log, "fox")
        assert (mine.internal, mine.kind, failed.internal) == (True, "message", False)
        assert failed == Hit(
            "c", 1, "step.failed", "w", records[0].event().time_us, "a fox ran", ((2, 5),), False
        )

    async def test_an_excerpt_is_short_and_has_the_place(self, log):
        await write(
            log, "c", note("x" * 500 + " word " * 50 + "the \x02needle\x03\x1b " + "y" * 999)
        )
        await write(log, "d", note("北" * 500 + "京" + "北" * 500))
        for text in ("needle", "京"):
            (hit,) = await find(log, text)
            assert len(hit.excerpt) <= 165
            assert [hit.excerpt[a:b] for a, b in hit.marks] == [text]
            assert hit.excerpt.isprintable()

    async def test_the_newest_comes_first_whatever_was_read_first(self, log):
        await write(log, "a", *notes(2, "word"))
        await write(log, "b", note("word"))
        assert await places(log, "word") == ["b:1", "a:2", "a:1"]
        await write(log, "a", note("word"))
        assert await places(log, "word") == ["a:3", "b:1", "a:2", "a:1"]
        assert await places(log, "word", limit=2) == ["a:3", "b:1"]
        assert await places(log, "word", limit=0) == []
        assert await places(log, "word", limit=-1) == []

    async def test_of_a_blob_only_the_beginning(self, log):
        conversation = await log.conversation("c", create=True)
        await conversation.append(
            Draft(pb.StepCompleted(key="1", result=conversation.data(f"begins {BIG} ends")))
        )
        assert await places(log, "begins") == ["c:1"]
        assert await places(log, "ends") == []

    async def test_the_control_log_is_not_searched(self, log):
        await write(log, "$control", note("word"))
        assert await places(log, "word") == []

    async def test_without_the_lease(self, store: Store):
        log = store.write()
        reader = store.read()
        await write(log, "c", note("word"))
        for number in range(2, 5):
            assert await places(reader, "word") == [f"c:{n}" for n in range(number - 1, 0, -1)]
            await write(log, "c", note("word"))


@pytest.fixture(scope="module")
def empty_index():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE texts USING fts5(text)")
    connection.execute("INSERT INTO texts VALUES ('one')")
    yield connection
    connection.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(), st.text(alphabet='ab"*()^:-+{}\0 ANDORTE')))
def test_nothing_that_is_typed_is_an_error(empty_index, text):
    try:
        wanted = terms(text)
    except ValueError:
        return
    empty_index.execute("SELECT * FROM texts WHERE texts MATCH ?", (_match(wanted),)).fetchall()


class TestOwners:
    async def test_what_forks_share_is_found_once(self, log):
        await write(log, "a", note("word"), note("later word"))
        await fork(log, "a", 1, "f", note("own word"))
        await fork(log, "f", 3, "g", note("last word"))
        assert await places(log, "word") == ["g:5", "f:3", "a:2", "a:1"]
        assert await places(log, "word", "a") == ["a:2", "a:1"]
        assert await places(log, "word", "f") == ["f:3", "f:1"]
        assert await places(log, "word", "g") == ["g:5", "g:3", "g:1"]

    async def test_what_is_hidden_is_not_found(self, log):
        await write(log, "a", note("word"))
        assert await places(log, "word") == ["a:1"]
        await write(log, "a", Draft(pb.ConversationDeleted(reason="word")))
        assert await places(log, "word") == []
        assert await places(log, "word", "a") == []

    async def test_what_is_purged_is_gone(self, log, sqlite):
        await write(log, "a", *notes(3, "secretword"))
        await write(log, "b", note("secretword"))
        await fork(log, "a", 2, "f", note())
        assert len(await places(log, "secretword")) == 4
        await log.purge("b")
        await log.purge("a")
        # What the fork shared with it is the fork's now.
        assert await places(log, "secretword") == ["f:2", "f:1"]
        await log.purge("f")
        assert await places(log, "secretword") == []
        with closing(sqlite3.connect(index_of(sqlite))) as index:
            assert index.execute("SELECT count(*) FROM texts").fetchone() == (0,)
            assert index.execute("SELECT count(*) FROM sources").fetchone() == (0,)

    async def test_one_of_the_same_id_and_number_is_another(self, store):
        log = store.write()
        await write(log, "a", note("old"))
        assert await places(log, "old") == ["a:1"]
        await log.purge("a")
        await log.close()
        log = store.write()
        await write(log, "a", note("new"))
        assert await places(log, "old") == []
        assert await places(log, "new") == ["a:1"]

    async def test_of_one_that_is_not_there(self, log):
        await write(log, "a", note())
        with pytest.raises(UnknownConversation):
            await find(log, "word", "b")


class TestIndexing:
    async def test_it_is_read_in_parts_that_can_be_left(self, log, monkeypatch):
        monkeypatch.setattr("axtui.runtime.eventlog.sqlite._SEARCH_SECONDS", 0)
        monkeypatch.setattr(search_module, "_BATCH_EVENTS", 10)
        for name in "ab":
            await write(log, name, *notes(40, "word"))
        await fork(log, "a", 35, "f", *notes(14, "word"))
        lefts = []
        while left := (await log.search(terms("word"))).left:
            lefts.append(left)
        assert lefts == sorted(lefts, reverse=True)
        assert 90 > lefts[0] >= 80
        assert len(await places(log, "word", limit=500)) == 94
        await log.purge("a")
        assert len(await places(log, "word", limit=500)) == 40 + 35 + 14

    async def test_who_never_searches_has_no_index(self, log, sqlite):
        await write(log, "a", note("word"))
        assert await log.index() == 0
        assert not index_of(sqlite).exists()
        await find(log, "word")
        await write(log, "a", note("word"))
        while await log.index():
            pass
        with closing(sqlite3.connect(index_of(sqlite))) as index:
            assert index.execute("SELECT count(*) FROM texts").fetchone() == (2,)

    async def test_several_processes_at_once(self, sqlite):
        log = sqlite.write()
        for number in range(20):
            await write(log, f"c{number}", *notes(60, "word"))
        script = (
            "import asyncio, sys\nfrom pathlib import Path\n"
            "from axtui.model.search import terms\n"
            "from axtui.runtime.eventlog.sqlite import SqliteLog\n"
            "async def main():\n"
            "    log = SqliteLog.open_to_read(Path(sys.argv[1]))\n"
            "    while (found := await log.search(terms('word'), limit=5000)).left: pass\n"
            "    print(len(found.hits))\n"
            "    await log.close()\n"
            "asyncio.run(main())"
        )
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", script, str(sqlite.path)),
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for _ in range(4)
        ]
        mine = find(log, "word", limit=5000)
        hits, *told = await asyncio.gather(mine, *(p.communicate() for p in processes))
        assert [int(out) for out, _ in told] == [1200] * 4
        assert len({(hit.conversation_id, hit.seq) for hit in hits}) == len(hits) == 1200


class TestDamage:
    async def searched(self, store):
        """A log of 200 events that were searched."""
        log = store.write()
        await write(log, "a", *notes(200, "word"))
        assert len(await places(log, "word", limit=500)) == 200
        await log.close()

    @pytest.mark.parametrize("how", ["text", "zeros", "cut", "empty", "other", "gone", "old"])
    async def test_an_index_that_is_none_is_made_anew(self, sqlite, how):
        await self.searched(sqlite)
        path = index_of(sqlite)
        match how:
            case "text":
                path.write_text("Dear diary\n" * 500)
            case "zeros":
                path.write_bytes(b"\0" * 5000)
            case "cut":
                os.truncate(path, path.stat().st_size // 2)
            case "empty":
                path.write_bytes(b"")
            case "gone":
                path.unlink()
            case "other" | "old":
                with closing(sqlite3.connect(path)) as index:
                    index.execute(
                        "DROP TABLE places" if how == "other" else "PRAGMA user_version = 0"
                    )
        assert len(await places(sqlite.read(), "word", limit=500)) == 200
        assert len(await places(sqlite.read(), "word", limit=500)) == 200

    @pytest.mark.parametrize("part", range(8))
    async def test_pages_of_noise_are_noticed_or_no_matter(self, sqlite, part):
        await self.searched(sqlite)
        path = index_of(sqlite)
        pages = path.stat().st_size // 4096
        with path.open("r+b") as file:
            file.seek(max(1, pages * part // 8) * 4096)
            file.write(bytes(range(256)) * 16)
        log = sqlite.write()
        # Whatever it says of what it had: it goes on, and no error is told.
        assert len(await places(log, "word", limit=500)) <= 200
        await write(log, "b", note("another"))
        assert await places(log, "another") in (["b:1"], [])
        index_of(sqlite).unlink()

    async def test_while_others_have_it_open(self, sqlite):
        log = sqlite.write()
        await write(log, "a", note("word"))
        assert await places(log, "word") == ["a:1"]
        index_of(sqlite).write_text("noise " * 1000)
        assert await places(sqlite.read(), "word") == ["a:1"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
    async def test_in_a_folder_that_cannot_be_written(self, sqlite):
        await self.searched(sqlite)
        for keep in (True, False):
            if not keep:
                index_of(sqlite).unlink()
            sqlite.path.parent.chmod(0o500)
            try:
                assert len(await places(sqlite.read(), "word", limit=500)) == 200
            finally:
                sqlite.path.parent.chmod(0o700)

    async def test_where_there_can_be_no_file(self, sqlite):
        index_of(sqlite).mkdir(parents=True)
        log = sqlite.write()
        for number in range(1, 4):
            await write(log, "a", note("word"))
            assert len(await places(log, "word")) == number

    async def test_a_damaged_log_is_told(self, sqlite):
        await self.searched(sqlite)
        sqlite.path.write_bytes(sqlite.path.read_bytes()[:4096] + b"\xff" * 8192)
        with pytest.raises(LogError):
            await find(sqlite.read(), "word")

    async def test_what_is_not_an_event_is_passed_over(self, sqlite):
        log = sqlite.write()
        await write(log, "a", note("word"), note("word"))
        await log.close()
        with closing(sqlite3.connect(sqlite.path)) as connection, connection:
            connection.execute("UPDATE fresh SET envelope = x'ff' WHERE seq = 1")
        assert await places(sqlite.read(), "word") == ["a:2"]
