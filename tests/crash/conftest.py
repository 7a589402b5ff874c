"""Warm processes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import pytest

from .harness import Zygote

T = TypeVar("T")
U = TypeVar("U")
# More than there are cores in a small CI machine: the demo mostly waits.
_SIZE = 3
# Fifteen seconds' worth of processes may take minutes on a machine that does other things.
_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        here = Path(__file__).parent in item.path.parents
        if here and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SECONDS))


class Pool:
    """Some zygotes, each used by one thread at a time."""

    def __init__(self, zygotes: Iterable[Zygote]) -> None:
        self._free: SimpleQueue[Zygote] = SimpleQueue()
        for zygote in zygotes:
            self._free.put(zygote)

    def map(self, function: Callable[[Zygote, T], U], items: Iterable[T]) -> list[U]:
        """`function` of each item, some at a time."""

        def one(item: T) -> U:
            zygote = self._free.get()
            try:
                return function(zygote, item)
            except BaseException as error:
                error.add_note(f"in {str(item)[:200]}")
                raise
            finally:
                self._free.put(zygote)

        with ThreadPoolExecutor(_SIZE) as executor:
            futures = [executor.submit(one, item) for item in items]
            try:
                return [future.result() for future in futures]
            finally:
                executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Zygotes for everything that needs no shim under it."""
    with ExitStack() as stack:
        folders = (tmp_path_factory.mktemp(f"zygote{n}") for n in range(_SIZE))
        yield Pool([stack.enter_context(Zygote(folder)) for folder in folders])


@pytest.fixture
def zygote(tmp_path: pytest.TempPathFactory, pool: Pool) -> Iterator[Zygote]:
    """One of them."""
    taken = pool._free.get()
    yield taken
    pool._free.put(taken)
