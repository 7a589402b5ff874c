"""Short words for events that tests write."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from axtui.model.events import Draft, Record, user_message
from axtui.model.fold import fold
from axtui.runtime.eventlog.base import EventLog
from axtui.runtime.eventlog.conversation import INLINE_LIMIT, Conversation
from axtui.runtime.verify import Fault, verify
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

BIG = "é" * INLINE_LIMIT


def note(text: str = "", **fields: str) -> Draft:
    """A note."""
    return Draft(pb.Note(text=text), **fields)


def notes(count: int, word: str = "note") -> list[Draft]:
    """That many notes, each with its number."""
    return [note(f"{word} {number}") for number in range(1, count + 1)]


def started(agent: str = "writer", exec_id: str = "x") -> Draft:
    """The beginning of a run."""
    return Draft(pb.RunStarted(agent=agent), exec_id)


def said(text: str) -> Draft:
    """A message of a person."""
    return Draft(user_message(text))


def step(key: str) -> Draft:
    """The intent of a step."""
    return Draft(pb.StepStarted(key=key, type="tool", name="shell", attempt=1), "x", "writer")


def done(key: str) -> Draft:
    """The outcome of a step."""
    return Draft(pb.StepCompleted(key=key, attempt=1), "x", "writer")


def forked(conversation: Conversation, source_id: str) -> Draft:
    """What every fork begins with."""
    head = conversation.head
    return Draft(
        pb.ConversationForked(source_id=source_id, source_seq=head.seq, source_hash=head.hash)
    )


def used(key: str, tokens: int, cost_nusd: int = 0, unpriced: int = 0) -> Draft:
    """The outcome of a model call."""
    usage = pb.Usage(
        input_tokens=tokens, output_tokens=1, cost_nusd=cost_nusd, unpriced_calls=unpriced
    )
    return Draft(pb.StepCompleted(key=key, attempt=1, usage=usage), "x", "writer")


async def write(log: EventLog, conversation_id: str, *drafts: Draft) -> list[Record]:
    """Append to a conversation, made if there is none, and wait for the disk."""
    conversation = await log.conversation(conversation_id, create=True)
    commit = conversation.append(*drafts)
    await commit
    return commit.records


async def fork(
    log: EventLog, source_id: str, seq: int, new_id: str, *drafts: Draft
) -> list[Record]:
    """Fork a conversation, and append to the fork."""
    conversation = await log.fork(source_id, seq, new_id)
    commit = conversation.append(forked(conversation, source_id), *drafts)
    await commit
    return commit.records


async def everything(log: EventLog, conversation_id: str) -> list[Record]:
    """All events, page by page."""
    records: list[Record] = []
    while page := await log.read(conversation_id, after=records[-1].seq if records else 0):
        records += page
    return records


def folded(records: list[Record]) -> st.State:
    """The state that records add up to."""
    return fold(record.event() for record in records)


async def faults(log: EventLog, conversation_id: str | None = None) -> list[Fault]:
    """What verify finds."""
    return [found async for found in verify(log, conversation_id) if isinstance(found, Fault)]


def open_files(folder: Path) -> list[str]:
    """Which files of a folder this process has open; none where that can't be told."""
    found = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(descriptor))
    return [name for name in found if name.startswith(f"{folder}{os.sep}")]


class Cut:
    """A connection that fails just after a statement."""

    def __init__(self, connection: sqlite3.Connection, after: str) -> None:
        self.connection, self.after = connection, after

    def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
        done = self.connection.execute(statement, *args)
        if statement.startswith(self.after):
            raise sqlite3.OperationalError("power cut")
        return done
