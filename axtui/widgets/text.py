"""Text cut to a width in cells."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from axtui.ui.glyphs import glyph


def fit(text: str, width: int) -> str:
    """Exactly so wide: filled up with spaces, or cut short with a mark."""
    if cell_len(text) > width > 0:
        return set_cell_size(text, width - 1) + glyph("more")
    return set_cell_size(text, width)
