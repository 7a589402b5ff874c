"""What the lists of steps have in common: rows are pairs of a beginning and its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from axtui.model.events import Record
from axtui.ui.filters import parse_filter
from axtui.ui.log_view import PAGE, LogView
from axtui.ui.pairs import Pair, Pairs
from axtui.v1 import state_pb2 as st
from axtui.widgets.row_list import RowList
from axtui.widgets.timeline import FRAMES

# So many rows are found at first, and again whenever the first of them comes near.
_CHUNK = 2000
# What takes its time is drawn with the time it has taken each so many frames.
_GROWS = 5


class PairList(RowList):
    """Begins with the latest; older ones are found as they are scrolled to."""

    def __init__(self, *, id: str, kinds: Sequence[str] = ()) -> None:
        super().__init__(id=id)
        self.filter_text = ""
        self.state = st.State()
        self._kinds = kinds
        self._view: LogView | None = None
        self._pairs: Pairs | None = None
        self._finding: asyncio.Task[None] | None = None
        self._shift = 0
        self._frame = 0

    def show(self, view: LogView) -> None:
        """Show a log from its newest pair on."""
        self._view = view
        self.set_filter(self.filter_text)
        self.set_interval(1 / FRAMES, self._tick)

    def set_filter(self, text: str) -> None:
        """Show only what a filter lets through; all if it is empty."""
        self.filter_text = text.strip()
        if self._view is None:
            return
        self._stop()
        self.follow = True
        self.empty_text = "looking …"
        wanted = parse_filter(self.filter_text)
        self._pairs = Pairs(self._view, wanted, self._found, self._kinds)
        self.renew()
        self.set_count(0)
        self._tick()

    def arrived(self, first: int, last: int) -> None:
        """Draw what wasn't there."""
        if self.display and self._view is not None and first <= self._view.head:
            self.renew()

    @property
    def seq(self) -> int:
        """The seq of the beginning under the cursor; 0 if there is none."""
        return self.pair.seq if self.pair else 0

    @property
    def pair(self) -> Pair | None:
        """The pair under the cursor."""
        there = self._pairs is not None and self.cursor < len(self._pairs)
        return self._pairs[self.cursor] if self._pairs is not None and there else None

    def go_to_seq(self, seq: int) -> bool:
        """Put the cursor at what begins at or before an event; whether it was found by now."""
        if self._pairs is None or not len(self._pairs) or self._pairs[0].seq > seq:
            return False
        self.go_to(self._pairs.index(seq))
        return True

    @property
    def left_to_scan(self) -> int:
        """Events that weren't looked at."""
        return self._pairs.left if self._pairs is not None else 0

    @property
    def problem(self) -> Exception | None:
        """Why no more can be found."""
        return self._pairs.problem if self._pairs is not None else None

    def record(self, seq: int, beside: int = 0) -> Record | None:
        """An event of a row; one far from its row's beginning is fetched alone."""
        assert self._view is not None
        alone = bool(self.filter_text) or abs(seq - (beside or seq)) > PAGE
        return self._view.record(seq, single=alone)

    def in_sight(self) -> list[Pair]:
        """The pairs of the rows that are seen."""
        top = self.scroll_offset.y
        if self._pairs is None:
            return []
        last = min(top + self.size.height, len(self._pairs), self.count)
        return [self._pairs[index] for index in range(top, last)]

    def _tick(self) -> None:
        if self._pairs is None or not self.display:
            return
        shift, self._shift = self._shift, 0
        self._frame += 1
        self.set_count(len(self._pairs), shift=shift)
        if self._frame % _GROWS == 0 and any(not pair.end for pair in self.in_sight()):
            self.renew()
        near = self.scroll_offset.y < 2 * self.size.height
        idle = self._finding is None or self._finding.done()
        if self._pairs.left and near and idle and self._pairs.problem is None:
            self._finding = asyncio.ensure_future(self._pairs.more(_CHUNK))
        elif not self._pairs.left:
            self.empty_text = "nothing fits the filter" if self.filter_text else "no steps yet"

    def _found(self, more: int) -> None:
        self._shift += more
        if not more:
            self.renew()

    def _stop(self) -> None:
        if self._finding is not None:
            self._finding.cancel()
        if self._pairs is not None:
            self._pairs.close()
        self._finding, self._pairs, self._shift = None, None, 0

    def on_unmount(self) -> None:
        """Look no further."""
        self._stop()


def now_us() -> int:
    """The time by the clock of this machine, in microseconds since 1970."""
    return time.time_ns() // 1000
