"""Many stored events in one message."""

from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from axtui.model.events import Record
from axtui.model.records import Block, pack, portions, unpack
from axtui.v1 import event_pb2 as pb

SEQS = st.integers(0, 2**63 - 1)
RECORDS = st.builds(
    Record, SEQS, st.text(), st.binary(max_size=50), st.none() | st.binary(max_size=50)
)


def row(first, last):
    """Records that follow each other from `first` to `last`, or one that is alone."""
    return [Record(seq, "note", b"e%d" % seq, b"p%d" % seq) for seq in range(first, last + 1)]


@given(st.lists(RECORDS, min_size=1, unique_by=lambda record: record.seq))
def test_the_way_there_and_back(records):
    assert unpack(pack(records)) == records


@given(
    st.lists(
        st.lists(RECORDS, min_size=1, max_size=4), unique_by=lambda part: part[0].seq, max_size=4
    )
)
def test_one_behind_the_other_is_one(parts):
    seqs = [record.seq for part in parts for record in part]
    if len(set(seqs)) == len(seqs):
        assert unpack(b"".join(map(pack, parts))) == [r for part in parts for r in part]


@given(st.binary())
def test_garbage_is_told_or_says_something(data):
    with suppress(DecodeError):
        assert isinstance(unpack(data), list)


@pytest.mark.parametrize("column", ["seqs", "kinds", "envelopes", "payloads"])
def test_a_column_that_is_too_short_is_damage(column):
    packed = pb.Records.FromString(pack(row(1, 3)))
    del getattr(packed, column)[-1]
    with pytest.raises(DecodeError, match="columns"):
        unpack(packed.SerializeToString())


class TestBlock:
    def test_what_it_should_hold_is_what_it_holds(self):
        block = Block.of(row(5, 9))
        assert block[:2] == (5, 9)
        block.check()
        assert block.records() == row(5, 9)

    @pytest.mark.parametrize(
        ("first", "last"), [(5, 8), (4, 9), (6, 10), (9, 5), (0, 2**62), (-(2**62), 9)]
    )
    @pytest.mark.parametrize("look", [Block.check, Block.records])
    def test_what_it_holds_otherwise_is_damage(self, first, last, look):
        with pytest.raises(DecodeError, match=f"where {first} to {last} should be"):
            look(Block(first, last, pack(row(5, 9))))

    @pytest.mark.parametrize("look", [Block.check, Block.records])
    def test_so_is_nothing(self, look):
        with pytest.raises(DecodeError, match="where 1 to 0 should be"):
            look(Block(1, 0, b""))

    def test_so_are_more_behind_what_it_should_hold(self):
        with pytest.raises(DecodeError, match="where 5 to 9 should be"):
            Block(5, 9, pack(row(5, 9)) + pack(row(10, 10))).records()

    def test_one_that_is_cut_is_found_when_it_is_taken_apart(self):
        with pytest.raises(DecodeError):
            Block(5, 9, pack(row(5, 9))[:-1]).records()

    def test_what_is_within(self):
        block = Block.of(row(5, 9))
        assert block.within(4, 9) is block
        assert block.within(6, 8).records() == row(7, 8)
        with pytest.raises(DecodeError, match="where 5 to 9 should be"):
            block.within(9, 12)


@given(st.lists(st.integers(0, 40)), st.integers(1, 60))
def test_portions_are_no_larger_than_they_may(sizes, most):
    records = [Record(seq, "note", bytes(size), None) for seq, size in enumerate(sizes)]
    parts = [*portions(records, most)]
    assert [record for part in parts for record in part] == records
    taken = [sum(len(record.envelope) for record in part) for part in parts]
    assert all(len(part) == 1 or size <= most for part, size in zip(parts, taken, strict=True))
    for size, after in zip(taken, parts[1:], strict=False):
        assert size + len(after[0].envelope) > most
