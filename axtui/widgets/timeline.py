"""The events of a run, a row each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.message import Message

from axtui.model.codec import dump_json, event_to_json
from axtui.model.words import one_line
from axtui.ui.filters import Matches, parse_filter
from axtui.ui.glyphs import glyph
from axtui.ui.rows import event_text, offset, style_of
from axtui.widgets.bindings import bindings
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.text import fit

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.ui.log_view import LogView

_FRAMES = 20
_ACTOR, _KIND = 14, 18
_ERRORS = ("step.failed", "run.failed", "actor.failed")
_QUESTIONS = ("approval.requested",)


class Timeline(RowList):
    """Rows are the seqs of the log or, with a filter, those that it lets through; without one what
    steps are just putting out comes below. Drawn anew a few times a second, whatever comes in.
    """

    class Filtered(Message):
        """How far the search for what a filter lets through has come."""

    BINDINGS = bindings("timeline")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.filter_text = ""
        self.marks: set[int] = set()
        self.started_us = 0
        self._view: LogView | None = None
        self._client: Client | None = None
        self._matches: Matches | None = None
        self._scanning: asyncio.Task[None] | None = None
        self._shift = 0

    def show(self, client: Client, view: LogView, started_us: int) -> None:
        """Show a log from its newest event on."""
        self._client, self._view, self.started_us = client, view, started_us
        self.empty_text = "no events yet"
        self.follow = True
        self.set_count(view.head)
        self.set_interval(1 / _FRAMES, self._tick)

    def arrived(self, first: int, last: int) -> None:
        """Draw what wasn't there."""
        if self._matches is not None:
            self.renew()
        else:
            self.renew(first - 1, last - 1)

    def seq_at(self, index: int) -> int:
        """The seq of a row; 0 of one that isn't an event."""
        if self._matches is not None:
            return self._matches[index] if index < len(self._matches) else 0
        return index + 1 if self._view and index < self._view.head else 0

    @property
    def seq(self) -> int:
        """The seq under the cursor; 0 if there is none."""
        return self.seq_at(self.cursor) if self.count else 0

    def go_to_seq(self, seq: int) -> None:
        """Put the cursor at an event, or at the first after it that the filter lets through."""
        self.go_to(seq - 1 if self._matches is None else self._matches.index(seq))

    def set_filter(self, text: str) -> None:
        """Show only what a filter lets through; all if it is empty."""
        if self._view is None or self._client is None:
            return
        seq = self.seq
        self._stop_scanning()
        self.filter_text = text.strip()
        self.empty_text = "no events fit the filter" if self.filter_text else "no events yet"
        if self.filter_text:
            wanted = parse_filter(self.filter_text)
            self._matches = Matches(self._client, self._view, wanted, self._found)
            self._scanning = asyncio.ensure_future(self._matches.scan())
        self.renew()
        self.set_count(self._rows())
        if not self.follow and self._matches is None:
            self.go_to_seq(seq)
        self.post_message(self.Filtered())

    @property
    def left_to_scan(self) -> int:
        """Events that a filter has yet to look at."""
        return self._matches.left if self._matches is not None else 0

    def cells(self, index: int, width: int) -> Cells | None:
        """Seq, time since the beginning, actor, kind, and what it says."""
        assert self._view is not None
        seq = self.seq_at(index)
        if not seq:
            return self._stream(index - self._view.head)
        record = self._view.record(seq)
        if record is None:
            return None
        event = record.event()
        digits = len(str(self._view.head))
        mark = glyph("mark") if seq in self.marks else " "
        cells = [(f"{mark}{seq:>{digits}} ", "dim")]
        if width >= 60:
            cells.append((f"{offset(event.time_us - self.started_us):>9} ", "dim"))
        cells.append((f"{fit(one_line(event.actor), _ACTOR)} ", "strong"))
        cells.append((f"{fit(one_line(event.kind), _KIND)} ", style_of(event.kind)))
        cells.append((event_text(event), ""))
        return cells

    def _stream(self, number: int) -> Cells:
        assert self._view is not None
        streams = list(self._view.streams.items())
        if number >= len(streams):
            return []
        key, stream = streams[number]
        text = " ".join(stream.channels.values())[-300:]
        digits = len(str(self._view.head))
        return [
            (f" {glyph('more'):>{digits}} {'':>9} ", "dim"),
            (f"{fit(one_line(stream.actor), _ACTOR)} ", "strong"),
            (f"{fit(f'{key} +{stream.deltas}', _KIND)} ", "running"),
            (one_line(text)[-200:], "dim"),
        ]

    def _rows(self) -> int:
        if self._matches is not None:
            return len(self._matches)
        return self._view.head + len(self._view.streams) if self._view else 0

    def _tick(self) -> None:
        if self._view is None:
            return
        shift, self._shift = self._shift, 0
        self.set_count(self._rows(), shift=shift)
        if self._view.streams and self._matches is None:
            self.renew(self._view.head, self.count - 1)

    def _found(self, more: int) -> None:
        self._shift += more
        self.post_message(self.Filtered())

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

    async def action_next_error(self) -> None:
        await self._find(_ERRORS, back=False)

    async def action_previous_error(self) -> None:
        await self._find(_ERRORS, back=True)

    async def action_next_question(self) -> None:
        await self._find(_QUESTIONS, back=False)

    def action_mark(self) -> None:
        if self.seq:
            self.marks ^= {self.seq}
            self.renew(self.cursor, self.cursor)

    def action_next_mark(self) -> None:
        if self.marks:
            after = sorted(mark for mark in self.marks if mark > self.seq)
            self.go_to_seq((after or sorted(self.marks))[0])

    def action_copy(self) -> None:
        if self._view and self.seq and (record := self._view.record(self.seq)):
            self.app.copy_to_clipboard(dump_json(event_to_json(record.event())))
            self.notify(f"copied event {self.seq}")

    def action_copy_command(self) -> None:
        if self._view and self.seq:
            name = self._view.conversation_id
            command = f"axtui events {name} --after {self.seq - 1} --limit 1"
            self.app.copy_to_clipboard(command)
            self.notify(f"copied `{command}`", markup=False)

    async def _find(self, kinds: tuple[str, ...], *, back: bool) -> None:
        if self._client is None or self._view is None:
            return
        found = await self._client.read(
            self._view.conversation_id,
            after=0 if back else self.seq,
            before=self.seq if back else None,
            kinds=kinds,
            limit=1,
            newest_first=back,
        )
        if found:
            self.go_to_seq(found[0].seq)
        else:
            self.app.notify("there is none " + ("before" if back else "after") + " this event")
