"""Cutting a text before it gets to who takes secrets out of it: a part of a secret isn't known for
one, so no word is cut."""

from __future__ import annotations

import re

# No secret is longer.
LONGEST = 10_000
_BLANK = re.compile(r"\s\S*\Z")
_WORD = re.compile(rf"\A\S{{1,{LONGEST}}}")


def beginning(text: str) -> str:
    """The beginning of a longer text, without the word that it ends in."""
    last = text[-LONGEST:]
    blank = _BLANK.search(last)
    return text[: len(text) - len(last) + (blank.start() + 1 if blank else 0)]


def ending(text: str) -> str:
    """The end of a longer text, without the word that it begins with."""
    return _WORD.sub("", text)
