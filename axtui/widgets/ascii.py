"""All that is drawn, in ASCII."""

from __future__ import annotations

from rich.cells import cell_len
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
    return "".join(
        character if character.isascii() else "?" * cell_len(character)
        for character in text.translate(_TABLE)
    )
