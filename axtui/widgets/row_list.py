"""A list of one-line rows that draws only those that are seen, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.reactive import var
from textual.strip import Strip

from axtui.ui.glyphs import glyph
from axtui.widgets.bindings import bindings
from axtui.widgets.line_view import LineView

# Texts, each with the name of what it looks like, see `row_styles`, or "".
Cells: TypeAlias = Sequence[tuple[str, str]]
_MAX_CACHED = 2000


class RowList(LineView):
    """Rows are made by `cells`, which is overridden, and kept until `renew`. With `follow` the
    cursor stays at the last row; moving it anywhere else ends that.
    """

    class Moved(Message):
        """The cursor is at another row."""

        def __init__(self, rows: RowList) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> RowList:
            """Whose cursor."""
            return self.rows

    class Opened(Moved):
        """The row under the cursor is to be opened."""

    BINDINGS = bindings("list")

    # What the row under the cursor looks like while something else has the focus.
    unfocused = "blurred"
    cursor = var(0)
    follow = var(False)
    count = var(0)
    empty_text = var("")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._strips: dict[int, Strip] = {}
        # What these were made for.
        self._width = 0

    def cells(self, index: int, width: int) -> Cells | None:
        """What a row says; None if that isn't known yet."""
        raise NotImplementedError

    # What rows there are

    def set_count(self, count: int, *, shift: int = 0) -> None:
        """Have so many rows, of which the first `shift` are new before those there were."""
        if count == self.count and not shift:
            return
        at_end = self.follow
        grows = count >= self.count
        self.count = count
        if shift:
            self._strips.clear()
        if grows and self.show_vertical_scrollbar:
            # Nothing changes its place, so the screen needn't be laid out, and drawn, anew.
            self.set_reactive(RowList.virtual_size, Size(0, count))
        else:
            self.virtual_size = Size(0, count)
        self.cursor = max(0, min(count - 1, self.cursor + shift))
        if at_end:
            self._to_end()
        elif shift:
            self.scroll_to(y=self.scroll_y + shift, animate=False, immediate=True)
        self._move_bar()
        self.refresh()

    def renew(self, first: int | None = None, last: int | None = None) -> None:
        """Make all rows anew, or some."""
        if first is None or last is None or last - first > self.size.height * 4:
            self._strips.clear()
            self.refresh()
            return
        for index in range(first, last + 1):
            self._strips.pop(index, None)
        top = self.scroll_offset.y
        if last >= top and first < top + self.size.height:
            self.refresh()

    def watch_follow(self, follow: bool) -> None:
        """Go to the newest."""
        if follow:
            self._to_end()

    def go_to(self, index: int, *, center: bool = True) -> None:
        """Put the cursor at a row, in sight."""
        index = max(0, min(self.count - 1, index))
        self.follow = False
        self.cursor = index
        self.scroll_to_cursor(center=center)

    def on_mount(self) -> None:
        """Whoever takes hold of the scrollbar moves it by rows."""
        self.watch(self.vertical_scrollbar, "mouse_over", self._move_bar, init=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw other rows."""
        self._move_bar()
        if round(old_value) != round(new_value):
            self.refresh(self.size.region)

    def _move_bar(self) -> None:
        """Tell the scrollbar what makes a difference to the eighths of a cell that it can show:
        with each value that is another it is drawn anew, which takes as long as the rows do."""
        bar, height = self.vertical_scrollbar, max(1, self.size.height)
        if not self.show_vertical_scrollbar:
            return
        if bar.mouse_over or bar.grabbed:
            bar.window_virtual_size, bar.position = self.count, self.scroll_y
            return
        thumb, known = (
            max(8, 8 * height**2 // max(1, count))
            for count in (self.count, bar.window_virtual_size)
        )
        if thumb != known:
            bar.window_virtual_size = self.count
        room = max(1, 8 * height - thumb)
        at = round(room * self.scroll_y / max(1, self.count - height))
        bar.position = at / room * (bar.window_virtual_size - height)

    def scroll_to_cursor(self, *, center: bool = True) -> None:
        """Have the row under the cursor in sight."""
        index, height, top = self.cursor, max(1, self.size.height), self.scroll_offset.y
        if not top <= index < top + height:
            y = index - height // 2 if center else (index if index < top else index - height + 1)
            self.scroll_to(y=max(0, y), animate=False, immediate=True, force=True)

    def _to_end(self) -> None:
        self.cursor = max(0, self.count - 1)
        y = max(0, self.count - self.size.height)
        self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def watch_cursor(self, before: int, now: int) -> None:
        """Draw the two rows anew."""
        for index in (before, now):
            self.refresh_line(index - self.scroll_offset.y)
        self.post_message(self.Moved(self))

    def validate_cursor(self, cursor: int) -> int:
        """No row that isn't there."""
        return max(0, min(self.count - 1, cursor))

    # How they look

    def notify_style_update(self) -> None:
        """Forget what was drawn in other colors."""
        super().notify_style_update()
        self._strips.clear()

    def on_resize(self, event: events.Resize) -> None:
        """Rows are as wide as the list."""
        self._strips.clear()
        self.virtual_size = Size(0, self.count)
        if self.follow:
            self._to_end()

    def on_focus(self) -> None:
        """The cursor looks otherwise."""
        self.refresh_line(self.cursor - self.scroll_offset.y)

    def on_blur(self) -> None:
        """The cursor looks otherwise."""
        self.refresh_line(self.cursor - self.scroll_offset.y)

    def render_line(self, y: int) -> Strip:
        """A row of the screen."""
        width = self.scrollable_content_region.width
        if width != self._width:
            self._width = width
            self._strips.clear()
        index = self.scroll_offset.y + y
        if index >= self.count:
            if y == 0 and not self.count and self.empty_text:
                return self._strip([(f" {self.empty_text}", "dim")], width)
            return Strip.blank(width, self.style_of())
        if index == self.cursor:
            return self._row(index, width, "cursor" if self.has_focus else self.unfocused)
        if (strip := self._strips.get(index)) is None:
            if len(self._strips) >= _MAX_CACHED:
                self._strips.clear()
            strip = self._strips[index] = self._row(index, width)
        return strip

    def _row(self, index: int, width: int, base: str = "") -> Strip:
        # The mark before, and room for the scrollbar behind.
        cells = self.cells(index, width - 3)
        if cells is None:
            cells = [(glyph("more"), "dim")]
        mark = f"{glyph('cursor')} " if base else "  "
        return self._strip([(mark, "accent"), *cells], width, base)

    def _strip(self, cells: Cells, width: int, base: str = "") -> Strip:
        segments = []
        left = width
        for text, name in cells:
            size = cell_len(text)
            if size > left:
                text, size = set_cell_size(text, left), left
            segments.append(Segment(text, self.style_of(base, name)))
            left -= size
            if not left:
                break
        if left:
            segments.append(Segment(" " * left, self.style_of(base)))
        return Strip(segments, width)

    # What keys and the mouse do

    def _move(self, index: int) -> None:
        if index < self.count - 1 or not self.follow:
            self.go_to(index, center=False)

    def action_up(self) -> None:
        self._move(self.cursor - 1)

    def action_down(self) -> None:
        self._move(self.cursor + 1)

    def action_page_up(self) -> None:
        self._move(self.cursor - self.size.height)

    def action_page_down(self) -> None:
        self._move(self.cursor + self.size.height)

    def action_half_up(self) -> None:
        self._move(self.cursor - self.size.height // 2)

    def action_half_down(self) -> None:
        self._move(self.cursor + self.size.height // 2)

    def action_first(self) -> None:
        self._move(0)

    def action_last(self) -> None:
        self._move(self.count - 1)

    def action_open(self) -> None:
        if self.count:
            self.post_message(self.Opened(self))

    def on_click(self, event: events.Click) -> None:
        """The row under the mouse; twice opens it."""
        index = self.scroll_offset.y + event.y
        if 0 <= index < self.count:
            self.go_to(index)
            if event.chain == 2:
                self.action_open()

    def on_mouse_scroll_up(self) -> None:
        """Who looks back doesn't want to be brought to the end."""
        self.follow = False
