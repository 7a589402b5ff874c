"""How events rest in a SQLite log: up to `BLOCK` of a conversation in one row.

Reading and sending so many at once takes a fraction of what it does one by one. Events are written
to `fresh` first, see writer.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, groupby, pairwise
from typing import Any

from google.protobuf.message import DecodeError

from axtui.model.events import Record
from axtui.model.records import Block, as_record, portions

# Those from 1 to 128, from 129 to 256 and so on are put together once the last of them is there.
BLOCK = 128
# What is larger is split, for it has to be read as a whole.
BLOCK_BYTES = 128 * 1024
_BLOCK_TYPES = (int, int, bytes)
# In a damaged file a column may hold any type.
_RECORD_TYPES: tuple[frozenset[Any], ...] = (
    *(frozenset({int}), frozenset({str}), frozenset({bytes})),
    frozenset({bytes, type(None)}),
)
_BLOCKS = (
    "SELECT first, last, records FROM blocks WHERE number = ? AND first <= ?"
    " AND first >= coalesce((SELECT max(first) FROM blocks WHERE number = ? AND first <= ?), 0)"
)
_FRESH = "SELECT seq, kind, envelope, payload FROM fresh WHERE number = ? AND seq > ? AND seq <= ?"


def settled(
    connection: sqlite3.Connection,
    number: int,
    after: int,
    last: int,
    *,
    kinds: Sequence[str] = (),
    newest_first: bool = False,
) -> Iterator[Block]:
    """What has settled under a number of the events with after < seq <= last, in blocks that may
    have others too; with `kinds` only blocks that have some of these. Raises DecodeError."""
    if last <= after:
        return
    where = f" AND ({' OR '.join(['instr(kinds, ?)'] * len(kinds))})" if kinds else ""
    rows = connection.execute(
        f"{_BLOCKS}{where} ORDER BY first {'DESC' if newest_first else ''}",
        (number, last, number, after + 1, *(f",{kind}," for kind in kinds)),
    )
    for row in rows:
        if tuple(map(type, row)) != _BLOCK_TYPES:
            raise DecodeError("a block of events")
        if row[1] > after:
            yield Block(*row)


def fresh(
    connection: sqlite3.Connection,
    number: int,
    after: int,
    last: int,
    *,
    limit: int,
    kinds: Sequence[str] = (),
    newest_first: bool = False,
) -> list[Record]:
    """The events under a number that haven't settled. Raises DecodeError."""
    where = f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
    rows = connection.execute(
        f"{_FRESH}{where} ORDER BY seq {'DESC' if newest_first else ''} LIMIT ?",
        (number, after, last, *kinds, limit),
    )
    return _records(rows.fetchall())


def settle(connection: sqlite3.Connection) -> None:
    """Move what was written last to where each conversation's events stand together."""
    store(
        connection,
        connection.execute(
            "SELECT number, seq, kind, envelope, payload FROM fresh ORDER BY number, seq"
        ),
    )
    connection.execute("DELETE FROM fresh")


def store(connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put events to rest. A row is the number that an event stands under, and its record. Raises
    DecodeError."""
    for (number, _), group in groupby(rows, _place):
        records = _records([row[1:] for row in group])
        if records[-1].seq % BLOCK == 0:
            records = _taken_back(connection, number, records[0].seq) + records
        for portion in chain.from_iterable(portions(r, BLOCK_BYTES) for r in _unbroken(records)):
            first, last, data = Block.of(portion)
            connection.execute(
                "INSERT INTO blocks (number, first, last, kinds, records) VALUES (?,?,?,?,?)",
                (number, first, last, kinds_in(portion), data),
            )


def _unbroken(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Those that follow each other: in a damaged log some may be missing or doubled, and must not
    make all of a block unreadable."""
    start = 0
    for at, (before, record) in enumerate(pairwise(records), 1):
        if record.seq != before.seq + 1:
            yield records[start:at]
            start = at
    yield records[start:]


def kinds_in(records: Iterable[Record]) -> str:
    """The kinds of events in a block, each between commas."""
    return f",{','.join(sorted({record.kind for record in records}))},"


def _place(row: tuple[Any, ...]) -> tuple[int, int]:
    number, seq = row[:2]
    if type(number) is not int or type(seq) is not int:
        raise DecodeError("an event")
    return number, (seq - 1) // BLOCK


def _records(rows: Sequence[tuple[Any, ...]]) -> list[Record]:
    for types, column in zip(_RECORD_TYPES, zip(*rows, strict=True), strict=False):
        if not types.issuperset(map(type, column)):
            raise DecodeError("an event")
    return list(map(as_record, rows))


def _taken_back(connection: sqlite3.Connection, number: int, before: int) -> list[Record]:
    """The events of the same block that have settled already, which stay there no longer."""
    start = (before - 1) // BLOCK * BLOCK
    # What is damaged stays as it is, and takes no others along.
    with suppress(DecodeError):
        earlier = list(settled(connection, number, start, before - 1))
        records = [record for block in earlier for record in block.records()]
        follow = [record.seq for record in records] == [*range(before - len(records), before)]
        if follow and sum(len(block.data) for block in earlier) < BLOCK_BYTES:
            connection.execute(
                "DELETE FROM blocks WHERE number = ? AND first > ? AND first < ?",
                (number, start, before),
            )
            return records
    return []
