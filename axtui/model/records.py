"""Stored events, many in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from axtui.model.events import Record
from axtui.v1 import event_pb2 as pb

# The record of a tuple: a third faster than `Record._make`, which reading spends half its time in.
as_record: Callable[[tuple[Any, ...]], Record] = partial(tuple.__new__, Record)


class Block(NamedTuple):
    """The events of a conversation from `first` to `last`, as the bytes of a `Records`."""

    first: int
    last: int
    data: bytes

    @classmethod
    def of(cls, records: Sequence[Record]) -> Block:
        """Records that follow each other."""
        return cls(records[0].seq, records[-1].seq, pack(records))

    def check(self) -> None:
        """Raise DecodeError if it has other seqs than it should. If anything else is wrong, whoever
        takes it apart finds out."""
        # What a damaged block says of itself may be far beyond any memory.
        if 0 < self.first <= self.last < self.first + len(self.data):
            seqs = pb.Records(seqs=range(self.first, self.last + 1))
            # Fields are serialised in the order of their numbers.
            if self.data.startswith(seqs.SerializeToString()):
                return
        raise self._damage()

    def records(self) -> list[Record]:
        """The events. Raises DecodeError."""
        self.check()
        records = unpack(self.data)
        if len(records) != self.last - self.first + 1:
            raise self._damage()
        return records

    def within(self, after: int, last: int) -> Block:
        """Those with after < seq <= last. Raises DecodeError, also where there are none."""
        if self.first > after and self.last <= last:
            return self
        records = [record for record in self.records() if after < record.seq <= last]
        if not records:
            raise self._damage()
        return self.of(records)

    def _damage(self) -> DecodeError:
        return DecodeError(f"other events where {self.first} to {self.last} should be")


def pack(records: Sequence[Record]) -> bytes:
    """Records as the bytes of one `Records`."""
    seqs, kinds, envelopes, payloads = zip(*records, strict=True)
    packed = pb.Records(seqs=seqs, kinds=kinds, envelopes=envelopes)
    if None in payloads:
        packed.erased.extend(record.seq for record in records if record.payload is None)
        payloads = tuple(payload or b"" for payload in payloads)
    packed.payloads.extend(payloads)
    return packed.SerializeToString()


def unpack(data: bytes) -> list[Record]:
    """The records in the bytes of a `Records`. Raises DecodeError."""
    packed = pb.Records.FromString(data)
    # As lists: protobuf takes twice as long to hand out one value after the other.
    columns = packed.seqs[:], packed.kinds[:], packed.envelopes[:], packed.payloads[:]
    if len({len(column) for column in columns}) > 1:
        raise DecodeError("columns of different lengths")
    records = list(map(as_record, zip(*columns, strict=True)))
    if packed.erased:
        erased = set(packed.erased)
        records = [r._replace(payload=None) if r.seq in erased else r for r in records]
    return records


def portions(records: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    """Records in portions of at most so many bytes, or of one record that has more."""
    start = taken = 0
    for at, record in enumerate(records):
        more = len(record.envelope) + len(record.payload or b"")
        if taken + more > size and at > start:
            yield records[start:at]
            start, taken = at, 0
        taken += more
    if start < len(records):
        yield records[start:]
