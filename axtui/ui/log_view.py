"""One conversation's log as a list on a screen needs it: any event, at once or a moment later, in
memory that doesn't grow with the log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from axtui.model.streams import Streams

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.events import Record

PAGE = 256
MAX_BYTES = 16 << 20
# Pages that were wanted before these have been scrolled past.
_MAX_WANTED = 6
_MIN_PAGES = 4


class LogView:
    """`head` is the last seq there is, as far as is known; `streams` what steps put out that are
    under way. Events come from pages that are fetched when first asked for, and from `follow`.

    `arrived` is called with the first and last seq of what wasn't there before: a page, or events
    at the end.
    """

    def __init__(
        self, client: Client, conversation_id: str, head: int, arrived: Callable[[int, int], None]
    ) -> None:
        self.conversation_id = conversation_id
        self.head = head
        self.streams = Streams()
        self._client = client
        self._arrived = arrived
        self._pages: OrderedDict[int, list[Record]] = OrderedDict()
        self._bytes = 0
        self._wanted: deque[int] = deque(maxlen=_MAX_WANTED)
        self._fetching: asyncio.Task[None] | None = None
        self.listeners: list[Callable[[list[Record]], None]] = []

    def record(self, seq: int) -> Record | None:
        """An event; None if it isn't here yet, and then it is fetched."""
        number, offset = divmod(seq - 1, PAGE)
        page = self._pages.get(number)
        if page is not None and offset < len(page):
            self._pages.move_to_end(number)
            return page[offset]
        if 1 <= seq <= self.head:
            self._want(number)
        return None

    async def follow(self) -> None:
        """Take what is committed from here on, for as long as this is awaited."""
        from axtui.model.events import Record

        async for items in self._client.watch(self.conversation_id, self.head):
            records: list[Record] = []
            for item in items:
                if isinstance(item, Record):
                    records.append(item)
                else:
                    self.streams.take(item)
            first = self.head + 1
            for record in records:
                self._append(record)
            for listener in self.listeners:
                listener(records)
            self._arrived(first, self.head)

    async def fetch(self, seq: int) -> Record | None:
        """An event, once it is here; None if there is none of that seq."""
        if (record := self.record(seq)) is None and 1 <= seq <= self.head:
            await self._load((seq - 1) // PAGE)
            record = self.record(seq)
        return record

    async def close(self) -> None:
        """Fetch no more."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    def _append(self, record: Record) -> None:
        self.head = max(self.head, record.seq)
        number, offset = divmod(record.seq - 1, PAGE)
        page = self._pages.get(number)
        if page is None and not offset:
            page = self._pages[number] = []
        # Else it is in the middle of a page that isn't here, and comes with it.
        if page is not None and len(page) == offset:
            page.append(record)
            self._bytes += _size(record)
            self._evict()

    def _want(self, number: int) -> None:
        if number in self._wanted:
            return
        self._wanted.append(number)
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.ensure_future(self._fetch())

    async def _fetch(self) -> None:
        """The page that was wanted last first, and those around it after what is in sight."""
        while self._wanted:
            number = self._wanted[-1]
            await self._load(number)
            with_neighbours = (number, number + 1, number - 1)
            if number in self._wanted:
                self._wanted.remove(number)
            for near in with_neighbours[1:]:
                if near * PAGE < self.head and near >= 0 and near not in self._pages:
                    await self._load(near)

    async def _load(self, number: int) -> None:
        first = number * PAGE + 1
        page: list[Record] = []
        while len(page) < PAGE:
            more = await self._client.read(
                self.conversation_id, after=first - 1 + len(page), limit=PAGE - len(page)
            )
            if not more:
                break
            page += more
        known = self._pages.get(number)
        if known is None or len(page) > len(known):
            self._bytes += sum(map(_size, page)) - sum(map(_size, known or ()))
            self._pages[number] = page
            self._pages.move_to_end(number)
            self._evict()
        if page:
            self._arrived(first, page[-1].seq)

    def _evict(self) -> None:
        while self._bytes > MAX_BYTES and len(self._pages) > _MIN_PAGES:
            _, page = self._pages.popitem(last=False)
            self._bytes -= sum(map(_size, page))


def _size(record: Record) -> int:
    return 100 + len(record.envelope) + len(record.payload or b"")
