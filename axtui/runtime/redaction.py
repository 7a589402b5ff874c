"""Takes secrets out of text, before anybody sees it.

A secret is known by its value, in the environment say, or by its shape. What is redacted is the
union of everything that looks like one, wherever it begins: so nothing is left of two that overlap,
and it makes no difference how a text is cut into chunks.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

from axtui.runtime.config import Config
from axtui.runtime.secret_shapes import MOST_LEAD, SHAPES, Shape

MIN_LENGTH = 8
MIN_LINE = 16
MIN_DISTINCT = 4
A_PATH = "the path of a file"
# What is written where a secret is meant, or where there is none.
_TRIVIAL = frozenset(
    {
        *("changeme", "change-me", "password", "passw0rd", "password123", "placeholder"),
        *("redacted", "[redacted]", "undefined", "disabled", "required", "optional", "unlimited"),
        *("anonymous", "localhost", "development", "production"),
    }
)
_PATH = re.compile(
    r"(?:~|\.{1,2}|/(?:app|bin|data|dev|etc|home|lib|media|mnt|opt|private|proc|root|run|srv|sys"
    r"|tmp|usr|var|workspace|Applications|Library|Users|Volumes))(?:/[\w.@+-]*)*"
)


class Redactor:
    """Replaces secrets by "[redacted:NAME]".

    `secrets` has their values by name. They are found as they are and in the forms that JSON, URLs
    and base64 give them; of a value with several lines, each long one is a secret too. With
    `shapes`, what looks like a well-known kind of token is one. Values that any text may have in it
    are not taken: `ignored` says which, and why.
    """

    def __init__(self, secrets: Mapping[str, str], shapes: bool = True) -> None:
        self.ignored: dict[str, str] = {}
        self._shapes = SHAPES if shapes else ()
        self._names: dict[str, str] = {}
        for name, secret in secrets.items():
            value = secret.strip()
            if reason := _unfit(value):
                self.ignored[name] = reason
                continue
            for form in _forms(value):
                self._names.setdefault(form, name)
        self._sorted = sorted(self._names)
        self._longest = max(map(len, self._sorted), default=0)

    def text(self, text: str) -> str:
        """The text without secrets."""
        # Nearly every text is short, and has none.
        if not any(form in text for form in self._names) and not any(
            shape.anchor in text for shape in self._shapes
        ):
            return text
        return Stream(self, text).end()

    def value(self, value: Any) -> Any:
        """A JSON value without secrets in any text of it, keys included."""
        root = [value]
        todo: list[Any] = [root]
        # No recursion: whoever made the value may have nested it deeper than Python can follow.
        while todo:
            container = todo.pop()
            items = container.items() if isinstance(container, dict) else enumerate(container)
            for key, item in list(items):
                if isinstance(item, str):
                    container[key] = self.text(item)
                elif isinstance(item, dict):
                    container[key] = {self.text(name): inner for name, inner in item.items()}
                    todo.append(container[key])
                elif isinstance(item, list):
                    container[key] = list(item)
                    todo.append(container[key])
        return root[0]

    def stream(self) -> Stream:
        """For a text that comes in chunks."""
        return Stream(self)

    def _first_begun(self, text: str, start: int) -> int:
        """Where from `start` on the first secret begins of which more may come; the end if none."""
        first = len(text)
        for at in range(max(start, first - self._longest + 1), first):
            rest = text[at:]
            index = bisect_right(self._sorted, rest)
            if index < len(self._sorted) and self._sorted[index].startswith(rest):
                first = at
                break
        for shape in self._shapes:
            after = max(0, max(start, len(text) - shape.most) - shape.most_lead)
            for match in _matches(shape.begun, text, after):
                if match.start(1) >= start:
                    first = min(first, match.start(1))
                    break
        return first

    def _found(self, text: str, start: int, stop: int) -> Iterator[_Found]:
        """All secrets that begin from `start` on and before `stop`, without their tails."""
        for form, name in self._names.items():
            at = text.find(form, start)
            while 0 <= at < stop:
                yield _Found(at, at + len(form), name)
                at = text.find(form, at + 1)
        for shape in self._shapes:
            if shape.anchor not in text:
                continue
            for match in _matches(shape.whole, text, max(0, start - shape.most_lead)):
                if start <= match.start(1) < stop:
                    yield _Found(*match.span(1), shape.name, shape)


class _Found(NamedTuple):
    """A secret in a text; without a shape, it is known by its value."""

    start: int
    end: int
    name: str
    shape: Shape | None = None

    def precedence(self) -> tuple[int, int]:
        """Of those that begin at the same place, the first of the least gives the name: the
        longest value, or else the first of the shapes.
        """
        return self.start, 0 if self.shape else -self.end


class Stream:
    """Redacts a text that comes in chunks: all that it gives back is together what `Redactor.text`
    makes of the whole. It holds back what may be the beginning of a secret, and nothing else.
    """

    def __init__(self, redactor: Redactor, text: str = "") -> None:
        self._redactor = redactor
        self._text = text  # What was dealt with last, as its context matters, and what wasn't yet.
        self._done = 0
        self._covered = 0  # Up to here all is secret, which may be beyond what is dealt with.
        self._open: set[Shape] = set()  # Whose tails go on if what comes next fits.

    def feed(self, chunk: str) -> str:
        """What can be shown now, the chunk included as far as it is no beginning of a secret."""
        before = len(self._text)
        self._text += chunk
        tails = {shape: _tail_end(shape, self._text, before) for shape in self._open}
        self._covered = max(self._covered, *tails.values(), 0)
        return self._show(self._redactor._first_begun(self._text, self._done), tails)

    def end(self) -> str:
        """The rest."""
        return self._show(len(self._text), {})

    def _show(self, stop: int, tails: dict[Shape, int]) -> str:
        shown: list[str] = []
        text, at = self._text, max(self._done, self._covered)
        for found in sorted(self._redactor._found(text, self._done, stop), key=_Found.precedence):
            if found.start >= at:
                shown += text[at : found.start], f"[redacted:{found.name}]"
            end = found.end
            if shape := found.shape:
                if end > tails.get(shape, -1):
                    tails[shape] = _tail_end(shape, text, end)
                end = tails[shape]
            at = max(at, end)
        shown.append(text[at:stop])
        self._open = {shape for shape, end in tails.items() if end == len(text)}
        kept = max(0, stop - MOST_LEAD)
        self._text = text[kept:]
        self._done, self._covered = stop - kept, at - kept
        return "".join(shown)


def redactor(config: Config, environ: Mapping[str, str]) -> Redactor:
    """For the variables of `environ` that the configuration says hold secrets."""
    globs = [glob.upper() for glob in config.policy.redact]
    return Redactor(
        {
            name: value
            for name, value in environ.items()
            if any(fnmatchcase(name.upper(), glob) for glob in globs)
        }
    )


def _matches(pattern: re.Pattern[str], text: str, start: int) -> Iterator[re.Match[str]]:
    """A match for each place where there is one, overlapping ones included."""
    while match := pattern.search(text, start):
        yield match
        start = match.start() + 1


def _tail_end(shape: Shape, text: str, start: int) -> int:
    match = shape.tail.match(text, start)
    return match.end() if match else start


def _unfit(value: str) -> str:
    """Why a value can't be looked for; nothing if it can."""
    if len(value) < MIN_LENGTH:
        return f"shorter than {MIN_LENGTH} characters"
    if len(set(value)) < MIN_DISTINCT:
        return f"fewer than {MIN_DISTINCT} different characters"
    if value.lower() in _TRIVIAL:
        return "a word that is no secret"
    if _PATH.fullmatch(value):
        return A_PATH
    return ""


def _forms(value: str) -> Iterator[str]:
    """How a value may be written, as far as it is long enough to be looked for."""
    texts = [value]
    if "\n" in value:
        # A terminal, an indentation or a prefix changes what is between lines.
        texts.append(re.sub("\r?\n", "\r\n", value))
        words = (line.strip() for line in value.splitlines())
        texts += [w for w in words if len(w) >= MIN_LINE and not re.search(r"\s|^-----", w)]
    for text in texts:
        yield text
        yield from _in_json(text)
        yield from _in_url(text)
    for form in _in_base64(value.encode(errors="replace")):
        if len(form) >= MIN_LENGTH:
            yield form
            yield form.translate({ord("+"): "-", ord("/"): "_"})


def _in_json(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        written = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield written
        yield written.replace("/", r"\/")
        yield re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", written)


def _in_url(text: str) -> Iterator[str]:
    for written in (
        quote(text, safe="", errors="replace"),
        quote(text, safe="/", errors="replace"),
        quote(text, safe="!'()*", errors="replace"),
        quote_plus(text, errors="replace"),
    ):
        yield written
        yield re.sub("%..", lambda match: match[0].lower(), written)


def _in_base64(value: bytes) -> Iterator[str]:
    """What base64 makes of the value behind 0, 1 and 2 other bytes, less what they change."""
    for before in range(3):
        written = base64.b64encode(bytes(before) + value).decode()
        yield written[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]
