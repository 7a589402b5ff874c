"""Verify finds whatever isn't as it was written."""

from contextlib import closing
from dataclasses import replace

import pytest

from axtui.model.events import Draft
from axtui.runtime import verify as verify_module
from axtui.runtime.eventlog import conversation as conversation_module
from axtui.runtime.eventlog.base import UnknownConversation
from axtui.runtime.eventlog.schema import connect
from axtui.runtime.verify import verify
from axtui.v1 import event_pb2 as pb
from tests.meddling import spread

from .drafts import BIG, done, faults, fork, note, said, started, step, write


@pytest.fixture
async def written(sqlite, monkeypatch):
    """A closed log of three conversations, with keyframes, a fork and a blob."""
    monkeypatch.setattr(conversation_module, "KEYFRAME_EVERY", 5)
    monkeypatch.setattr(verify_module, "_PAGE", 4)
    log = sqlite.write()
    await write(log, "a", started(), said("hello"))
    for number in range(4):
        await write(log, "a", step(str(number)), done(str(number)))
    await write(log, "b", note("one"), replace(note("two"), request_id="r"))
    conversation = await log.conversation("b")
    big = pb.StepCompleted(key="1", result=conversation.data(BIG))
    await write(log, "b", Draft(big))
    await fork(log, "a", 7, "f", note())
    assert await faults(log) == []
    await log.close()
    return sqlite


async def meddle(store, *statements):
    with spread(store.path) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount, statement
    return await faults(store.read())


A = "number = (SELECT number FROM conversations WHERE id = 'a')"


@pytest.mark.parametrize(
    ("statements", "where", "what"),
    [
        ([f"UPDATE events_ SET payload = x'' WHERE {A} AND seq = 3"], ("a", 3), "payload"),
        (
            [
                f"UPDATE events_ SET envelope = CAST(envelope || x'5801' AS BLOB)"
                f" WHERE {A} AND seq = 3"
            ],
            ("a", 4),
            "follow",
        ),
        (
            [f"UPDATE events_ SET envelope = x'ff' WHERE {A} AND seq = 3"],
            ("a", 3),
            "aren't an event",
        ),
        (
            [f"UPDATE events_ SET kind = 'note' WHERE {A} AND seq = 3"],
            ("a", 3),
            "another seq or kind",
        ),
        ([f"DELETE FROM events_ WHERE {A} AND seq = 3"], ("a", 1), "event 3"),
        ([f"DELETE FROM events_ WHERE {A} AND seq > 8"], ("a", 9), "missing"),
        (
            [
                f"UPDATE events_ SET seq = -1 WHERE {A} AND seq = 4",
                f"UPDATE events_ SET seq = 4 WHERE {A} AND seq = 5",
                f"UPDATE events_ SET seq = 5 WHERE {A} AND seq = -1",
            ],
            ("a", 4),
            "another seq",
        ),
        ([f"UPDATE heads SET hash = x'00' WHERE {A}"], ("a", 10), "hash"),
        ([f"UPDATE heads SET seq = 9 WHERE {A}"], ("a", 9), "hash"),
        ([f"UPDATE heads SET seq = 11 WHERE {A}"], ("a", 9), "event 11"),
        ([f"UPDATE heads SET updated_us = 1 WHERE {A}"], ("a", 10), "list"),
        ([f"UPDATE heads SET seq = 0 WHERE {A}"], ("a", 0), "no event"),
        ([f"DELETE FROM heads WHERE {A}"], ("", 0), "no head"),
        (["UPDATE conversations SET title = 'x' WHERE id = 'a'"], ("a", 10), "list"),
        (["UPDATE conversations SET state = 'failed' WHERE id = 'a'"], ("a", 10), "list"),
        (["UPDATE conversations SET created_us = 1 WHERE id = 'a'"], ("a", 10), "list"),
        (["UPDATE conversations SET tokens = 1 WHERE id = 'a'"], ("a", 10), "list"),
        (["UPDATE conversations SET cost_nusd = 1 WHERE id = 'a'"], ("a", 10), "list"),
        (["UPDATE conversations SET id = 'c' WHERE id = 'a'"], ("c", 10), "list"),
        (["DELETE FROM conversations WHERE id = 'b'"], ("", 0), "of no conversation"),
        (["UPDATE conversations SET parent = 99 WHERE id = 'f'"], ("f", 1), "missing"),
        (["UPDATE conversations SET parent = number WHERE id = 'f'"], ("f", 1), "missing"),
        (["UPDATE conversations SET parent_end = 5 WHERE id = 'f'"], ("f", 5), "event 6"),
        ([f"UPDATE keyframes SET state = x'0801' WHERE {A} AND seq = 5"], ("a", 8), "keyframe"),
        (
            [f"UPDATE keyframes SET state = CAST(state || x'480b' AS BLOB) WHERE {A}"],
            ("a", 8),
            "keyframe",
        ),
        ([f"UPDATE keyframes SET state = x'ff' WHERE {A}"], ("a", 8), "damaged"),
        (["UPDATE blobs SET data = x'00'"], ("b", 3), "blob"),
        (["DELETE FROM blobs"], ("b", 3), "blob"),
        (["DELETE FROM blob_refs"], ("", 0), "no event keeps the blob"),
        (["DELETE FROM requests"], ("b", 2), "request"),
        (["UPDATE requests SET seq = 3"], ("b", 2), "request"),
        (["DELETE FROM conversations WHERE id = 'a'"], ("f", 1), "missing"),
    ],
)
@pytest.mark.parametrize("table", ["fresh", "settled"])
async def test_it_is_found(written, statements, where, what, table):
    if table == "settled":
        await written.write().close()
    found = await meddle(written, *(s.replace("events_", table) for s in statements))
    assert [f for f in found if (f.conversation_id, f.seq) == where and what in f.what], found


async def test_what_is_sound_is_told_beside(written):
    await meddle(written, f"UPDATE heads SET hash = x'00' WHERE {A}")
    found = [entry async for entry in verify(written.read(), None)]
    assert [entry for entry in found if isinstance(entry, str)] == ["f", "b"]


async def test_of_one_conversation(written):
    log = written.read()
    assert [entry async for entry in verify(log, "b")] == ["b"]
    with pytest.raises(UnknownConversation):
        await faults(log, "none")


async def test_a_conversation_without_its_head_is_damaged(written):
    await meddle(written, f"DELETE FROM heads WHERE {A}")
    (fault,) = await faults(written.read(), "a")
    assert "head" in fault.what


async def test_an_erased_payload_is_no_fault(written):
    await meddle(written, f"UPDATE fresh SET payload = NULL WHERE {A} AND seq = 2")
    log = written.write()
    assert (await log.read("a"))[1].payload is None
    found = await faults(log, "a")
    # What was derived from it is as it was.
    assert {f.what for f in found} <= {
        "a keyframe says something else than the log",
        "the list says something else than the log",
    }


async def test_it_reads_page_by_page(sqlite, monkeypatch):
    log = sqlite.write()
    for _ in range(6):
        await write(log, "a", *[note("x" * 100) for _ in range(300)])
    sizes = []
    read = log.read

    async def counting(*args, **kwargs):
        page = await read(*args, **kwargs)
        sizes.append(len(page))
        return page

    monkeypatch.setattr(log, "read", counting)
    assert await faults(log) == []
    assert sizes == [500, 500, 500, 300]


async def test_a_head_of_before_is_found(written):
    """As if a page of the file had never been written."""
    with closing(connect(written.path, write=False)) as connection:
        before = connection.execute(f"SELECT seq, hash, updated_us FROM heads WHERE {A}").fetchone()
    log = written.write()
    await write(log, "a", note())
    await log.close()
    with closing(connect(written.path, write=True)) as connection:
        connection.execute(f"UPDATE heads SET seq = ?, hash = ?, updated_us = ? WHERE {A}", before)
    assert "behind the head of conversation a" in str(await faults(written.read()))
