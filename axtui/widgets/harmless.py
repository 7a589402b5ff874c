"""All that is drawn, without what a terminal would obey."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# None of them has a width, so that lines without them are as wide as they were.
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)))


class Harmless(LineFilter):
    """What is shown of the log says of its control characters which they are; this is for all else,
    such as what was pasted into a line."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same without control characters."""
        return [
            segment
            if segment.text.isprintable()
            else Segment(segment.text.translate(_CONTROLS), segment.style, segment.control)
            for segment in segments
        ]
