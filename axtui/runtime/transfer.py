"""Conversations as files: one JSON object a line, readable, with the stored bytes beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from axtui.model.codec import dump_json, event_to_json
from axtui.model.events import Record, blobs_of, envelope_hash
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import EventLog
from axtui.v1 import event_pb2 as pb

MAX_LINE = 100 * 1024 * 1024


class Imported(NamedTuple):
    """What an import has stored."""

    conversation_id: str
    events: int


async def export_lines(log: EventLog, conversation_id: str) -> AsyncIterator[str]:
    """The lines of a conversation, blobs before the events that name them."""
    after = 0
    written: set[bytes] = set()
    while page := await log.read(conversation_id, after=after):
        for record in page:
            event = record.event()
            for digest in blobs_of(event):
                if digest not in written:
                    written.add(digest)
                    yield blob_line(digest, await log.blob(digest))
            yield event_line(record, event)
        after = page[-1].seq


def blob_line(digest: bytes, data: bytes) -> str:
    """The line of a blob."""
    return dump_json({"kind": "blob", "digest": digest.hex(), "data": _base64(data)})


def event_line(record: Record, event: pb.Event) -> str:
    """The line of an event."""
    line = event_to_json(event)
    line["hash"] = envelope_hash(record.envelope).hex()
    line["envelope"] = _base64(record.envelope)
    line["payload"] = None if record.payload is None else _base64(record.payload)
    return dump_json(line)


async def import_lines(log: EventLog, lines: Iterable[str]) -> Imported:
    """Store an exported conversation, byte for byte, in one transaction.

    Raises Refused if a line isn't what `export_lines` wrote, or the conversation exists already.
    """
    records: list[Record] = []
    blobs: dict[bytes, bytes] = {}
    unnamed: dict[bytes, int] = {}
    previous = b""
    conversation_id = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        entry = _parse(line, number)
        if entry.get("kind") == "blob":
            digest, data = _blob(entry, number)
            blobs[digest] = data
            unnamed[digest] = number
            continue
        record = _record(entry, number)
        event = _checked(record, entry, previous, len(records) + 1, number)
        for digest in blobs_of(event):
            if digest not in blobs:
                raise _wrong(number, f"blob {digest.hex()[:12]}… isn't in the lines before it")
            unnamed.pop(digest, None)
        conversation_id = event.conversation_id
        previous = envelope_hash(record.envelope)
        records.append(record)
    if unnamed:
        raise _wrong(min(unnamed.values()), "no event names this blob; is the file cut off?")
    if conversation_id.startswith("$") or not conversation_id.isprintable():
        raise Refused("usage", f"{conversation_id!r} is no id for a conversation")
    if not records:
        raise Refused("usage", "the file holds no events", "`axtui export ID` writes one that does")
    await log.restore(conversation_id, records, list(blobs.items()))
    return Imported(conversation_id, len(records))


def _parse(line: str, number: int) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise _wrong(number, f"it is longer than {MAX_LINE:,} characters")
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong(number, f"it isn't JSON ({error})") from None
    if not isinstance(entry, dict):
        raise _wrong(number, "it isn't a JSON object")
    return entry


def _blob(entry: dict[str, Any], number: int) -> tuple[bytes, bytes]:
    data = _bytes(entry, "data", number)
    digest = sha256(data).digest()
    if entry != {"kind": "blob", "digest": digest.hex(), "data": entry["data"]}:
        raise _wrong(number, "its digest isn't that of its data")
    return digest, data


def _record(entry: dict[str, Any], number: int) -> Record:
    payload = None if entry.get("payload") is None else _bytes(entry, "payload", number)
    seq, kind = entry.get("seq"), entry.get("kind")
    if not isinstance(seq, int) or not isinstance(kind, str):
        raise _wrong(number, "it has no seq or no kind")
    return Record(seq, kind, _bytes(entry, "envelope", number), payload)


def _checked(
    record: Record, entry: dict[str, Any], previous: bytes, seq: int, number: int
) -> pb.Event:
    """The event of a line whose bytes, hashes and readable part agree."""
    try:
        event = record.event()
    except DecodeError:
        raise _wrong(number, "its bytes aren't an event") from None
    if event.seq != seq or event.prev_hash != previous:
        raise _wrong(number, f"it doesn't follow event {seq - 1}")
    if record.payload is not None and sha256(record.payload).digest() != event.payload_digest:
        raise _wrong(number, "its payload was changed")
    if entry.get("hash") != envelope_hash(record.envelope).hex():
        raise _wrong(number, "its hash is another one")
    readable = {k: v for k, v in entry.items() if k not in ("hash", "envelope", "payload")}
    if _sorted(readable) != _sorted(event_to_json(event)):
        raise _wrong(number, "its readable part says something else than its bytes")
    return event


def _sorted(value: dict[str, Any]) -> str:
    # As text: 1, 1.0 and true would be the same.
    return json.dumps(value, sort_keys=True)


def _bytes(entry: dict[str, Any], field: str, number: int) -> bytes:
    try:
        return base64.b64decode(entry[field], validate=True)
    except (KeyError, TypeError, ValueError):
        raise _wrong(number, f"its {field!r} isn't base64") from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _wrong(number: int, what: str) -> Refused:
    return Refused("usage", f"line {number} can't be imported: {what}", "nothing was stored")
