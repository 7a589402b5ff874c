"""What a state looks like: a glyph and, beside it, always the word."""

from __future__ import annotations

_GLYPHS = {
    "pending": "○",
    "running": "●",
    "waiting": "◐",
    "paused": "⏸",
    "completed": "✓",
    "failed": "✗",
    "canceled": "⊘",
    "idle": "○",
    "fork": "⑂",
    "cursor": "▌",
    "mark": "◆",
    "more": "…",
    "bar": "█",
    "waited": "▒",
    "to": "→",
    "question": "◐",
    "message": "›",
    "note": "·",
}
_ASCII = {
    "pending": ".",
    "running": "*",
    "waiting": "?",
    "paused": "=",
    "completed": "+",
    "failed": "x",
    "canceled": "-",
    "idle": ".",
    "fork": "Y",
    "cursor": ">",
    "mark": "#",
    "more": "~",
    "bar": "=",
    "waited": "?",
    "to": ">",
    "question": "?",
    "message": ">",
    "note": ".",
}
_in_use = _GLYPHS


def use_ascii(wanted: bool) -> None:
    """Draw with ASCII alone from here on, or with more again."""
    global _in_use
    _in_use = _ASCII if wanted else _GLYPHS


def glyph(name: str) -> str:
    """The glyph of a state or a thing; a space for what has none."""
    return _in_use.get(name, " ")
