"""What the write side of a conversation needs, whatever store is behind it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from axtui.model.events import Head
from axtui.model.fold import EXCERPT_CHARS
from axtui.runtime.eventlog.conversation import Append, Conversation

from .drafts import BIG, note, said

STATM = Path("/proc/self/statm")


class Nowhere:
    """A store that keeps the last thing it was told, and that in vain."""

    def submit(self, append: Append) -> None:
        self.told = append


def test_a_blob_goes_with_the_append_that_follows() -> None:
    store = Nowhere()
    conversation = Conversation(store, 1, "c", Head())
    conversation.append(note())
    before = store.told
    data = conversation.data(BIG)
    conversation.append(note())
    assert (before.blobs, before.blob_refs) == ([], [])
    assert [digest for digest, _ in store.told.blobs] == [data.blob.digest]


@pytest.mark.skipif(not STATM.exists(), reason="the kernel doesn't tell how much memory is in use")
def test_memory_does_not_grow_with_the_length_of_a_log() -> None:
    conversation = Conversation(Nowhere(), 1, "c", Head())

    def append(count: int) -> int:
        for _ in range(count):
            conversation.append(said("x" * EXCERPT_CHARS))
        return _resident_bytes()

    before = append(5_000)
    # A state that kept what it has dropped would take some 10 MB.
    assert append(20_000) - before < 3_000_000


def _resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
