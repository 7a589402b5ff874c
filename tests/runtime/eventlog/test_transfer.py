"""Export and import: the same bytes in another store."""

import base64
import json
from hashlib import sha256

import pytest

from axtui.model.codec import dump_json
from axtui.model.events import Draft, envelope_hash
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import CONTROL_LOG, LogError, Taken
from axtui.runtime.transfer import export_lines, import_lines
from axtui.v1 import event_pb2 as pb

from .conftest import SqliteStore
from .drafts import BIG, done, everything, faults, fork, note, said, started, step, write


@pytest.fixture
async def other(folder):
    """A second, empty log."""
    store = SqliteStore(folder / "other" / "log.db")
    yield store.write()
    await store.close()


async def exported(log, name="c"):
    lines = [line async for line in export_lines(log, name)]
    for line in lines:
        assert "\n" not in line
        line.encode()
    return lines


async def with_everything(log):
    """A conversation with a fork's prefix, blobs, an erased payload and an unknown kind."""
    await write(log, "p", started(), said("hello é \u2028"), note("x", request_id="r"))
    await fork(log, "p", 3, "c", step("1"), done("1"))
    conversation = await log.conversation("c")
    for _ in range(2):
        data = conversation.data(BIG)
        await conversation.append(Draft(pb.StepCompleted(key="1", result=data)))
    odd = pb.Data(text=dump_json({"lone": "\ud800", "blob": [1, 1.0, True, None, 2**70]}))
    await conversation.append(Draft(pb.StepCompleted(key="1", result=odd)))
    records = await everything(log, "c")
    records[2] = records[2]._replace(payload=None)
    last = records[-1]
    envelope = pb.Event(
        conversation_id="c",
        seq=last.seq + 1,
        time_us=last.event().time_us,
        kind="run.teleported",
        prev_hash=envelope_hash(last.envelope),
        payload_digest=sha256(b"\x9a\x06\x02hi").digest(),
    ).SerializeToString()
    records.append(
        last._replace(
            seq=last.seq + 1, kind="run.teleported", envelope=envelope, payload=b"\x9a\x06\x02hi"
        )
    )
    blob = (sha256(BIG.encode()).digest(), BIG.encode())
    await log.purge("c")
    await log.restore("c", records, [blob])
    return records


async def test_there_and_back_is_the_same(log, other):
    records = await with_everything(log)
    lines = await exported(log)
    assert sum('"blob"' in line and "digest" in line for line in lines) == 1
    assert await import_lines(other, lines) == ("c", len(records))
    assert await everything(other, "c") == records
    assert await other.state("c") == await log.state("c")
    assert await other.find("c") == await log.find("c")
    assert await other.head("c") == await log.head("c")
    assert await faults(other) == []
    assert await exported(other) == lines
    assert (await other.blob(sha256(BIG.encode()).digest())).decode() == BIG
    # It goes on there, and what was asked of the source was not asked of it.
    await write(other, "c", note())
    assert await other.request_seq("c", "r") is None


async def test_a_fork_is_whole_without_its_source(log, other):
    source = await write(log, "p", *[note(str(n)) for n in range(5)])
    own = await fork(log, "p", 3, "c", note("own"))
    await import_lines(other, await exported(log))
    assert await everything(other, "c") == source[:3] + own
    assert await faults(other) == []
    await import_lines(other, await exported(log, "p"))
    assert await everything(other, "p") == source


async def test_a_long_one_goes_page_by_page(log, other):
    records = await write(log, "c", *[note(str(n)) for n in range(1203)])
    assert await import_lines(other, await exported(log)) == ("c", 1203)
    assert await everything(other, "c") == records


async def test_an_id_that_exists_is_refused(log):
    await write(log, "c", note())
    lines = await exported(log)
    with pytest.raises(Taken):
        await import_lines(log, lines)
    await log.purge("c")
    await import_lines(log, lines)


async def test_the_control_log_stays_where_it_is(log, other):
    await write(log, CONTROL_LOG, note())
    with pytest.raises(Refused, match="no id"):
        await import_lines(other, await exported(log, CONTROL_LOG))
    assert await other.find(CONTROL_LOG) is None


async def test_empty_lines_do_no_harm(log, other):
    await write(log, "c", note(), note())
    lines = await exported(log)
    await import_lines(other, ["", lines[0] + "\n", "  \n", lines[1] + "\r\n", ""])
    assert len(await everything(other, "c")) == 2


@pytest.mark.parametrize("lines", [[], ["", "\n"]])
async def test_nothing_is_refused(other, lines):
    with pytest.raises(Refused, match="no events"):
        await import_lines(other, lines)


def changed(field, value):
    return lambda entry: {**entry, field: value}


def flipped(field):
    def flip(entry):
        data = bytearray(base64.b64decode(entry[field]))
        data[len(data) // 2] ^= 1
        return {**entry, field: base64.b64encode(data).decode()}

    return flip


EVENTS = [
    flipped("envelope"),
    flipped("payload"),
    changed("envelope", "*"),
    changed("envelope", "é"),
    changed("envelope", None),
    changed("envelope", 5),
    changed("payload", 5),
    changed("payload", ""),
    changed("hash", "00"),
    changed("seq", 9),
    changed("seq", True),
    changed("seq", 2.0),
    changed("seq", "2"),
    changed("seq", None),
    changed("kind", "run.failed"),
    changed("kind", None),
    changed("kind", "blob"),
    changed("data", {}),
    changed("data", {"text": "forged"}),
    changed("data", {"key": "1", "attempt": True}),
    changed("actor", "someone"),
    changed("time", "1970-01-01T00:00:00.000000Z"),
    changed("more", 1),
    lambda entry: {k: v for k, v in entry.items() if k != "principal"},
    lambda entry: {k: v for k, v in entry.items() if k != "hash"},
    lambda entry: [entry],
    lambda entry: "x",
]


@pytest.mark.parametrize("tamper", EVENTS)
async def test_a_tampered_event_is_refused_by_its_line(log, other, tamper):
    await write(log, "c", note("1"), Draft(step("1").payload, principal="me"), note("3"))
    lines = await exported(log)
    lines[1] = json.dumps(tamper(json.loads(lines[1])))
    with pytest.raises(Refused, match="line 2 can't be imported") as refused:
        await import_lines(other, lines)
    assert "\n" not in str(refused.value)
    assert await other.conversations(deleted=True) == []


@pytest.mark.parametrize(
    "tamper",
    [flipped("data"), changed("digest", "00" * 32), changed("data", None), changed("more", 1)],
)
async def test_a_tampered_blob_is_refused_by_its_line(log, other, tamper):
    conversation = await log.conversation("c", create=True)
    data = conversation.data(BIG)
    await conversation.append(note(), Draft(pb.StepCompleted(key="1", result=data)))
    lines = await exported(log)
    lines[1] = json.dumps(tamper(json.loads(lines[1])))
    with pytest.raises(Refused, match="line 2 can't be imported"):
        await import_lines(other, lines)
    assert await other.conversations() == []


@pytest.mark.parametrize(
    ("arrange", "line"),
    [
        (lambda lines: ["{" + lines[0], *lines[1:]], 1),
        (lambda lines: [lines[0], "[" * 10**5, *lines[1:]], 2),
        (lambda lines: [lines[0], '{"seq": ' + "1" * 5000 + "}"], 2),
        (lambda lines: lines[1:], 2),
        (lambda lines: [lines[0], lines[0], *lines[1:]], 2),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2),
        (lambda lines: [lines[0], lines[1], lines[3]], 3),
        (lambda lines: [lines[0], lines[2], lines[3]], 2),
        (lambda lines: lines[:2], 2),
    ],
    ids=["broken", "deep", "huge", "headless", "twice", "late blob", "gap", "no blob", "cut off"],
)
async def test_other_lines_than_were_written_are_refused(log, other, arrange, line):
    conversation = await log.conversation("c", create=True)
    data = conversation.data(BIG)
    await conversation.append(note(), Draft(pb.StepCompleted(key="1", result=data)), note())
    lines = await exported(log)
    with pytest.raises(Refused, match=f"line {line} can't be imported"):
        await import_lines(other, arrange(lines))
    assert await other.conversations() == []


async def test_lines_of_two_conversations_are_refused(log, other):
    await write(log, "c", note())
    await write(log, "d", note(), note())
    with pytest.raises(Refused, match="line 3"):
        await import_lines(other, [*await exported(log), "", (await exported(log, "d"))[1]])


async def test_export_of_an_unknown_one(log):
    with pytest.raises(LogError, match="no conversation"):
        await exported(log, "none")
