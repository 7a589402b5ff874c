"""Full-text search: an index beside the log, made of it alone and caught up by whoever searches.

Events are indexed where they stand, under the number of the conversation that owns them, so that
what forks share is found once. Nobody who writes the log waits for any of it.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from axtui.model.events import Record, envelope_hash
from axtui.model.search import Found, Hit, Term, searchable
from axtui.runtime.eventlog.base import UnknownConversation
from axtui.runtime.eventlog.blocks import fresh, settled
from axtui.runtime.eventlog.schema import STORE_ERRORS, check_current, connect, explain
from axtui.runtime.eventlog.search_file import IndexFile, is_damage
from axtui.runtime.eventlog.segments import Segment, segments

# One transaction of the index: a few hundredths of a second.
_BATCH_EVENTS = 500
_BATCH_CHARS = 1 << 20
_EXCERPT_TOKENS = 24
_EXCERPT_CHARS = 160
_START, _END, _BETWEEN = "\x02", "\x03", "\x1f"
_CONTROLS = dict.fromkeys(range(32), " ")
# Written without spaces, these are words of one character each, and what is searched for a phrase.
_UNSPACED = re.compile(
    "([\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U0003ffff])"
)
T = TypeVar("T")


class _Source(NamedTuple):
    """How a conversation is, or was when it was indexed."""

    id: str
    parent: int | None
    seq: int
    hash: bytes
    hidden: int


class _Place(NamedTuple):
    """An event in which something can be found."""

    seq: int
    kind: str
    actor: str
    time_us: int
    internal: bool
    text: str


class _Page(NamedTuple):
    """What is to be indexed, and what its conversation is known as before and after."""

    number: int
    before: _Source | None
    after: _Source
    places: list[_Place]
    events: int


class _Work(NamedTuple):
    """A conversation that isn't indexed to its end: what is known of it, and what it is."""

    number: int
    known: _Source | None
    now: _Source | None
    # Where its own events begin.
    start: int

    @property
    def left(self) -> int:
        done = self.known.seq if self.known else 0
        return max(1, self.now.seq - max(done, self.start)) if self.now else 1


class Search:
    """The index of a log. Used by one thread at a time."""

    def __init__(self, log: Path) -> None:
        self._log_path = log
        self._path = Path(f"{log}.search")
        self._log: sqlite3.Connection | None = None
        self._file: IndexFile | None = None
        self._caught_up = -1

    def close(self) -> None:
        """Let go of the files."""
        if self._log is not None:
            with suppress(sqlite3.Error):
                self._log.close()
        if self._file is not None:
            self._file.close()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody has ever searched: before, nobody pays for an index."""
        return self._path.exists()

    def search(
        self, terms: Sequence[Term], conversation_id: str, limit: int, seconds: float
    ) -> Found:
        """The newest events in which all terms occur, once the index is caught up: that is gone on
        with for about so long. Raises LogError."""
        if left := self.catch_up(seconds):
            return Found([], left)
        within = self._of_log(_within, conversation_id) if conversation_id else None
        hits = self._of_index(_hits, _match(terms), within, limit)
        # It was damaged, and there is another by now, which knows nothing yet.
        return Found([], 1) if self._caught_up < 0 else Found(hits)

    def catch_up(self, seconds: float) -> int:
        """Index what isn't yet, for about so long; gives back how many events are left."""
        version = self._of_log(_version)
        if version == self._caught_up:
            return 0
        left = self._of_index(self._catch_up, time.monotonic() + seconds)
        self._caught_up = -1 if left else version
        return left

    def _catch_up(self, index: sqlite3.Connection, end: float) -> int:
        known = {number: _Source(*row) for number, *row in index.execute("SELECT * FROM sources")}
        todo = self._of_log(_todo, known)
        left = sum(work.left for work in todo)
        batch: list[_Page] = []
        for work in todo:
            left -= work.left
            if work.now is None:
                left += _drop(index, work.number, end)
            else:
                left += self._index(index, work, work.now, batch, end)
            if time.monotonic() > end:
                break
        return left + _write(index, batch)

    def _index(
        self,
        index: sqlite3.Connection,
        work: _Work,
        now: _Source,
        batch: list[_Page],
        end: float,
    ) -> int:
        """Index a conversation, or begin to; how many of its events are left."""
        known = work.known
        if known and not self._of_log(_continues, work.number, known, now):
            if _drop(index, work.number, end):
                return now.seq
            known = None
        skipped = 0
        while known != now:
            page = self._of_log(_page, work.number, max(work.start, known.seq if known else 0), now)
            batch.append(page._replace(before=known))
            known = page.after
            if sum(page.events for page in batch) >= _BATCH_EVENTS:
                skipped += _write(index, batch)
                batch.clear()
                if time.monotonic() > end:
                    break
        return skipped + (now.seq - known.seq if known else 0)

    def _of_log(self, ask: Callable[..., T], *args: object) -> T:
        try:
            if self._log is None:
                self._log = connect(self._log_path, write=False)
                check_current(self._log, self._log_path)
            # What settles moves from one table to another: both are looked at as of one moment.
            self._log.execute("BEGIN")
            try:
                return ask(self._log, *args)
            finally:
                if self._log.in_transaction:
                    self._log.execute("ROLLBACK")
        except STORE_ERRORS as error:
            raise explain(error, self._log_path) from None

    def _of_index(self, ask: Callable[..., T], *args: object) -> T:
        """Ask the index. One that is damaged is made anew, and where there can't be a file there is
        a temporary one."""
        index = self._file or IndexFile.open(self._path)
        for opened_anew in (False, True):
            self._file = index
            try:
                return ask(index.connection, *args)
            except (sqlite3.Error, UnicodeDecodeError, TypeError) as error:
                index.close()
                self._file, self._caught_up = None, -1
                if opened_anew or index.is_temporary:
                    raise explain(error, self._path) from None
                damaged = not isinstance(error, sqlite3.Error) or is_damage(error)
                index = IndexFile.open(self._path, anew=True) if damaged else IndexFile.temporary()
        raise AssertionError("it is asked twice at most")


def _version(log: sqlite3.Connection) -> int:
    """Another number each time that somebody has written the log."""
    return int(log.execute("PRAGMA data_version").fetchone()[0])


def _todo(log: sqlite3.Connection, known: dict[int, _Source]) -> list[_Work]:
    """The conversations that are known to be otherwise than they are."""
    rows = log.execute(
        "SELECT c.number, c.id, c.parent, h.seq, h.hash, c.deleted_us > 0, c.parent_end"
        " FROM conversations c JOIN heads h ON h.number = c.number WHERE c.id NOT LIKE '$%'"
    )
    todo = []
    there = set()
    for number, name, parent, seq, hash, hidden, start in rows:
        if type(seq) is not int or type(hash) is not bytes:
            # `axtui verify` tells; the others can be searched all the same.
            continue
        there.add(number)
        now = _Source(name, parent, seq, hash, hidden)
        if known.get(number) != now:
            todo.append(_Work(number, known.get(number), now, start or 0))
    gone = [_Work(number, known[number], None, 0) for number in known.keys() - there]
    return gone + todo


def _continues(log: sqlite3.Connection, number: int, known: _Source, now: _Source) -> bool:
    """Whether a conversation is what was indexed, and maybe more: not another of its number, nor a
    fork that has got what it shared."""
    if (known.id, known.parent) != (now.id, now.parent):
        return False
    records = _events(log, number, known.seq - 1, known.seq)
    return any(envelope_hash(record.envelope) == known.hash for record in records)


def _page(log: sqlite3.Connection, number: int, after: int, now: _Source) -> _Page:
    """The events behind `after`, as many as go into a batch."""
    records = [*islice(_events(log, number, after, now.seq), _BATCH_EVENTS)]
    places: list[_Place] = []
    chars = 0
    for record in records:
        seq = record.seq
        with suppress(DecodeError):
            event = record.event()
            if text := searchable(event).translate(_CONTROLS):
                internal = event.message.internal_only
                places.append(
                    _Place(seq, event.kind, event.actor, event.time_us, internal, _spaced(text))
                )
                chars += len(text)
        if chars > _BATCH_CHARS and seq < now.seq:
            return _Page(number, None, _at(now, record), places, _BATCH_EVENTS)
    full = len(records) == _BATCH_EVENTS
    return _Page(number, None, _at(now, records[-1]) if full else now, places, len(records))


def _events(log: sqlite3.Connection, number: int, after: int, last: int) -> Iterator[Record]:
    """Those with after < seq <= last that are sound; `axtui verify` finds the others."""
    with suppress(DecodeError):
        for block in settled(log, number, after, last):
            with suppress(DecodeError):
                yield from (r for r in block.records() if after < r.seq <= last)
        yield from fresh(log, number, after, last, limit=_BATCH_EVENTS)


def _at(now: _Source, record: Record) -> _Source:
    if record.seq >= now.seq:
        return now
    return now._replace(seq=record.seq, hash=envelope_hash(record.envelope))


def _write(index: sqlite3.Connection, batch: Sequence[_Page]) -> int:
    """Put pages into the index, all of them or none, but for those that another process was faster
    with: how many these are."""
    skipped = 0
    with _transaction(index):
        (last,) = index.execute("SELECT coalesce(max(number), 0) FROM places").fetchone()
        for page in batch:
            row = index.execute("SELECT * FROM sources WHERE number = ?", (page.number,)).fetchone()
            if (_Source(*row[1:]) if row else None) != page.before:
                skipped += 1
                continue
            numbered = list(enumerate(page.places, last + 1))
            last += len(numbered)
            index.executemany(
                "INSERT INTO places VALUES (?,?,?,?,?,?,?)",
                [(number, page.number, *place[:-1]) for number, place in numbered],
            )
            index.executemany(
                "INSERT INTO texts (rowid, text) VALUES (?,?)",
                [(number, place.text) for number, place in numbered],
            )
            index.execute(
                "INSERT OR REPLACE INTO sources VALUES (?,?,?,?,?,?)", (page.number, *page.after)
            )
    return skipped


def _drop(index: sqlite3.Connection, number: int, end: float) -> bool:
    """Take a conversation out of the index, or begin to; whether something is left of it."""
    while True:
        with _transaction(index):
            # Not found from here on, and not taken for what it was.
            index.execute("UPDATE sources SET hidden = 1, hash = x'' WHERE number = ?", (number,))
            places = index.execute(
                "SELECT number FROM places WHERE source = ? LIMIT ?", (number, _BATCH_EVENTS)
            ).fetchall()
            index.executemany("DELETE FROM texts WHERE rowid = ?", places)
            index.executemany("DELETE FROM places WHERE number = ?", places)
            if len(places) < _BATCH_EVENTS:
                index.execute("DELETE FROM sources WHERE number = ?", (number,))
        if len(places) < _BATCH_EVENTS:
            return False
        if time.monotonic() > end:
            return True


@contextmanager
def _transaction(index: sqlite3.Connection) -> Iterator[None]:
    index.execute("BEGIN IMMEDIATE")
    try:
        yield
        index.execute("COMMIT")
    finally:
        if index.in_transaction:
            with suppress(sqlite3.Error):
                index.execute("ROLLBACK")


def _spaced(text: str) -> str:
    return text if text.isascii() else _UNSPACED.sub(rf"{_BETWEEN}\1{_BETWEEN}", text)


def _match(terms: Iterable[Term]) -> str:
    """Terms in the words of FTS5, whose syntax nothing within quotes is."""
    quoted = []
    for term in terms:
        words = term.words.encode(errors="replace").decode().translate(_CONTROLS)
        quoted.append(f'"{_spaced(words)}"' + "*" * term.is_prefix)
    return " AND ".join(quoted)


class _Within(NamedTuple):
    """The conversation that is searched, and where its events stand."""

    id: str
    parts: Sequence[Segment]


def _within(log: sqlite3.Connection, conversation_id: str) -> _Within:
    row = log.execute(
        "SELECT number, deleted_us FROM conversations WHERE id = ?", (conversation_id,)
    ).fetchone()
    if row is None:
        raise UnknownConversation(conversation_id)
    return _Within(conversation_id, [] if row[1] else segments(log, row[0]))


def _hits(index: sqlite3.Connection, match: str, within: _Within | None, limit: int) -> list[Hit]:
    where, values = "s.hidden = 0", list[object]()
    if within is not None:
        own = "(p.source = ? AND p.seq > ? AND p.seq <= ?)"
        where = " OR ".join([own] * len(within.parts)) or "0"
        values = [value for part in within.parts for value in part]
    rows = index.execute(
        "SELECT p.number, s.id, p.seq, p.kind, p.actor, p.time_us, p.internal FROM texts"
        " JOIN places p ON p.number = texts.rowid JOIN sources s ON s.number = p.source"
        f" WHERE texts MATCH ? AND ({where})"
        " ORDER BY p.time_us DESC, p.source DESC, p.seq DESC LIMIT ?",
        (match, *values, limit),
    ).fetchall()
    hits = []
    for number, name, seq, kind, actor, time_us, internal in rows:
        cut = index.execute(
            "SELECT snippet(texts, 0, ?, ?, '…', ?) FROM texts WHERE texts MATCH ? AND rowid = ?",
            (_START, _END, _EXCERPT_TOKENS, match, number),
        ).fetchone()
        if cut is not None:
            owner = within.id if within else name
            excerpt = _excerpt(cut[0])
            hits.append(Hit(owner, seq, kind, actor, time_us, *excerpt, bool(internal)))
    return hits


def _excerpt(snippet: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """One line of a text, and the places in it that are marked."""
    line = " ".join(snippet.replace(_BETWEEN, "").split())
    before = line.find(_START)
    if before > _EXCERPT_CHARS // 2:
        line = "…" + line[before - _EXCERPT_CHARS // 2 :]
    text, marks, start = "", [], -1
    for part in re.split(f"([{_START}{_END}])", line):
        if part == _START:
            start = len(text)
        elif part == _END:
            marks.append((start, len(text)))
            start = -1
        else:
            text += part
    if len(text) > _EXCERPT_CHARS:
        text = text[: _EXCERPT_CHARS - 1] + "…"
        marks = [(a, min(b, len(text) - 1)) for a, b in marks if a < len(text) - 1]
    return text, tuple(marks)
