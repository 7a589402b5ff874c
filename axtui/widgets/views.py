"""The views of a run, of which one is shown: its events, its steps, a chat, and bars in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip

from axtui.model.words import count, one_line
from axtui.ui.log_view import LogView
from axtui.v1 import state_pb2 as st
from axtui.widgets.row_list import RowList
from axtui.widgets.steps_list import StepsList
from axtui.widgets.timeline import Timeline
from axtui.widgets.transcript import Messages, Transcript
from axtui.widgets.waterfall import Waterfall

VIEWS = ("timeline", "steps", "chat", "waterfall")
Rows: TypeAlias = Timeline | StepsList | Waterfall


class Views(Container):
    """All but the first are made when they are first looked at, and kept from then on. `why_not`
    tells why whoever looks can't take an action; nothing if he can."""

    def __init__(self, *, id: str, classes: str) -> None:
        super().__init__(id=id, classes=classes)
        self.current = VIEWS[0]
        self.filter_text = self._picked = ""
        self._said: tuple[str, ...] = ()
        self.why_not: Callable[[str], str] = lambda action: ""
        self.timeline = Timeline(id="timeline")
        self._view: LogView | None = None
        self._state = st.State()

    def compose(self) -> ComposeResult:
        """The timeline."""
        yield self.timeline

    def render_lines(self, crop: Region) -> list[Strip]:
        """Between the border's top and bottom all lines are alike, and are made but once."""
        if crop.y or crop.height != self.outer_size.height or crop.height < 3:
            return super().render_lines(crop)
        top, side, bottom = (
            super(Views, self).render_lines(Region(crop.x, y, crop.width, 1))[0]
            for y in (0, 1, crop.height - 1)
        )
        return [top, *([side] * (crop.height - 2)), bottom]

    def show(self, view: LogView) -> None:
        """Show a log from its newest event on."""
        self._view = view
        for made in self.children:
            self._begin(cast("Rows | Transcript", made))

    def take_state(self, state: st.State) -> None:
        """Take what the log adds up to by now."""
        self._state = state
        for rows in self._all_rows():
            rows.state = state
        for chat in self.query(Transcript):
            # One that isn't there yet takes it when it begins.
            if chat.is_mounted:
                chat.take_state(state, self._picked, self.why_not)

    def pick(self, actor: str) -> None:
        """Have what is written be for an actor, if it is an agent at work."""
        self._picked = actor
        self.take_state(self._state)

    def arrived(self, first: int, last: int) -> None:
        """Draw events that weren't there."""
        for rows in self._all_rows():
            rows.arrived(first, last)

    def renew(self) -> None:
        """Draw all anew."""
        for rows in self._all_rows():
            rows.renew()

    @property
    def rows(self) -> Rows | None:
        """The list that is shown; None in the chat."""
        return next((rows for rows in self._all_rows() if rows.id == self.current), None)

    @property
    def shown(self) -> Rows | Messages | None:
        """What is shown; None for a moment, before there is a chat."""
        return self.rows or next(iter(self.query(Messages)), None)

    def look_at(self, name: str) -> None:
        """Show another view, and give it the focus."""
        self.current = name
        if not self.query(f"#{name}"):
            makers = {"steps": StepsList, "waterfall": Waterfall, "chat": Transcript}
            made = makers[name](id=name)
            self.mount(made)
            made.call_after_refresh(self._begin, made)
        for child in self.children:
            child.display = child.id == name
        self.focus_shown()

    def write(self) -> None:
        """Give the line of the chat the focus, which is looked at."""
        # A new one has to begin before.
        chat = self.query_one(Transcript)
        chat.call_after_refresh(chat.write)

    def focus_shown(self) -> None:
        """Give what is shown the focus."""
        if self.shown is not None:
            self.shown.focus()

    def set_filter(self, text: str) -> None:
        """Show only what a filter lets through; all if it is empty."""
        self.filter_text = text.strip()
        for rows in self._all_rows():
            rows.set_filter(self.filter_text)

    def go_to_seq(self, seq: int) -> None:
        """Go to an event: in the timeline, where the list that is shown has found no such. A filter
        that doesn't let it through is taken away."""
        rows = self.rows
        if rows is not None and not isinstance(rows, Timeline) and rows.go_to_seq(seq):
            return
        self.look_at("timeline")
        self.timeline.go_to_seq(seq)
        if self.timeline.seq != seq:
            self.set_filter("")
            self.timeline.go_to_seq(seq)

    def is_at(self, seq: int) -> bool:
        """Whether the row under the cursor is about an event."""
        rows = self.rows
        if rows is None or isinstance(rows, Timeline):
            return self.shown is not None and self.shown.seq == seq
        return rows.pair is not None and rows.pair.seq <= seq <= max(rows.pair.end, rows.pair.seq)

    def entitle(self) -> None:
        """Say in the border what is shown, and how much there is."""
        title, subtitle = self.title(), self.subtitle()
        # All within the border is drawn along.
        if (said := (self.current, title.plain, subtitle.plain)) != self._said:
            self._said = said
            self.border_title, self.border_subtitle = title, subtitle

    def title(self) -> Content:
        """The views by their keys, as many as there is room for."""
        named = [f"F{number} {view}" for number, view in enumerate(VIEWS, 2)]
        current = named[VIEWS.index(self.current)]
        if len("   ".join(named)) + 4 > self.size.width:
            return Content.styled(current, "bold")
        styles = ["bold" if name == current else "dim" for name in named]
        parts = [(name, style) for name, style in zip(named, styles, strict=True)]
        return Content("   ").join([Content.styled(*part) for part in parts])

    def subtitle(self) -> Content:
        """How much there is, how much of it isn't shown, and what there is to see of it."""
        parts = [f"/{one_line(self.filter_text)}"] if self.filter_text else []
        parts.append(count(self._view.head if self._view else 0, "event"))
        rows = self.rows
        if rows is None:
            return Content(" · ".join(parts))
        if isinstance(rows, Waterfall):
            parts.append(rows.scale())
        if self.filter_text:
            parts.append(f"{rows.count:,} fit")
        if rows.left_to_scan and (self.filter_text or not isinstance(rows, Timeline)):
            parts.append(f"{rows.left_to_scan:,} older not looked at")
        new = rows.count - 1 - rows.cursor
        if not rows.follow and new > 0:
            parts.append(f"+{new:,} below, F follows")
        return Content(" · ".join(filter(None, parts)))

    def _all_rows(self) -> Iterator[Rows]:
        for rows in self.query(RowList):
            if isinstance(rows, Timeline | StepsList | Waterfall):
                yield rows

    def _begin(self, made: Rows | Transcript) -> None:
        if self._view is None:
            return
        if isinstance(made, Transcript):
            made.take_state(self._state, self._picked, self.why_not)
        else:
            made.state = self._state
            made.set_filter(self.filter_text)
        made.show(self._view)
        if made.id == self.current:
            self.focus_shown()
