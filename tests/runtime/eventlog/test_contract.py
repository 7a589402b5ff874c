"""What every store of event logs promises, whatever it is made of."""

import asyncio
import time
from hashlib import sha256
from itertools import pairwise, product

import pytest

from axtui.model.events import Draft, Head, envelope_hash
from axtui.model.fold import fold
from axtui.model.summary import summarise
from axtui.runtime.eventlog import reader
from axtui.runtime.eventlog.base import (
    CONTROL_LOG,
    LogDamaged,
    LogError,
    LogFailed,
    Taken,
    UnknownConversation,
)
from axtui.runtime.eventlog.conversation import BLOB_LIMIT, INLINE_LIMIT, KEYFRAME_EVERY, RECENT
from axtui.v1 import event_pb2 as pb

from .drafts import (
    BIG,
    done,
    everything,
    faults,
    folded,
    fork,
    note,
    notes,
    said,
    started,
    step,
    used,
    write,
)


def seqs(records):
    return [record.seq for record in records]


class TestAppending:
    async def test_events_come_back_byte_for_byte_in_a_chain_without_gaps(self, store):
        log = store.write()
        written = []
        for count in (1, 2, 3):
            written += await write(log, "c", *notes(count))
        await log.close()
        for again in (store.write(), store.read()):
            assert await everything(again, "c") == written
        assert seqs(written) == list(range(1, 7))
        assert written[0].event().prev_hash == b""
        for before, after in pairwise(written):
            assert after.event().prev_hash == envelope_hash(before.envelope)
            assert after.event().time_us >= before.event().time_us
        assert all(r.event().payload_digest == sha256(r.payload).digest() for r in written)

    async def test_an_append_has_its_place_before_it_is_on_disk(self, log):
        conversation = await log.conversation("c", create=True)
        first = conversation.append(note("1"))
        second = conversation.append(note("2"), note("3"))
        assert seqs(first.records + second.records) == [1, 2, 3]
        assert conversation.head.seq == conversation.state.seq == 3
        assert conversation.committed_seq == 0
        assert not first.done
        await second
        assert first.done
        assert conversation.committed_seq == 3

    async def test_who_listens_hears_of_each_event_once_in_order(self, log):
        conversation = await log.conversation("c", create=True)
        heard = []
        conversation.on_append.append(lambda event: heard.append(event.note.text))
        conversation.append(note("1"), note("2"))
        assert heard == ["1", "2"]

    async def test_nothing_appended_is_nothing_written(self, log):
        conversation = await log.conversation("c", create=True)
        await conversation.append()
        assert await log.find("c") is None
        assert await log.conversations() == []

    async def test_time_never_falls(self, log, monkeypatch):
        now = [5_000_000]
        monkeypatch.setattr(time, "time_ns", lambda: now[0] * 1000)
        await write(log, "c", note())
        now[0] = 1
        back = await write(log, "c", note(), note())
        now[0] = 6_000_000
        on = await write(log, "c", note())
        assert [r.event().time_us for r in back + on] == [5_000_000, 5_000_000, 6_000_000]
        assert (await log.head("c")).time_us == 6_000_000

    async def test_time_never_falls_after_a_restart_or_in_a_fork(self, store, monkeypatch):
        log = store.write()
        monkeypatch.setattr(time, "time_ns", lambda: 9_000_000)
        await write(log, "c", note())
        await log.close()
        monkeypatch.setattr(time, "time_ns", lambda: 1_000_000)
        log = store.write()
        assert (await write(log, "c", note()))[0].event().time_us == 9_000
        assert (await fork(log, "c", 1, "d"))[0].event().time_us == 9_000

    async def test_there_is_one_write_side(self, log):
        await write(log, "old", note())
        first, second = await asyncio.gather(
            log.conversation("new", create=True), log.conversation("new", create=True)
        )
        assert first is second
        third, fourth = await asyncio.gather(log.conversation("old"), log.conversation("old"))
        assert third is fourth

    async def test_appends_by_many_at_once_are_all_there(self, log):
        async def work(name):
            conversation = await log.conversation(name, create=True)
            for number in range(20):
                await conversation.append(note(str(number)))

        names = [f"c{number % 4}" for number in range(12)]
        await asyncio.gather(*map(work, names))
        for name in set(names):
            assert seqs(await everything(log, name)) == list(range(1, 61))
        assert await faults(log) == []

    async def test_a_conversation_can_be_let_go_and_taken_up(self, log):
        conversation = await log.conversation("c", create=True)
        await conversation.append(started(), step("1"))
        state = conversation.state
        del conversation
        again = await log.conversation("c")
        assert again.state == state
        assert again.head == await log.head("c")

    async def test_only_a_log_opened_to_write_takes_events(self, store):
        log = store.write()
        await write(log, "c", note())
        reader = store.read()
        for writing in (
            reader.conversation("c"),
            reader.conversation("new", create=True),
            reader.fork("c", 1, "d"),
            reader.purge("c"),
            reader.restore("d", await everything(log, "c"), []),
        ):
            with pytest.raises(LogError, match="reading only"):
                await writing


class TestCommit:
    async def test_all_who_wait_hear_of_it(self, log):
        conversation = await log.conversation("c", create=True)
        commit = conversation.append(note())

        async def wait():
            await commit
            return conversation.committed_seq

        tasks = [asyncio.create_task(wait()) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(r) for r in results].count(asyncio.CancelledError) == 1
        assert [r for r in results if isinstance(r, int)] == [1] * 4
        # Also who comes later, and twice.
        await commit
        await commit

    async def test_a_cancelled_waiter_cancels_no_write(self, log):
        conversation = await log.conversation("c", create=True)
        commit = conversation.append(note("kept"))

        async def wait():
            await commit

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await conversation.append(note())
        assert commit.done
        assert (await log.read("c"))[0].event().note.text == "kept"

    async def test_nobody_needs_to_wait(self, store):
        log = store.write()
        conversation = await log.conversation("c", create=True)
        conversation.append(note("1"))
        await log.close()
        log = store.write()
        (await log.conversation("c")).append(note("2"))
        await asyncio.sleep(0)
        (await log.conversation("c")).append(note("3"))
        await log.close()
        assert [r.event().note.text for r in await everything(store.read(), "c")] == ["1", "2", "3"]


class TestClosing:
    async def test_twice_is_once(self, store):
        log = store.write()
        await log.close()
        await log.close()

    async def test_what_is_asked_afterwards_is_refused(self, store):
        log = store.write()
        conversation = await log.conversation("c", create=True)
        await conversation.append(note())
        await log.close()
        with pytest.raises(LogFailed, match="closed"):
            conversation.append(note())
        for asking in (log.conversation("c"), log.read("c"), log.find("c"), log.purge("c")):
            with pytest.raises(LogError, match="closed"):
                await asking

    async def test_what_comes_while_it_closes_is_refused_or_written(self, store):
        log = store.write()
        conversation = await log.conversation("c", create=True)
        commits = [conversation.append(note())]
        closing = asyncio.create_task(log.close())
        while not closing.done():
            try:
                commits.append(conversation.append(note()))
            except LogFailed:
                break
            await asyncio.sleep(0)
        await closing
        for commit in commits:
            await asyncio.wait_for(_awaited(commit), 5)
        assert len(await everything(store.read(), "c")) == len(commits)


async def _awaited(commit):
    await commit


class TestReading:
    @pytest.fixture
    async def written(self, log):
        await write(log, "other", *notes(3))
        return await write(
            log,
            "c",
            started(),
            said("hello"),
            step("1"),
            done("1"),
            step("2"),
            said("you"),
            done("2"),
        )

    async def test_pages_in_both_directions(self, log, written):
        for after, before, limit in product(
            [-5, 0, 1, 3, 6, 7, 100, 2**70],
            [None, -(2**70), 0, 1, 4, 7, 8, 2**70],
            [-1, 0, 1, 3, 500, 2**70],
        ):
            wanted = [r for r in written if after < r.seq and (before is None or r.seq < before)]
            some = max(0, limit)
            page = {"after": after, "before": before, "limit": limit}
            assert await log.read("c", **page) == wanted[:some], page
            assert await log.read("c", **page, newest_first=True) == wanted[::-1][:some], page

    @pytest.mark.parametrize(
        ("filters", "wanted"),
        [
            ({"kinds": ["message"]}, [2, 6]),
            ({"kinds": ("step.started", "message")}, [2, 3, 5, 6]),
            ({"kinds": ["nothing"]}, []),
            ({"step": "1"}, [3, 4]),
            ({"step": "2", "kinds": ["step.completed"]}, [7]),
            ({"step": "9"}, []),
            ({"kinds": ["message"], "newest_first": True, "limit": 1}, [6]),
            ({"kinds": ["message"], "after": 2}, [6]),
            ({"kinds": ["message"], "before": 6, "limit": 5}, [2]),
            ({"step": "1", "newest_first": True}, [4, 3]),
        ],
    )
    async def test_filters(self, log, written, filters, wanted):
        assert seqs(await log.read("c", **filters)) == wanted

    async def test_every_page_is_bounded_by_default(self, log):
        await write(log, "c", *notes(501))
        assert len(await log.read("c")) == 500
        assert len(await log.read("c", newest_first=True)) == 500

    async def test_packed(self, log, written):
        await fork(log, "c", 5, "f", *notes(6))
        await write(log, "f", *notes(2))
        for name in ("c", "f"):
            records = await everything(log, name)
            afters, lasts = [-5, 0, 1, 3, 4, 7, 2**70], [-(2**70), 0, 1, 4, 5, 6, 2**70]
            for after, last, size in product(afters, lasts, [1, 300, 9999]):
                blocks = await log.packed(name, after=after, last=last, size=size)
                wanted = [record for record in records if after < record.seq <= last]
                found = [record for block in blocks for record in block.records()]
                assert found == wanted[: len(found)]
                taken = sum(len(block.data) for block in blocks)
                assert taken >= size or found == wanted
                assert not blocks or taken - len(blocks[-1].data) < size

    async def test_head(self, log, written):
        head = await log.head("c")
        last = written[-1]
        assert head == Head(last.seq, envelope_hash(last.envelope), last.event().time_us)

    async def test_of_an_unknown_conversation(self, log):
        for asking in (
            log.conversation("none"),
            log.read("none"),
            log.state("none"),
            log.head("none"),
            log.request_seq("none", "r"),
            log.purge("none"),
            log.fork("none", 1, "new"),
            anext(log.tail("none", 0)),
        ):
            with pytest.raises(UnknownConversation, match="none"):
                await asking
        assert await log.find("none") is None

    @pytest.mark.parametrize("name", ["\ud800", "a\0b", "%", "_", "é" * 500, "'; DROP TABLE x"])
    async def test_no_id_breaks_anything(self, log, written, name):
        for asking in (log.read(name), log.state(name), log.conversation(name)):
            with pytest.raises(LogError):
                await asking

    async def test_of_ids_that_look_like_patterns(self, log):
        for name in ("%", "_", "a'b", "a\0b"):
            await write(log, name, note(name))
            assert (await log.read(name))[0].event().note.text == name

    async def test_requests(self, log):
        first = note("1", request_id="r")
        await write(log, "c", note(), first, note("2", request_id="s"), first)
        await write(log, "d", note("3", request_id="t"))
        assert await log.request_seq("c", "r") == 2
        assert await log.request_seq("c", "s") == 3
        assert await log.request_seq("c", "t") is None
        assert await log.request_seq("c", "") is None


class TestState:
    @pytest.mark.parametrize("chunk", [1100, 100, 1])
    async def test_at_every_seq_is_the_fold(self, store, chunk):
        """At the borders of keyframes too, however the appends were cut."""
        log = store.write()
        count = 2 * KEYFRAME_EVERY + 20
        if chunk == 1:
            count = KEYFRAME_EVERY + 2
        drafts = [
            started(),
            *(step(str(n % 7)) if n % 3 else done(str(n % 7)) for n in range(count)),
        ]
        conversation = await log.conversation("c", create=True)
        for begin in range(0, count, chunk):
            commit = conversation.append(*drafts[begin : min(count, begin + chunk)])
        await commit
        records = await everything(log, "c")
        borders = {KEYFRAME_EVERY * n + d for n in (1, 2) for d in (-2, -1, 0, 1, 2)}
        states = {}
        state = None
        for record in records:
            state = fold([record.event()], state)
            states[record.seq] = state
        for seq in sorted({1, 2, 499, 500, 501, count, *borders}):
            if seq <= count:
                assert await log.state("c", seq) == states[seq], seq
        assert await log.state("c") == states[count] == conversation.state
        await log.close()
        assert await store.read().state("c") == states[count]

    @pytest.mark.parametrize("seq", [0, -1, 4, 2**70])
    async def test_there_is_none_where_there_is_no_event(self, log, seq):
        await write(log, "c", *notes(3))
        with pytest.raises(LogError, match="no event"):
            await log.state("c", seq)

    async def test_many_short_sessions_leave_keyframes_too(self, store, monkeypatch):
        """What a process finds folded long ago isn't folded again by each that follows."""
        monkeypatch.setattr("axtui.runtime.eventlog.conversation.KEYFRAME_EVERY", 10)
        for session in range(6):
            log = store.write()
            await write(log, "c", *notes(4, f"session {session}"))
            await log.close()
        log = store.write()
        folded_events = []
        apply = reader.apply
        monkeypatch.setattr(
            reader, "apply", lambda state, event: (folded_events.append(event), apply(state, event))
        )
        await log.conversation("c")
        assert len(folded_events) < 10

    async def test_the_summary_is_a_projection(self, log):
        conversation = await log.conversation("c", create=True)
        asked = pb.ApprovalRequested(id="q", key="1", question="Really?")
        for draft in (
            said("a title"),
            started(),
            step("1"),
            Draft(asked),
            step("2"),
            done("2"),
            Draft(pb.ApprovalAnswered(id="q", choice="yes")),
            done("1"),
            step("3"),
            used("3", 10, 7),
            used("4", 20, unpriced=1),
            used("5", 2**63 - 1),
            used("6", 2**63 - 1),
            Draft(pb.RunPaused(cause="person")),
            Draft(pb.RunResumed()),
            Draft(pb.RunCompleted()),
            Draft(pb.ConversationDeleted()),
        ):
            await conversation.append(draft)
            found = await log.find("c")
            assert found.summary == summarise(conversation.state), draft
            assert found.seq == conversation.head.seq
            assert found.updated_us == conversation.head.time_us

    async def test_events_that_change_no_summary_write_none(self, log):
        conversation = await log.conversation("c", create=True)
        await conversation.append(started(), step("1"), used("1", 5))
        for draft, changes in ((step("2"), False), (done("2"), False), (used("3", 5), True)):
            commit = conversation.append(draft)
            await commit
            assert (commit.summary is not None) == changes


class TestListing:
    @pytest.fixture
    async def some(self, log, monkeypatch):
        now = iter(range(1_000_000, 10**12, 1_000_000))
        monkeypatch.setattr(time, "time_ns", lambda: next(now))
        await write(log, "a", started("writer"))
        await write(log, "b", started("writer"), Draft(pb.RunCompleted()))
        await write(log, "c", started("reader"))
        await write(log, "ab", started("writer"), Draft(pb.ConversationDeleted()))
        await write(log, CONTROL_LOG, note())

    @pytest.mark.parametrize(
        ("filters", "wanted"),
        [
            ({}, ["c", "b", "a"]),
            ({"deleted": True}, ["ab", "c", "b", "a"]),
            ({"limit": 2}, ["c", "b"]),
            ({"limit": 0}, []),
            ({"limit": -1}, []),
            ({"states": ["pending"]}, ["c", "a"]),
            ({"states": ["pending", "completed"], "agent": "writer"}, ["b", "a"]),
            ({"states": ["failed"]}, []),
            ({"agent": "reader"}, ["c"]),
            ({"agent": "nobody"}, []),
            ({"prefix": "a"}, ["a"]),
            ({"prefix": "a", "deleted": True}, ["ab", "a"]),
            ({"prefix": "abc"}, []),
            ({"prefix": "\U0010ffff"}, []),
            ({"prefix": "\ud7ff"}, []),
            ({"prefix": "%"}, []),
            ({"since_us": 2000}, ["c", "b"]),
            ({"since_us": 2001, "deleted": True}, ["ab", "c"]),
            ({"since_us": 2000, "deleted": True, "limit": 1}, ["ab"]),
            ({"since_us": 5001}, []),
            ({"since_us": 2**70}, []),
            ({"since_us": -(2**70)}, ["c", "b", "a"]),
        ],
    )
    async def test_filters_and_order(self, log, some, filters, wanted):
        found = await log.conversations(**filters)
        assert [listed.summary.id for listed in found] == wanted

    async def test_the_latest_changed_is_first(self, log, some):
        await write(log, "a", note())
        assert [listed.summary.id for listed in await log.conversations()] == ["a", "c", "b"]

    async def test_who_asks_again_learns_of_what_has_changed_since(self, log, some):
        (latest,) = await log.conversations(limit=1)
        await write(log, "b", note())
        found = await log.conversations(since_us=latest.updated_us + 1)
        assert [(listed.summary.id, listed.seq) for listed in found] == [("b", 3)]

    async def test_one_is_found_even_if_it_was_deleted(self, log, some):
        assert (await log.find("ab")).summary.deleted_us
        assert (await log.find(CONTROL_LOG)).seq == 1

    async def test_open_runs_are_told_apart(self, log, some):
        assert {c.summary.id: c.open for c in await log.conversations()} == {
            "a": True,
            "b": False,
            "c": True,
        }


class TestBlobs:
    async def test_what_is_long_goes_elsewhere(self, log):
        conversation = await log.conversation("c", create=True)
        short, long = "x" * INLINE_LIMIT, "x" * (INLINE_LIMIT + 1)
        assert conversation.data(short) == pb.Data(text=short)
        wide = "é" * (INLINE_LIMIT // 2)
        assert conversation.data(wide) == pb.Data(text=wide)
        data = conversation.data(long)
        assert data.blob.size == INLINE_LIMIT + 1
        assert data.blob.preview == "x" * 200
        with pytest.raises(LogDamaged):
            await log.blob(data.blob.digest)
        (record,) = await write(log, "c", Draft(pb.StepCompleted(key="1", result=data)))
        assert len(record.data) < 1000
        assert (await log.blob(data.blob.digest)).decode() == long

    async def test_there_is_an_end(self, log):
        conversation = await log.conversation("c", create=True)
        with pytest.raises(ValueError, match="a log takes"):
            conversation.data("x" * (BLOB_LIMIT + 1))

    async def test_half_a_surrogate_pair_becomes_a_question_mark(self, log):
        conversation = await log.conversation("c", create=True)
        assert conversation.data("a\ud800b").text == "a?b"
        assert conversation.data("\ud800" * (INLINE_LIMIT + 1)).blob.preview == "?" * 200

    async def test_the_same_is_kept_once(self, log):
        for name in ("c", "d"):
            conversation = await log.conversation(name, create=True)
            for _ in range(2):
                await conversation.append(said_big(conversation))
        size = log.size()
        await write(log, "c", said_big(await log.conversation("c")))
        assert log.size() - size < len(BIG)

    async def test_is_there_as_long_as_any_event_names_it(self, log):
        for name in ("c", "d"):
            conversation = await log.conversation(name, create=True)
            draft = said_big(conversation)
            await conversation.append(draft)
        digest = draft.payload.content[0].text.blob.digest
        await log.purge("c")
        assert (await log.blob(digest)).decode() == BIG
        await log.purge("d")
        with pytest.raises(LogDamaged, match="missing"):
            await log.blob(digest)

    async def test_one_that_a_later_append_names_is_kept(self, log):
        """Between the making of data and its append another event may slip in."""
        conversation = await log.conversation("c", create=True)
        draft = said_big(conversation)
        await conversation.append(note("slipped in"))
        await conversation.append(draft)
        await write(log, "d", note())
        await log.purge("d")
        assert await faults(log) == []
        assert await log.blob(draft.payload.content[0].text.blob.digest)

    async def test_one_that_a_fork_names_again_is_kept(self, log):
        conversation = await log.conversation("c", create=True)
        draft = said_big(conversation)
        await conversation.append(note(), draft)
        edited = Draft(draft.payload, edited_from=2)
        await fork(log, "c", 1, "d", edited)
        await log.purge("c")
        assert await faults(log) == []

    async def test_a_missing_one_is_told(self, log):
        with pytest.raises(LogDamaged, match="missing or damaged"):
            await log.blob(bytes(32))


def said_big(conversation):
    return Draft(pb.Message(role="user", content=[pb.Content(text=conversation.data(BIG))]))


class TestTail:
    async def test_what_is_there_and_what_comes_each_once(self, log):
        conversation = await log.conversation("c", create=True)
        await conversation.append(*notes(5))
        seen = []

        async def follow():
            async for page in log.tail("c", 2):
                seen.extend(page)
                if seen and seen[-1].seq == 8:
                    return

        task = asyncio.create_task(follow())
        for _ in range(3):
            await conversation.append(note())
        await asyncio.wait_for(task, 5)
        assert seqs(seen) == [3, 4, 5, 6, 7, 8]
        assert seen == (await everything(log, "c"))[2:]

    @pytest.mark.parametrize("after", [0, 3, 1000])
    async def test_nothing_is_missed_or_doubled_however_slow_one_reads(self, store, after):
        log, reader = store.write(), None
        conversation = await log.conversation("c", create=True)
        await conversation.append(*notes(3))
        reader = store.read()
        total = 3 * RECENT + 300
        results = []

        async def follow(source, pause):
            seen = []
            async for page in source.tail("c", after):
                seen += page
                for _ in range(pause):
                    await asyncio.sleep(0)
                if seen and seen[-1].seq >= total:
                    break
            results.append(seqs(seen))

        async def write_on():
            number = 3
            while number < total:
                many = min(1 + number % 40, total - number)
                commit = conversation.append(*notes(many))
                number += many
                if number % 3 == 0:
                    await commit
                else:
                    await asyncio.sleep(0)

        followers = [follow(log, 0), follow(log, 1), follow(log, 50), follow(reader, 0)]
        await asyncio.wait_for(asyncio.gather(write_on(), *followers), 30)
        assert results == [list(range(after + 1, total + 1))] * 4

    async def test_only_what_is_committed_is_told(self, log):
        conversation = await log.conversation("c", create=True)
        await conversation.append(note())
        async for page in log.tail("c", 0):
            assert all(record.seq <= conversation.committed_seq for record in page)
            if page and page[-1].seq == 10:
                break
            if conversation.head.seq < 10:
                conversation.append(note())

    async def test_who_gives_wake_is_woken_by_it(self, log):
        await write(log, "c", note())
        wake = asyncio.Event()
        tail = log.tail("c", 0, wake)
        assert seqs(await anext(tail)) == [1]
        assert await anext(tail) == []
        waiting = asyncio.ensure_future(anext(tail))
        await asyncio.sleep(0)
        assert not waiting.done()
        wake.set()
        assert await asyncio.wait_for(waiting, 5) == []
        waiting = asyncio.ensure_future(anext(tail))
        await write(log, "c", note())
        assert seqs(await asyncio.wait_for(waiting, 5)) == [2]
        await tail.aclose()

    async def test_a_conversation_that_is_let_go_meanwhile_is_followed(self, log):
        await write(log, "c", note())
        seen = []

        async def follow():
            async for page in log.tail("c", 0):
                seen.extend(page)
                if len(seen) == 4:
                    return

        task = asyncio.create_task(follow())
        for _ in range(3):
            await write(log, "c", note())
            await asyncio.sleep(0)
        await asyncio.wait_for(task, 5)
        assert seqs(seen) == [1, 2, 3, 4]

    async def test_it_ends_when_the_log_is_closed(self, store):
        writer = store.write()
        await write(writer, "c", note())
        reader = store.read()

        async def follow(log):
            return [record.seq async for page in log.tail("c", 0) for record in page]

        tasks = [asyncio.create_task(follow(log)) for log in (writer, reader)]
        await write(writer, "c", note())
        await reader.close()
        await writer.close()
        ends = await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert ends[0] == [1, 2]

    async def test_it_ends_when_the_conversation_is_purged(self, log):
        await write(log, "c", note())

        caught_up = asyncio.Event()

        async def follow():
            async for page in log.tail("c", 0):
                if not page:
                    caught_up.set()

        task = asyncio.create_task(follow())
        await caught_up.wait()
        await log.purge("c")
        with pytest.raises(UnknownConversation):
            await asyncio.wait_for(task, 5)


class TestPurging:
    async def test_nothing_is_left(self, log):
        await write(log, "c", *notes(3))
        await write(log, "d", note())
        await log.purge("c")
        assert await log.find("c") is None
        assert [c.summary.id for c in await log.conversations()] == ["d"]
        with pytest.raises(UnknownConversation):
            await log.read("c")
        assert await faults(log) == []

    async def test_its_id_is_free_again(self, store):
        log = store.write()
        await write(log, "c", *notes(3))
        await log.purge("c")
        await write(log, "c", note("new"))
        await log.close()
        log = store.write()
        assert [r.event().note.text for r in await everything(log, "c")] == ["new"]
        assert await faults(log) == []

    async def test_who_holds_it_cannot_write_it_any_more(self, log):
        conversation = await log.conversation("c", create=True)
        await conversation.append(note())
        purging = asyncio.create_task(log.purge("c"))
        kept = 0
        while True:
            try:
                await conversation.append(note())
                kept += 1
            except UnknownConversation:
                break
        await purging
        with pytest.raises(UnknownConversation):
            conversation.append(note())
        with pytest.raises(UnknownConversation):
            await log.conversation("c")
        assert await faults(log) == []
        await write(log, "d", note())

    async def test_a_fork_that_was_not_begun_yet_cannot_begin(self, log):
        await write(log, "c", *notes(3))
        unborn = await log.fork("c", 2, "d")
        await log.purge("c")
        with pytest.raises(LogError, match="purged"):
            unborn.append(note())
        await write(log, "e", note())
        assert await faults(log) == []

    async def test_space_is_given_back(self, store):
        log = store.write()
        await write(log, "c", *[note("x" * 5000) for _ in range(200)])
        await log.close()
        log = store.write()
        before = log.size()
        await log.purge("c")
        await log.close()
        assert store.read().size() < before / 4


class TestForks:
    async def test_begins_with_what_its_source_was(self, log):
        source = await write(log, "c", started(), step("1"), done("1"), said("on"))
        own = await fork(log, "c", 3, "d", note("own"))
        assert await everything(log, "d") == source[:3] + own
        assert seqs(own) == [4, 5]
        await write(log, "c", note("later"))
        assert len(await everything(log, "d")) == 5
        assert (await log.find("d")).summary.parent_id == "c"
        for seq in range(1, 6):
            assert await log.state("d", seq) == folded((source[:3] + own)[:seq])
        assert await faults(log) == []

    async def test_pages_run_across_the_border(self, log):
        source = await write(log, "c", *notes(5))
        written = source[:3] + await fork(log, "c", 3, "d", note(), note())
        for newest_first, after, limit in product([False, True], range(8), [1, 2, 3, 500]):
            wanted = [r for r in written if r.seq > after]
            wanted = wanted[::-1] if newest_first else wanted
            page = {"after": after, "limit": limit, "newest_first": newest_first}
            assert await log.read("d", **page) == wanted[:limit], page

    async def test_filters_run_across_the_border(self, log):
        await write(log, "c", said("1"), step("1"), done("1"), said("not in the fork"))
        await fork(log, "c", 3, "d", said("2"), step("1"))
        assert seqs(await log.read("d", kinds=["message"])) == [1, 5]
        assert seqs(await log.read("d", kinds=["message"], newest_first=True, limit=1)) == [5]
        assert seqs(await log.read("d", step="1")) == [2, 3, 6]

    async def test_forks_of_forks(self, log):
        """Also at an event that is the grandparent's, and with forks of the same seq."""
        texts = {"a": [r.event().note.text for r in await write(log, "a", *notes(6, "a"))]}
        for source, seq, new in (
            ("a", 4, "b"),
            ("b", 6, "c"),
            ("b", 2, "d"),
            ("c", 4, "e"),
            ("c", 5, "f"),
            ("e", 1, "g"),
            ("g", 1, "h"),
        ):
            own = await fork(log, source, seq, new, note(f"{new} 1"), note(f"{new} 2"))
            texts[new] = texts[source][:seq] + [r.event().note.text for r in own]
        for name, wanted in texts.items():
            records = await everything(log, name)
            assert [r.event().note.text for r in records] == wanted, name
            for seq in (1, 2, len(records)):
                assert await log.state(name, seq) == folded(records[:seq])
        assert await faults(log) == []
        for gone in ("b", "a", "e", "c"):
            before = {name: await everything(log, name) for name in texts}
            await log.purge(gone)
            del texts[gone]
            for name in texts:
                assert await everything(log, name) == before[name], (gone, name)
            assert await faults(log) == []

    async def test_keyframes_run_across_the_border(self, store, monkeypatch):
        monkeypatch.setattr("axtui.runtime.eventlog.conversation.KEYFRAME_EVERY", 4)
        log = store.write()
        for draft in notes(10):
            await write(log, "c", draft)
        for seq, name in ((3, "d"), (4, "e"), (9, "f")):
            await fork(log, "c", seq, name)
            for draft in notes(6):
                await write(log, name, draft)
        for purge in (False, True):
            if purge:
                await log.purge("c")
            for name in ("d", "e", "f"):
                records = await everything(log, name)
                for seq in range(1, len(records) + 1):
                    assert await log.state(name, seq) == folded(records[:seq]), (name, seq)
            assert await faults(log) == []

    async def test_requests_of_the_source_are_not_those_of_the_fork(self, log):
        await write(log, "c", note(request_id="r"), note(request_id="s"))
        await fork(log, "c", 2, "d", note(request_id="t"))
        for _ in range(2):
            assert await log.request_seq("d", "r") is None
            assert await log.request_seq("d", "t") == 4
            if await log.find("c"):
                await log.purge("c")

    async def test_a_fork_is_followed_from_its_first_event(self, log):
        await write(log, "c", *notes(4))
        await fork(log, "c", 3, "d", note())
        seen = []
        async for page in log.tail("d", 0):
            seen += page
            if len(seen) == 5:
                break
        assert seqs(seen) == [1, 2, 3, 4, 5]

    async def test_it_is_there_once_it_has_an_event(self, log):
        await write(log, "c", *notes(2))
        await log.fork("c", 1, "d")
        assert await log.find("d") is None
        assert len(await log.conversations()) == 1

    async def test_no_fork_of_what_is_not_there(self, log):
        await write(log, "c", *notes(2))
        for seq in (0, 3, -1):
            with pytest.raises(LogError, match="no event"):
                await log.fork("c", seq, "d")
        await fork(log, "c", 1, "d")

    async def test_no_fork_onto_what_is_there(self, log):
        await write(log, "c", *notes(2))
        await write(log, "d", note())
        for name in ("c", "d"):
            with pytest.raises(Taken):
                await log.fork("c", 1, name)
        results = await asyncio.gather(
            log.fork("c", 1, "e"), log.fork("c", 2, "e"), return_exceptions=True
        )
        assert sorted(type(r).__name__ for r in results) == ["Conversation", "Taken"]

    async def test_blobs_outlive_the_source(self, log):
        conversation = await log.conversation("c", create=True)
        early, late = said_big(conversation), Draft(pb.Note())
        await conversation.append(early, late)
        await fork(log, "c", 1, "d")
        await log.purge("c")
        assert await log.blob(early.payload.content[0].text.blob.digest)
        assert await faults(log) == []
        await log.purge("d")
        with pytest.raises(LogDamaged):
            await log.blob(early.payload.content[0].text.blob.digest)


class TestRestoring:
    async def test_is_exact(self, store):
        log = store.write()
        conversation = await log.conversation("c", create=True)
        big = said_big(conversation)
        await conversation.append(started(), big, note("x", request_id="r"), step("1"))
        records, state = await everything(log, "c"), await log.state("c")
        found, head = await log.find("c"), await log.head("c")
        blob = big.payload.content[0].text.blob.digest
        data = await log.blob(blob)
        await log.purge("c")
        await log.restore("c", records, [(blob, data)])
        assert await everything(log, "c") == records
        assert await log.state("c") == state
        assert await log.find("c") == found
        assert await log.head("c") == head
        assert await log.blob(blob) == data
        assert await log.request_seq("c", "r") == 3
        assert await faults(log) == []
        await write(log, "c", done("1"))
        assert await faults(log) == []

    async def test_an_id_that_exists_is_refused(self, log):
        await write(log, "c", note("mine"))
        with pytest.raises(Taken):
            await log.restore("c", await everything(log, "c"), [])
        assert len(await everything(log, "c")) == 1
        held = await log.conversation("held", create=True)
        with pytest.raises(Taken):
            await log.restore("held", await everything(log, "c"), [])
        await held.append(note())

    async def test_a_long_one_has_keyframes_along_the_way(self, log, monkeypatch):
        await write(log, "c", *notes(1100))
        records = await everything(log, "c")
        await log.purge("c")
        await log.restore("c", records, [])
        seen = []
        apply = reader.apply
        monkeypatch.setattr(reader, "apply", lambda s, e: (seen.append(e), apply(s, e)))
        assert await log.state("c", 600) == folded(records[:600])
        assert len(seen) < KEYFRAME_EVERY

    async def test_events_without_their_payload_and_of_later_versions(self, log):
        await write(log, "c", *notes(3))
        records = await everything(log, "c")
        later = pb.Event(
            conversation_id="c",
            seq=4,
            kind="run.teleported",
            prev_hash=envelope_hash(records[-1].envelope),
            time_us=records[-1].event().time_us,
            payload_digest=sha256(b"\x9a\x06\x02hi").digest(),
        )
        records[1] = records[1]._replace(payload=None)
        records.append(
            records[0]._replace(
                seq=4,
                kind="run.teleported",
                envelope=later.SerializeToString(),
                payload=b"\x9a\x06\x02hi",
            )
        )
        await log.purge("c")
        await log.restore("c", records, [])
        assert await everything(log, "c") == records
        assert (await log.state("c")).totals.unknown_events == 1
        assert await faults(log) == []
