"""All that is drawn, in ASCII."""

from __future__ import annotations

from rich.cells import split_graphemes
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_LOOKALIKES = {
    **dict.fromkeys("─━═▔▁▂▃▄▀", "-"),
    **dict.fromkeys("│┃║▌▐▏▕▎▊", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
    **dict.fromkeys("█▇▆▅▉▋", "#"),
    **dict(zip("›‹·…–—×⏎“”‘’↑↓→←", "><-~--x<\"\"''^v><", strict=True)),
}
_TABLE = str.maketrans(_LOOKALIKES)


class Ascii(LineFilter):
    """For terminals that can draw nothing else: what has no likeness becomes a question mark, as
    wide as it was."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same in ASCII."""
        return [
            segment
            if segment.text.isascii()
            else Segment(to_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def to_ascii(text: str) -> str:
    """A text in ASCII, as many cells wide."""
    text = text.translate(_TABLE)
    parts = []
    # Several characters can be one to the eye, and not as wide as each by itself.
    for start, end, width in split_graphemes(text)[0]:
        whole, base = text[start:end], text[start]
        fits = base.isascii() and width == 1
        parts.append(whole if whole.isascii() else base if fits else "?" * width)
    return "".join(parts)
