"""A line of text in a color."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """A line, what a theme calls its color, and what stands before it in quiet letters."""

    text: str
    style: str = ""
    label: str = ""
