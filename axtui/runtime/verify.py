"""Checking that the store holds what was written: the chain, the payloads, the projections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import NamedTuple

from google.protobuf.message import DecodeError

from axtui.model.events import Record, blobs_of, envelope_hash
from axtui.model.fold import FOLD_VERSION, apply
from axtui.model.summary import summarise
from axtui.runtime.eventlog.base import (
    ALL,
    CONTROL_LOG,
    EventLog,
    LogDamaged,
    LogError,
    UnknownConversation,
)
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

# Shorter than the way from one keyframe to the next.
_PAGE = 500


class Fault(NamedTuple):
    """Something that isn't as it was written."""

    conversation_id: str
    seq: int
    what: str


async def verify(log: EventLog, conversation_id: str | None) -> AsyncIterator[Fault | str]:
    """Check one conversation or all of them: the id of each that is sound, and every fault.

    With all of them goes the store as a whole; what is wrong there is a fault of conversation "".
    It may be written meanwhile: each conversation is checked up to where it was at some moment.
    """
    try:
        if conversation_id:
            if await log.find(conversation_id) is None:
                raise UnknownConversation(conversation_id)
            ids = [conversation_id]
        else:
            for what in await log.faults():
                yield Fault("", 0, what)
            ids = await _all_ids(log)
    except LogDamaged as error:
        yield Fault(conversation_id or "", 0, str(error))
        return
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
    state = st.State(version=FOLD_VERSION)
    try:
        async for fault in _verify_events(log, name, state):
            yield fault
    except UnknownConversation:
        # It was purged while this was on its way through the list.
        return
    except LogError as error:
        yield Fault(name, state.seq + 1, str(error))


async def _verify_events(log: EventLog, name: str, state: st.State) -> AsyncIterator[Fault]:
    head = await log.head(name)
    # Not before the head: what it says is checked on the way.
    listed = await log.find(name)
    if listed is None:
        raise UnknownConversation(name)
    if listed.seq < 1:
        yield Fault(name, 0, "it has no event")
    previous = b""
    while state.seq < listed.seq:
        page = await log.read(name, after=state.seq, before=listed.seq + 1, limit=_PAGE)
        for record in page:
            try:
                event = record.event()
            except DecodeError:
                yield Fault(name, record.seq, "its bytes aren't an event")
                return
            for what in await _check(log, name, record, event, previous):
                yield Fault(name, record.seq, what)
            previous = envelope_hash(record.envelope)
            if record.seq == head.seq and previous != head.hash:
                yield Fault(name, record.seq, "its hash isn't the one on record")
            apply(state, event)
            # Even if it says something else of itself, so that this comes to an end.
            state.seq = record.seq
        # Each keyframe is what the state at some page's end is made from.
        if what := await _compared(log, name, state):
            yield Fault(name, state.seq, what)
    if summarise(state) != listed.summary or state.time_us != listed.updated_us:
        yield Fault(name, state.seq, "the list says something else than the log")


async def _compared(log: EventLog, name: str, state: st.State) -> str:
    try:
        same = await log.state(name, state.seq) == state
    except LogDamaged as error:
        return str(error)
    return "" if same else "a keyframe says something else than the log"


async def _check(
    log: EventLog, name: str, record: Record, event: pb.Event, previous: bytes
) -> list[str]:
    faults = []
    if event.seq != record.seq or event.kind != record.kind:
        faults.append("it is stored under another seq or kind than its own")
    if event.prev_hash != previous:
        faults.append("it doesn't follow the event before it")
    if record.payload is not None and sha256(record.payload).digest() != event.payload_digest:
        faults.append("its payload was changed")
    if event.request_id and event.conversation_id == name:
        first = await log.request_seq(name, event.request_id)
        if first is None or first > event.seq:
            faults.append("its request isn't on record, and could be carried out again")
    for digest in blobs_of(event):
        try:
            await log.blob(digest)
        except LogError as error:
            faults.append(str(error))
    return faults
