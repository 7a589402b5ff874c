"""What well-known kinds of secrets look like."""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple


class Run(NamedTuple):
    """Some characters of a class, written as within the brackets of a regular expression."""

    chars: str
    least: int
    most: int


Part = str | Run


class Shape:
    """What secrets of a kind look like: `secret`, which goes on for as long as there are
    characters of the class `tail`.

    `lead` has to be before it, and `follow` behind it, and both remain; no character of the class
    `apart` may be before it, but for the end of an escape. All but the tail is bounded, so that a
    stream can wait for it.
    """

    def __init__(
        self,
        name: str,
        *secret: Part,
        tail: str = "",
        apart: str = "",
        lead: tuple[Part, ...] = (),
        follow: str = "",
    ) -> None:
        self.name = name
        self._secret = secret
        self._tail = tail
        self._apart = apart
        self._lead = lead
        self._follow = follow
        # A text without it has no secret of this shape.
        self.anchor = max((part for part in (*lead, *secret) if isinstance(part, str)), key=len)
        self.most_lead = _most(lead)
        self.most = _most(secret)

    @cached_property
    def whole(self) -> re.Pattern[str]:
        """Group 1 is all of a secret but its tail."""
        secret = "".join(map(_pattern, self._secret))
        if self._apart:
            # Not in front: a search is fastest where a pattern begins with plain text.
            first = _pattern(self._secret[0])
            secret = f"{first}{_behind(self._apart, first)}{secret.removeprefix(first)}"
        follow = f"(?={self._follow})" if self._follow else ""
        return re.compile("".join(map(_pattern, self._lead)) + f"({secret}){follow}")

    @cached_property
    def begun(self) -> re.Pattern[str]:
        """Group 1 is the end of a text that may go on to become `whole`."""
        apart = _behind(self._apart) if self._apart else ""
        lead = "".join(map(_pattern, self._lead))
        return re.compile(f"{lead}{apart}({_begun((*self._secret, self._follow))})")

    @cached_property
    def tail(self) -> re.Pattern[str]:
        """What a secret goes on with."""
        return re.compile(f"[{self._tail}]*" if self._tail else "")


def _most(parts: tuple[Part, ...]) -> int:
    return sum(len(part) if isinstance(part, str) else part.most for part in parts)


def _pattern(part: Part) -> str:
    if isinstance(part, str):
        return re.escape(part)
    return f"[{part.chars}]{{{part.least},{part.most}}}"


def _behind(apart: str, first: str = "") -> str:
    """Matches where no character of the class `apart` is before `first`, or one that ends an
    escape: of a string in JSON, or of a color.
    """
    escapes = (r"\\[bfnrt]", r"\\u[0-9A-Fa-f]{4}", r"[\[0-9;][mK]")
    ends = "|".join(f"(?<={escape}{first})" for escape in escapes)
    return f"(?:(?<![{apart}]{first})|{ends})"


def _begun(parts: tuple[Part, ...]) -> str:
    """Matches what is at the end of a text and is a beginning of the parts, but not all of them."""
    pattern = "(?!)"
    for part in reversed(parts):
        if isinstance(part, str):
            for char in reversed(part):
                pattern = rf"(?:\Z|{re.escape(char)}{pattern})"
        else:
            few = rf"[{part.chars}]{{0,{part.least - 1}}}\Z|" if part.least else ""
            pattern = f"(?:{few}{_pattern(part)}{pattern})"
    return pattern


_WORD = "A-Za-z0-9"
_NAME = "A-Za-z0-9_-"
_BASE64 = "A-Za-z0-9+/="
_TOKEN = r"A-Za-z0-9._~+/=-"
_BREAK = Run(r"\s\\nr", 1, 8)  # The end of a line, as it is or as JSON has it.
_PEM = ("-----BEGIN ", Run("A-Z0-9 ", 0, 32), "PRIVATE KEY", Run(" BLOCK", 0, 6), "-----", _BREAK)
_PEM_TAIL = _BASE64 + r"\s\\"

SHAPES = (
    *(
        Shape("aws-access-key", kind, Run("A-Z0-9", 16, 16), tail="A-Z0-9", apart=_WORD)
        for kind in ("AKIA", "ASIA")
    ),
    *(
        Shape("github-token", f"gh{kind}_", Run(_WORD, 36, 36), tail=_WORD, apart=_WORD)
        for kind in "pousr"
    ),
    Shape("github-token", "github_pat_", Run(r"\w", 22, 22), tail=r"\w", apart=_WORD),
    Shape(
        "slack-token",
        *("xox", Run("a-z", 1, 1), "-", Run("A-Za-z0-9-", 10, 10)),
        tail="A-Za-z0-9-",
        apart=_WORD,
    ),
    Shape("google-key", "AIza", Run(_NAME, 35, 35), tail=_NAME, apart=_NAME),
    Shape("anthropic-key", "sk-ant-", Run(_NAME, 20, 20), tail=_NAME, apart=_NAME),
    # With a figure in it, since words too are joined by hyphens.
    Shape(
        "openai-key",
        *("sk-", Run("A-Za-z_-", 0, 31), Run("0-9", 1, 1), Run(_NAME, 16, 16)),
        tail=_NAME,
        apart=_NAME,
    ),
    Shape(
        "jwt",
        *("eyJ", Run(_NAME, 8, 512), ".eyJ", Run(_NAME, 8, 8)),
        tail="." + _NAME,
        apart=_NAME,
    ),
    Shape("private-key", *_PEM, Run(_BASE64, 16, 16), tail=_PEM_TAIL),
    Shape(
        "private-key",
        *(*_PEM, "Proc-Type: 4,ENCRYPTED", _BREAK, "DEK-Info: "),
        *(Run("A-Z0-9-", 1, 32), ",", Run("A-Fa-f0-9", 16, 16)),
        tail=_PEM_TAIL,
    ),
    *(
        Shape(
            "authorization",
            Run(_TOKEN, 8, 8),
            tail=_TOKEN,
            lead=(
                *("uthorization", Run(r"\s\\\"':=,", 1, 12)),
                *(Run("Bb", 1, 1), scheme, Run(r"\s", 1, 4)),
            ),
        )
        for scheme in ("earer", "asic")
    ),
    Shape(
        "url-password",
        Run(r"^\s/@\"'<>{}$*\\", 1, 256),
        lead=("://", Run(r"^\s/:@\"'<>", 0, 64), ":"),
        follow="@",
    ),
)
MOST_LEAD = max(shape.most_lead for shape in SHAPES)
