"""What was said in a conversation, as far back as was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from axtui.client import LogError, Refused, Unreachable
from axtui.model.events import TERMINAL_KINDS, Record, message_text, text_of
from axtui.model.words import printable
from axtui.ui.log_view import LogView
from axtui.ui.rows import event_of
from axtui.v1 import event_pb2 as pb

# Of one message; the inspector has the whole.
MAX_CHARS = 20_000
CHUNK = 200
_KINDS = ("message", "note", *sorted(TERMINAL_KINDS))


class Said(NamedTuple):
    """One message. `thought` is one that was not said aloud; `more` how many characters aren't
    shown."""

    seq: int
    time_us: int
    who: str
    is_person: bool
    text: str
    thought: bool
    more: int
    step: str
    attempt: int
    to: str
    """The agent it was said to while its run was open."""


class Chat:
    """Messages in order, private ones left out. Those of an attempt of a step that there was a
    later one of are dropped. `changed` is called when there are others."""

    def __init__(self, view: LogView, changed: Callable[[], None]) -> None:
        self.messages: list[Said] = []
        self.problem: Exception | None = None
        self._view = view
        self._changed = changed
        # All up to this have yet to be looked at.
        self.left = view.head
        # What agents have heard of what was said to them, and the end of the last run.
        self._heard: set[int] = set()
        self._ended = 0
        view.listeners.append(self._take)

    async def more(self, count: int = CHUNK) -> None:
        """Find so many older ones, or all there are. `problem` says why that can't be."""
        wanted = len(self.messages) + count
        try:
            while self.left and len(self.messages) < wanted:
                page = await self._view.client.read(
                    self._view.conversation_id,
                    before=self.left + 1,
                    kinds=_KINDS,
                    limit=count,
                    newest_first=True,
                )
                for record in page:
                    if record.kind != "message":
                        self._hear(record)
                spoken = (_said(record) for record in page if record.kind == "message")
                found = [said for said in spoken if said]
                found = [said for said in found if not await self._is_superseded(said)]
                self.messages[:0] = reversed(found)
                self.left = page[-1].seq - 1 if page else 0
                self._changed()
                await asyncio.sleep(0)
        except (Refused, LogError, Unreachable) as error:
            self.problem = error
            self._changed()

    def forget(self, most: int) -> None:
        """Of more than so many, keep the latest half; `more` finds the others again."""
        if len(self.messages) > most:
            self.messages = self.messages[-(most // 2) :]
            self.left = self.messages[0].seq - 1

    def is_unheard(self, said: Said) -> bool:
        """Whether it was said to an agent at work, which hasn't heard it yet."""
        return bool(said.to) and said.seq > self._ended and said.seq not in self._heard

    def close(self) -> None:
        """Take no more."""
        self._view.listeners.remove(self._take)

    async def _is_superseded(self, said: Said) -> bool:
        if not said.attempt:
            return False
        later = await self._view.client.read(
            self._view.conversation_id,
            after=said.seq,
            kinds=("step.started",),
            step=said.step,
            limit=1,
        )
        # A later run has a step of that key too, which begins at the first attempt.
        return bool(later) and event_of(later[0]).step_started.attempt > said.attempt

    def _take(self, records: list[Record]) -> None:
        before = len(self.messages)
        changed = False
        for record in records:
            if record.kind == "message":
                if said := _said(record):
                    self.messages.append(said)
            elif record.kind in _KINDS:
                self._hear(record)
                changed = True
            elif record.kind == "step.started":
                changed |= self._supersede(event_of(record).step_started)
        if changed or len(self.messages) > before:
            self._changed()

    def _hear(self, record: Record) -> None:
        """Keep in mind what an event says of messages."""
        if record.kind == "note":
            self._heard.update(event_of(record).note.heard)
        else:
            self._ended = max(self._ended, record.seq)

    def _supersede(self, started: pb.StepStarted) -> bool:
        if started.attempt < 2:
            return False
        kept = [
            said
            for said in self.messages
            if not 0 < said.attempt < started.attempt or said.step != started.key
        ]
        dropped = len(kept) < len(self.messages)
        self.messages = kept
        return dropped


def _said(record: Record) -> Said | None:
    event = event_of(record)
    message = event.message
    if message.internal_only:
        return None
    whole = message_text(message)
    aloud = bool(whole)
    if not aloud:
        thoughts = (part.thought for part in message.content if part.HasField("thought"))
        whole = "".join(map(text_of, thoughts))
    size = max(len(whole), *(_size(part) for part in message.content), 0)
    person = message.role == "user"
    who = (event.principal or event.actor if person else event.actor) or message.role
    return Said(
        event.seq,
        event.time_us,
        printable(f"{who} to {message.to}" if message.to else who),
        person,
        printable(whole[:MAX_CHARS]).expandtabs(4),
        not aloud,
        max(0, size - min(len(whole), MAX_CHARS)),
        message.step,
        message.attempt,
        message.to,
    )


def _size(part: pb.Content) -> int:
    data = part.text if part.HasField("text") else part.thought
    return data.blob.size if data.HasField("blob") else 0
