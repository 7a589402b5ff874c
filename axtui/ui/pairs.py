"""What belongs together in a log: a step and its outcome, a question and its answer."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from operator import neg
from typing import NamedTuple

from axtui.client import LogError, Refused, Unreachable
from axtui.model.events import STEP_KINDS, TERMINAL_KINDS, Record
from axtui.ui.filters import Filter
from axtui.ui.log_view import LogView
from axtui.ui.rows import event_of
from axtui.v1 import event_pb2 as pb

PAIRED_KINDS = (
    *sorted(STEP_KINDS),
    *("approval.requested", "approval.answered", "run.started"),
    *sorted(TERMINAL_KINDS),
)
_BEGINNINGS = frozenset({"step.started", "approval.requested"})
_ENDS = frozenset({"step.completed", "step.failed", "approval.answered"})
# Of a damaged log; a sound one has no more open than the fold keeps.
_MAX_OPEN = 10_000


class Pair(NamedTuple):
    """A beginning and its end, by seq and time; `end` is 0 while it is open. What neither begins
    nor ends anything ends with itself."""

    seq: int
    end: int
    start_us: int
    end_us: int


class _Columns:
    """Pairs in arrays, 32 bytes each."""

    def __init__(self) -> None:
        self.seq, self.end, self.start_us, self.end_us = (array("q") for _ in range(4))

    def __len__(self) -> int:
        return len(self.seq)

    def __getitem__(self, index: int) -> Pair:
        return Pair(self.seq[index], self.end[index], self.start_us[index], self.end_us[index])

    def insert(self, index: int, pair: Pair) -> None:
        for column, value in zip(self._all(), pair, strict=True):
            column.insert(index, value)

    def append(self, pair: Pair) -> None:
        for column, value in zip(self._all(), pair, strict=True):
            column.append(value)

    def _all(self) -> Iterator[array[int]]:
        yield from (self.seq, self.end, self.start_us, self.end_us)


class Pairs:
    """Pairs in the order of their beginnings: the latest first found by `more`, those to come as
    the log grows. An attempt of a step is a pair of its own. With `kinds` only events of these are
    looked at. The filter is about what begins a pair.

    `grew` is called with the number of pairs that came before those there were, and when one of
    those has changed with 0.
    """

    def __init__(
        self,
        view: LogView,
        filter: Filter,
        grew: Callable[[int], None],
        kinds: Sequence[str] = (),
    ) -> None:
        self._view = view
        self._filter = filter
        self._grew = grew
        self._kinds = kinds
        # The older ones newest first.
        self._older, self._newer = _Columns(), _Columns()
        # Beginnings without an end, by what belongs together; ends whose beginning is older.
        self._open: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], Pair] = {}
        # The end of the run after what is looked at next: nothing before it is open.
        self._cut: Pair | None = None
        # Whether what comes in is of a run whose beginning has yet to be found.
        self._older_run = True
        self._head = self.left = view.head
        self.problem: Exception | None = None
        view.listeners.append(self._take)

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    def __getitem__(self, index: int) -> Pair:
        columns, place = self._place(index)
        return columns[place]

    def index(self, seq: int) -> int:
        """The row of what begins with a seq, or of the last that begins before it."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            columns, place = self._place(middle)
            if columns.seq[place] <= seq:
                low = middle + 1
            else:
                high = middle
        return max(0, low - 1)

    async def more(self, count: int) -> None:
        """Find so many older ones, or all there are. Where the log can't be read, `problem` says
        why."""
        wanted = len(self) + count
        while self.left and len(self) < wanted:
            try:
                page = await self._view.client.read(
                    self._view.conversation_id,
                    before=self.left + 1,
                    kinds=self._kinds,
                    newest_first=True,
                )
            except (Refused, LogError, Unreachable) as error:
                self.problem = error
                return
            if not len(self._older) and not len(self._newer):
                # They are in sight next.
                for record in reversed(page):
                    self._view.keep(record)
            before = len(self._older)
            for record in page:
                self._take_older(record)
            self.left = page[-1].seq - 1 if page else 0
            if not self.left:
                self._never_begun()
            self._grew(len(self._older) - before)
            await asyncio.sleep(0)

    def close(self) -> None:
        """Take no more."""
        self._view.listeners.remove(self._take)

    def _place(self, index: int) -> tuple[_Columns, int]:
        older = len(self._older)
        if index < older:
            return self._older, older - 1 - index
        return self._newer, index - older

    def _take_older(self, record: Record) -> None:
        event = event_of(record)
        own = Pair(event.seq, event.seq, event.time_us, event.time_us)
        if record.kind in _ENDS:
            if len(self._ends) < _MAX_OPEN:
                self._ends[_key(event)] = own
            return
        if record.kind in TERMINAL_KINDS or record.kind == "run.started":
            self._never_begun()
            self._cut, self._older_run = own, False
        elif record.kind in _BEGINNINGS:
            end = self._ends.pop(_key(event), None) or self._cut
            if end is None:
                self._remember(_key(event), event.seq)
                own = own._replace(end=0, end_us=0)
            else:
                own = own._replace(end=end.seq, end_us=end.end_us)
        if self._shown(record):
            self._older.append(own)

    def _never_begun(self) -> None:
        """Show what has ended without a beginning: it was refused."""
        for end in () if any(self._filter) else self._ends.values():
            if end.seq > self._head:
                self._newer.insert(bisect(self._newer.seq, end.seq), end)
            else:
                newest_first = bisect(self._older.seq, -end.seq, key=neg)
                self._older.insert(newest_first, end)
        self._ends.clear()

    def _take(self, records: list[Record]) -> None:
        for record in records:
            if not self._kinds or record.kind in self._kinds:
                self._take_newer(record)

    def _take_newer(self, record: Record) -> None:
        event = event_of(record)
        own = Pair(event.seq, event.seq, event.time_us, event.time_us)
        if record.kind in _ENDS:
            if begun := self._open.pop(_key(event), 0):
                self._end(begun, own)
                return
            if self._older_run and self.left:
                if len(self._ends) < _MAX_OPEN:
                    self._ends[_key(event)] = own
            elif not any(self._filter):
                # It was refused, and has no beginning.
                self._newer.append(own)
            return
        if record.kind == "run.started":
            self._older_run = False
        elif record.kind in TERMINAL_KINDS:
            for begun in self._open.values():
                self._end(begun, own)
            self._open.clear()
            self._cut = self._cut or own
        elif record.kind in _BEGINNINGS:
            self._remember(_key(event), event.seq)
            own = own._replace(end=0, end_us=0)
        if self._shown(record):
            self._newer.append(own)

    def _remember(self, key: tuple[str, int], seq: int) -> None:
        if len(self._open) < _MAX_OPEN:
            self._open[key] = seq

    def _end(self, begun: int, end: Pair) -> None:
        if not len(self):
            return
        columns, place = self._place(self.index(begun))
        # One that the filter doesn't let through isn't there.
        if columns.seq[place] == begun:
            columns.end[place] = end.seq
            columns.end_us[place] = end.end_us
            self._grew(0)

    def _shown(self, record: Record) -> bool:
        if self._kinds and record.kind not in _BEGINNINGS:
            return False
        return self._filter.matches(record)


def _key(event: pb.Event) -> tuple[str, int]:
    """What the two of a pair have in common."""
    match event.kind:
        case "step.started":
            return event.step_started.key, event.step_started.attempt
        case "step.completed":
            return event.step_completed.key, event.step_completed.attempt
        case "step.failed":
            return event.step_failed.key, event.step_failed.attempt
        case "approval.requested":
            return event.approval_requested.id, -1
    return event.approval_answered.id, -1
