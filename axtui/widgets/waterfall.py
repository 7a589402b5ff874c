"""The steps of a run as bars in time."""

from __future__ import annotations

import math

from axtui.model.words import one_line, took
from axtui.ui.glyphs import glyph
from axtui.ui.pairs import PAIRED_KINDS, Pair
from axtui.ui.rows import event_of, offset
from axtui.v1 import event_pb2 as pb
from axtui.widgets.pair_list import PairList, now_us
from axtui.widgets.row_list import Cells
from axtui.widgets.text import fit

_TOOK = 8
_MAX_DEPTH = 8
_WAITED_US = 100_000


class Waterfall(PairList):
    """Each row is a step or a question; all bars that are in sight share one scale, from the
    beginning of the first of them to the end of the last."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, kinds=PAIRED_KINDS)
        self._span: tuple[int, int] | None = None

    def cells(self, index: int, width: int) -> Cells | None:
        """The name, indented as the step is nested, its bar, and how long it took."""
        if self._pairs is None or self._view is None or index >= len(self._pairs):
            return []
        pair = self._pairs[index]
        begun = self.record(pair.seq)
        ended = self.record(pair.end, pair.seq) if pair.end not in (0, pair.seq) else None
        event = event_of(begun) if begun else pb.Event()
        style = _style(event.kind, ended.kind if ended else "", pair)
        time = took((pair.end_us or now_us()) - pair.start_us)
        name = min(max(10, width // 4), 36)
        room = width - name - 2 - _TOOK
        if room < 8:
            return [(f"{fit(_name(event), width - _TOOK)}{time:>{_TOOK}}", style)]
        cells = [(f"{fit(_name(event), name)} ", "strong" if style != "failed" else "failed")]
        cells += self._bar(pair, event.kind == "approval.requested", room, style)
        return [*cells, (f" {time:>{_TOOK}}", "dim" if pair.end else style)]

    def span(self) -> tuple[int, int]:
        """From when to when what is in sight reaches, in microseconds since 1970."""
        if self._span is None:
            pairs = self.in_sight()
            start = min((pair.start_us for pair in pairs), default=0)
            end = max((self._end_us(pair) for pair in pairs), default=0)
            if any(self._waits(pair) for pair in pairs):
                # However long it takes a person, there is room for what was done meanwhile.
                end += max(_WAITED_US, (end - start) // 3)
            self._span = start, max(end, start + 1)
        return self._span

    def _end_us(self, pair: Pair) -> int:
        """Where the bar of a pair ends, as far as it has a say in the scale."""
        return pair.start_us if self._waits(pair) else pair.end_us or now_us()

    def _waits(self, pair: Pair) -> bool:
        record = None if pair.end else self.record(pair.seq)
        return record is not None and record.kind == "approval.requested"

    def renew(self, first: int | None = None, last: int | None = None) -> None:
        """One bar is longer: all are drawn anew."""
        self._span = None
        super().renew()

    def scale(self) -> str:
        """The scale in words."""
        start, end = self.span()
        if not self.in_sight():
            return ""
        since = max(0, start - self.state.created_us)
        return f"{offset(since)} {glyph('to')} {offset(since + end - start)}"

    def watch_count(self) -> None:
        """More rows may be in sight."""
        self.renew()

    def watch_scroll_y(self, before: float, now: float) -> None:
        """Other rows may have another scale."""
        super().watch_scroll_y(before, now)
        if round(before) != round(now):
            self.renew()

    def _bar(self, pair: Pair, question: bool, room: int, style: str) -> Cells:
        start, end = self.span()
        scale = room / (end - start)
        first = min(room - 1, int((pair.start_us - start) * scale))
        last = math.ceil(((pair.end_us or now_us()) - start) * scale)
        size = max(1, min(room, last) - first)
        bar = glyph("waited" if question else "bar") * size
        return [(" " * first, ""), (bar, style), (" " * (room - first - size), "")]


def _name(event: pb.Event) -> str:
    if event.kind == "approval.requested":
        asked = event.approval_requested
        return _indented(asked.key, f"{glyph('waiting')} {asked.question}")
    if event.kind == "step.failed":
        return _indented(event.step_failed.key, event.step_failed.error.code or "refused")
    started = event.step_started
    again = f" #{started.attempt}" if started.attempt > 1 else ""
    return _indented(started.key, f"{started.name}{again}")


def _indented(key: str, text: str) -> str:
    """A name below that of the step it is a part of: branches are no level of their own."""
    depth = sum(not part.startswith("~") for part in key.split("/")) - 1
    return "  " * max(0, min(depth, _MAX_DEPTH)) + one_line(text)


def _style(begun: str, ended: str, pair: Pair) -> str:
    if begun == "approval.requested":
        return "waiting"
    if "step.failed" in (begun, ended):
        return "failed"
    if not pair.end:
        return "running"
    return "completed" if ended in ("step.completed", "") else "canceled"
