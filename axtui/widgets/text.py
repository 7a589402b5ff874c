"""Text cut, or broken, to a width in cells."""

from __future__ import annotations

import re

from rich.cells import cell_len, chop_cells, set_cell_size

from axtui.ui.glyphs import glyph

_WORDS = re.compile(r"\S+\s*")


def fit(text: str, width: int) -> str:
    """Exactly so wide: filled up with spaces, or cut short with a mark."""
    if cell_len(text) > width > 0:
        return set_cell_size(text, width - 1) + glyph("more")
    return set_cell_size(text, width)


def wrap(text: str, width: int, hang: int = 2) -> list[str]:
    """A line as several that are at most so wide, broken at words where there are some. Those after
    the first are indented by `hang` more, as far as that leaves room."""
    if cell_len(text) <= width:
        return [text]
    bare = text.lstrip(" ")
    most = width // 3
    lead = min(len(text) - len(bare), most)
    indent = " " * min(lead + hang, most)
    lines: list[str] = []
    line = " " * lead
    for match in _WORDS.finditer(bare):
        word = match.group()
        size = cell_len(word.rstrip())
        if cell_len(line) + size > width and line.strip():
            lines.append(line.rstrip())
            line = indent
        if size > width - len(indent):
            *full, word = chop_cells(word.rstrip(), max(2, width - len(indent)))
            for part in full:
                lines.append(line + part)
                line = indent
            word += " "
        line += word
    if line.strip():
        lines.append(line.rstrip())
    return lines
