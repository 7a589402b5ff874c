"""Checking that the store holds what was written: the chain, the payloads, the projections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import NamedTuple

from google.protobuf.message import DecodeError

from axtui.model.events import Record, blobs_of, envelope_hash
from axtui.model.fold import FOLD_VERSION, apply
from axtui.model.summary import summarise
from axtui.runtime.eventlog.base import ALL, CONTROL_LOG, EventLog, LogError, UnknownConversation
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st


class Fault(NamedTuple):
    """Something that isn't as it was written."""

    conversation_id: str
    seq: int
    what: str


async def verify(log: EventLog, conversation_id: str | None) -> AsyncIterator[Fault | str]:
    """Check one conversation or all of them: the id of each that is sound, and every fault."""
    ids = [conversation_id] if conversation_id else await _all_ids(log)
    for name in ids:
        sound = True
        async for fault in _verify_one(log, name):
            sound = False
            yield fault
        if sound:
            yield name


async def _all_ids(log: EventLog) -> list[str]:
    ids = [listed.summary.id for listed in await log.conversations(deleted=True, limit=ALL)]
    if await log.find(CONTROL_LOG) is not None:
        ids.append(CONTROL_LOG)
    return ids


async def _verify_one(log: EventLog, name: str) -> AsyncIterator[Fault]:
    listed = await log.find(name)
    if listed is None:
        raise UnknownConversation(name)
    state = st.State(version=FOLD_VERSION)
    previous = b""
    while state.seq < listed.seq:
        try:
            page = await log.read(name, after=state.seq)
        except LogError as error:
            yield Fault(name, state.seq + 1, str(error))
            return
        if not page:
            yield Fault(
                name, state.seq + 1, f"the last {listed.seq - state.seq} events are missing"
            )
            return
        for record in page:
            try:
                event = record.event()
            except DecodeError:
                yield Fault(name, record.seq, "its bytes aren't an event")
                return
            for what in await _check(log, record, event, previous):
                yield Fault(name, record.seq, what)
            previous = envelope_hash(record.envelope)
            apply(state, event)
    if previous != (await log.head(name)).hash:
        yield Fault(name, state.seq, "the hash of the last event isn't the one on record")
    if summarise(state) != listed.summary:
        yield Fault(name, state.seq, "the list says something else than the log")
    if await log.state(name) != state:
        yield Fault(name, state.seq, "a keyframe says something else than the log")


async def _check(log: EventLog, record: Record, event: pb.Event, previous: bytes) -> list[str]:
    faults = []
    if event.seq != record.seq or event.kind != record.kind:
        faults.append("it is stored under another seq or kind than its own")
    if event.prev_hash != previous:
        faults.append("it doesn't follow the event before it")
    if record.payload is not None and sha256(record.payload).digest() != event.payload_digest:
        faults.append("its payload was changed")
    for digest in blobs_of(event):
        try:
            await log.blob(digest)
        except LogError as error:
            faults.append(str(error))
    return faults
