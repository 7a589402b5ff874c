"""What a person types to see only some events, and the events that it lets through."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from typing import NamedTuple

from axtui.client import LogError, Refused, Unreachable
from axtui.model.events import Record, payload_of
from axtui.ui.log_view import LogView
from axtui.ui.rows import event_of
from axtui.v1 import event_pb2 as pb

_FIELDS = ("kind", "actor", "step")


class Filter(NamedTuple):
    """All that must hold of an event: one of the kinds, one of the actors, one of the steps, and
    every word in its kind, its actor or somewhere in what it says, whatever the case. Empty:
    anything."""

    kinds: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def matches(self, record: Record) -> bool:
        """Whether an event is let through. What needs no decoding is looked at first."""
        if self.kinds and not any(kind in record.kind for kind in self.kinds):
            type = event_of(record).step_started.type if record.kind == "step.started" else ""
            if type not in self.kinds:
                return False
        return all(_says(record, word) for word in self.words) and (
            not (self.actors or self.steps) or self._decoded(event_of(record))
        )

    def _decoded(self, event: pb.Event) -> bool:
        if self.actors and event.actor.lower() not in self.actors:
            return False
        return not self.steps or step_of(event) in self.steps


def _says(record: Record, word: str) -> bool:
    payload = record.payload or b""
    if word.isascii():
        found = word.encode() in payload.lower()
    else:
        found = word in payload.decode(errors="replace").lower()
    return found or word in record.kind or word in event_of(record).actor.lower()


def parse_filter(text: str) -> Filter:
    """`kind:tool actor:coder step:3`, several of one kind as alternatives, and any other words."""
    found: dict[str, list[str]] = {field: [] for field in _FIELDS}
    words = []
    for word in text.lower().split():
        field, colon, value = word.partition(":")
        if colon and value and field in found:
            found[field].append(value)
        else:
            words.append(word)
    return Filter(tuple(found["kind"]), tuple(found["actor"]), tuple(found["step"]), tuple(words))


def step_of(event: pb.Event) -> str:
    """The key of the step that an event is about, if it is about one."""
    payload = payload_of(event)
    for name in ("key", "step"):
        if key := getattr(payload, name, ""):
            return str(key)
    return ""


class Matches:
    """The seqs that a filter lets through, found from the newest backwards and kept up from there.

    `grew` is called with the number of seqs that came before those there were.
    """

    def __init__(self, view: LogView, filter: Filter, grew: Callable[[int], None]) -> None:
        self._view = view
        self._filter = filter
        self._grew = grew
        self._older = array("q")
        self._newer = array("q")
        # All up to this have yet to be looked at.
        self.left = view.head
        self.problem: Exception | None = None
        view.listeners.append(self._take)

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    def __getitem__(self, index: int) -> int:
        older = len(self._older)
        return self._older[older - 1 - index] if index < older else self._newer[index - older]

    def index(self, seq: int) -> int:
        """The row of a seq, or of the first one after it."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self[middle] < seq:
                low = middle + 1
            else:
                high = middle
        return low

    async def scan(self) -> None:
        """Look at all there is, a portion at a time. Where it can't be read, `problem` says why."""
        while self.left:
            try:
                page = await self._view.client.read(
                    self._view.conversation_id, before=self.left + 1, newest_first=True
                )
            except (Refused, LogError, Unreachable) as error:
                self.problem = error
                self._grew(0)
                return
            found = [record for record in page if self._filter.matches(record)]
            if not self._older and not self._newer:
                # They are in sight next.
                for record in found:
                    self._view.keep(record)
            self._older.extend(record.seq for record in found)
            self.left = page[-1].seq - 1 if page else 0
            self._grew(len(found))
            await asyncio.sleep(0)

    def close(self) -> None:
        """Take no more."""
        self._view.listeners.remove(self._take)

    def _take(self, records: list[Record]) -> None:
        self._newer.extend(r.seq for r in records if self._filter.matches(r))
