"""The events of a run, a row each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from textual import work

from axtui.client import LogError, Refused, Unreachable
from axtui.model.codec import dump_json, event_to_json
from axtui.model.words import one_line
from axtui.ui.filters import Matches, parse_filter
from axtui.ui.glyphs import glyph
from axtui.ui.log_view import LogView
from axtui.ui.rows import event_of, event_text, offset, since_start, style_of
from axtui.v1 import state_pb2 as st
from axtui.widgets.bindings import bindings
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.text import fit

if TYPE_CHECKING:
    from axtui.app import AxtuiApp

# What comes in is drawn so many times a second.
FRAMES = 20
# While older events are found for a filter, only each so many times: all rows move.
_SCANS = 10
_ACTOR, _KIND = 14, 18
_ERRORS = ("step.failed", "run.failed", "actor.failed")
_QUESTIONS = ("approval.requested",)


class Timeline(RowList):
    """Rows are the seqs of the log or, with a filter, those that it lets through; without one what
    steps are just putting out comes below. Drawn anew a few times a second, whatever comes in.
    """

    BINDINGS = bindings("timeline")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.filter_text = ""
        self.marks: set[int] = set()
        self.state = st.State()
        self._view: LogView | None = None
        self._matches: Matches | None = None
        self._scanning: asyncio.Task[None] | None = None
        self._shift = self._frame = 0
        # Rows from here on were made before what has come in since.
        self._drawn = 0

    def show(self, view: LogView) -> None:
        """Show a log from its newest event on."""
        self._view = view
        self.empty_text = "no events yet"
        self.follow = True
        self._tick()
        self.set_interval(1 / FRAMES, self._tick)

    def arrived(self, first: int, last: int) -> None:
        """Draw what wasn't there, unless it is new at the end, which is drawn with the rest."""
        if self._matches is not None:
            self.renew()
        elif first <= self._drawn:
            self.renew(first - 1, last - 1)

    def seq_at(self, index: int) -> int:
        """The seq of a row; 0 of one that isn't an event."""
        if self._matches is not None:
            return self._matches[index] if 0 <= index < len(self._matches) else 0
        return index + 1 if self._view and 0 <= index < self._view.head else 0

    @property
    def seq(self) -> int:
        """The seq under the cursor, below all events that of the newest; 0 if there is none."""
        if self._matches is None and self._view is not None:
            return min(self.cursor + 1, self._view.head)
        return self.seq_at(self.cursor)

    def go_to_seq(self, seq: int) -> None:
        """Put the cursor at an event, or at the first after it that the filter lets through."""
        self.go_to(seq - 1 if self._matches is None else self._matches.index(seq))

    def set_filter(self, text: str) -> None:
        """Show only what a filter lets through; all if it is empty."""
        if self._view is None:
            return
        seq = self.seq
        self._stop_scanning()
        self.filter_text = text.strip()
        self.empty_text = "no events fit the filter" if self.filter_text else "no events yet"
        if self.filter_text:
            self._matches = Matches(self._view, parse_filter(self.filter_text), self._found)
            self._scanning = asyncio.ensure_future(self._matches.scan())
        self.renew()
        self._tick()
        if not self.follow and self._matches is None:
            self.go_to_seq(seq)

    @property
    def left_to_scan(self) -> int:
        """Events that a filter has yet to look at."""
        return self._matches.left if self._matches is not None else 0

    @property
    def problem(self) -> Exception | None:
        """Why a filter can look no further."""
        return self._matches.problem if self._matches is not None else None

    def cells(self, index: int, width: int) -> Cells | None:
        """Seq, time since the beginning, actor, kind, and what it says."""
        assert self._view is not None
        digits = len(str(self._view.head))
        seq = self.seq_at(index)
        if not seq:
            return self._stream(index - self._view.head, digits, width)
        mark = glyph("mark") if seq in self.marks else " "
        cells = [(f"{mark}{seq:>{digits}} ", "dim")]
        record = self._view.record(seq, single=self._matches is not None)
        if record is None:
            broken = self._view.is_broken(seq)
            return [*cells, ("can't be read", "failed")] if broken else None
        event = event_of(record)
        if width >= 60:
            cells.append((f"{offset(since_start(event, self.state)):>9} ", "dim"))
        if width >= 40:
            cells.append((f"{fit(one_line(event.actor), _ACTOR)} ", "strong"))
        kind = one_line(event.kind)
        cells.append((f"{fit(kind, _KIND) if width >= 40 else kind} ", style_of(event.kind)))
        cells.append((event_text(event), ""))
        return cells

    def _stream(self, number: int, digits: int, width: int) -> Cells:
        assert self._view is not None
        streams = list(self._view.streams.items())
        if not 0 <= number < len(streams):
            return []
        key, stream = streams[number]
        text = one_line(" ".join(stream.channels.values())[-300:])
        cells = [(f" {glyph('more'):>{digits}} ", "dim")]
        if width >= 60:
            cells.append((f"{'':>9} ", ""))
        if width >= 40:
            cells.append((f"{fit(one_line(stream.actor), _ACTOR)} ", "strong"))
        cells.append((f"{fit(f'{key} +{stream.deltas}', _KIND)} ", "running"))
        room = width - sum(len(text) for text, _ in cells)
        return [*cells, (text[-room:] if room > 0 else "", "dim")]

    def _rows(self) -> int:
        if self._matches is not None:
            return len(self._matches)
        return self._view.head + len(self._view.streams) if self._view else 0

    def _tick(self) -> None:
        if self._view is None:
            return
        self._frame += 1
        if self._shift and self.count and self._frame % _SCANS:
            return
        shift, self._shift = self._shift, 0
        before, self._drawn = self._drawn, self._view.head
        if self._matches is None and (self._view.streams or before < self.count):
            # Where an event is now, there was a stream.
            self.renew(before, self.count - 1)
        self.set_count(self._rows(), shift=shift)

    def _found(self, more: int) -> None:
        self._shift += more

    def _stop_scanning(self) -> None:
        if self._scanning is not None:
            self._scanning.cancel()
        if self._matches is not None:
            self._matches.close()
        self._matches = self._scanning = None
        self._shift = 0

    def on_unmount(self) -> None:
        """Look no further."""
        self._stop_scanning()

    # What keys do

    def action_follow(self) -> None:
        self.follow = not self.follow

    def action_last(self) -> None:
        self.follow = True

    def action_next_error(self) -> None:
        self._find(_ERRORS, back=False)

    def action_previous_error(self) -> None:
        self._find(_ERRORS, back=True)

    def action_next_question(self) -> None:
        self._find(_QUESTIONS, back=False)

    def action_mark(self) -> None:
        if self.seq:
            self.marks ^= {self.seq}
            self.renew()

    def action_next_mark(self) -> None:
        if self.marks:
            after = sorted(mark for mark in self.marks if mark > self.seq)
            self.go_to_seq((after or sorted(self.marks))[0])

    def action_copy(self) -> None:
        if self._view and self.seq and (record := self._view.record(self.seq)):
            self.app.copy_to_clipboard(dump_json(event_to_json(event_of(record))))
            self.notify(f"copied event {self.seq}")

    def action_copy_command(self) -> None:
        if self._view and self.seq:
            name, ui = self._view.conversation_id, cast("AxtuiApp", self.app)
            ui.copy_command(f"axtui events {name} --after {self.seq - 1} --limit 1")

    @work(exclusive=True, group="find")
    async def _find(self, kinds: tuple[str, ...], *, back: bool) -> None:
        if self._view is None:
            return
        try:
            found = await self._view.client.read(
                self._view.conversation_id,
                after=0 if back else self.seq,
                before=self.seq if back else None,
                kinds=kinds,
                limit=1,
                newest_first=back,
            )
        except (Refused, LogError, Unreachable) as error:
            self.notify(str(error), severity="error", markup=False)
            return
        if found:
            self.go_to_seq(found[0].seq)
        else:
            self.notify("there is none " + ("before" if back else "after") + " this event")
