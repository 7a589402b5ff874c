"""A line of text in a color."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """A line, and what a theme calls its color."""

    text: str
    style: str = ""
