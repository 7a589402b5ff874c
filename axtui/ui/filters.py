"""What a person types to see only some events, and the events that it lets through."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from axtui.model.events import payload_of

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.events import Record
    from axtui.ui.log_view import LogView
    from axtui.v1 import event_pb2 as pb

_FIELDS = ("kind", "actor", "step")


class Filter(NamedTuple):
    """All that must hold of an event: one of the kinds, one of the actors, one of the steps, and
    every word in it somewhere, whatever its case. Empty: anything."""

    kinds: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    words: tuple[bytes, ...] = ()

    def matches(self, record: Record) -> bool:
        """Whether an event is let through. What needs no decoding is looked at first."""
        if self.words:
            data = record.data.lower()
            if not all(word in data for word in self.words):
                return False
        if not (self.kinds or self.actors or self.steps):
            return True
        if self.kinds and not any(kind in record.kind for kind in self.kinds):
            type = record.event().step_started.type if record.kind == "step.started" else ""
            if type not in self.kinds:
                return False
        return not (self.actors or self.steps) or self._decoded(record)

    def _decoded(self, record: Record) -> bool:
        event = record.event()
        if self.actors and event.actor.lower() not in self.actors:
            return False
        return not self.steps or step_of(event) in self.steps


def parse_filter(text: str) -> Filter:
    """`kind:tool actor:coder step:3`, several of one kind as alternatives, and any other words."""
    found: dict[str, list[str]] = {field: [] for field in _FIELDS}
    words = []
    for word in text.split():
        field, colon, value = word.partition(":")
        if colon and value and field in found:
            found[field].append(value.lower())
        else:
            words.append(word.lower().encode())
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

    def __init__(
        self, client: Client, view: LogView, filter: Filter, grew: Callable[[int], None]
    ) -> None:
        self._client = client
        self._view = view
        self._filter = filter
        self._grew = grew
        self._older = array("q")
        self._newer = array("q")
        # All before this have yet to be looked at.
        self.left = view.head
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
        """Look at all there is, a portion at a time."""
        while self.left:
            page = await self._client.read(
                self._view.conversation_id, before=self.left + 1, newest_first=True
            )
            found = [record.seq for record in page if self._filter.matches(record)]
            self._older.extend(found)
            self.left = page[-1].seq - 1 if page else 0
            self._grew(len(found))
            await asyncio.sleep(0)

    def close(self) -> None:
        """Take no more."""
        self._view.listeners.remove(self._take)

    def _take(self, records: list[Record]) -> None:
        self._newer.extend(r.seq for r in records if self._filter.matches(r))
