"""Lines of text to scroll through, wrapped to the width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.strip import Strip

from axtui.ui.line import Line
from axtui.widgets.bindings import bindings
from axtui.widgets.line_view import LineView
from axtui.widgets.text import wrap


class Lines(LineView):
    """Shows what it was last given."""

    BINDINGS = bindings("lines")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: Sequence[Line] = ()
        self._wrapped: list[Line] = []

    def show(self, lines: Sequence[Line], *, stay: bool = False) -> None:
        """Show other lines, from the top unless they are to `stay` where they are."""
        if lines == self._lines:
            return
        self._lines = lines
        self._wrap()
        if not stay:
            self.scroll_to(y=0, animate=False, immediate=True)

    def on_resize(self, event: events.Resize) -> None:
        """Wrap anew."""
        self._wrap()

    def _wrap(self) -> None:
        if not self.size.width:
            # It has no place yet, and will be resized when it has.
            return
        width = max(1, self.size.width - 1)
        self._wrapped = [part for line in self._lines for part in _parts(line, width)]
        self.virtual_size = Size(0, len(self._wrapped))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line of the screen."""
        width = self.size.width
        index = self.scroll_offset.y + y
        if index >= len(self._wrapped):
            return Strip.blank(width, self.style_of())
        line = self._wrapped[index]
        label = set_cell_size(line.label, min(width, cell_len(line.label)))
        text = set_cell_size(line.text, width - cell_len(label))
        segments = [Segment(label, self.style_of("dim")), Segment(text, self.style_of(line.style))]
        return Strip(segments, width)

    def action_up(self) -> None:
        self.scroll_relative(y=-1, animate=False)

    def action_down(self) -> None:
        self.scroll_relative(y=1, animate=False)

    def action_page_up(self) -> None:
        self.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        self.scroll_page_down(animate=False)

    def action_first(self) -> None:
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        self.scroll_end(animate=False)


def _parts(line: Line, width: int) -> list[Line]:
    """A line as lines that fit, those after the first below its text."""
    if not line.label:
        return [Line(part, line.style) for part in wrap(line.text, width)]
    label = cell_len(line.label)
    if label > width // 2:
        below = [Line(f"  {part}", line.style) for part in wrap(line.text, max(1, width - 2))]
        return [Line(line.label, "dim"), *below]
    first, *rest = wrap(line.text, width - label, 0)
    return [line._replace(text=first), *(line._replace(text=t, label=" " * label) for t in rest)]
