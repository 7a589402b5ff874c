"""One conversation's log as a list on a screen needs it: any event, at once or a moment later, in
memory that doesn't grow with the log."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from axtui.client import Client, LogError, Refused, Unreachable
from axtui.model.events import TERMINAL_KINDS, Record
from axtui.model.streams import Streams
from axtui.ui.rows import event_of

PAGE = 256
MAX_BYTES = 16 << 20
# As many as can be in sight at once, and one at either side.
_MIN_PAGES = 4
# Pages, and single events, that were wanted before these have been scrolled past.
_MAX_WANTED_PAGES, _MAX_WANTED = 6, 256
_MAX_SINGLE, _MIN_SINGLE = 1024, 256
_ENDINGS = TERMINAL_KINDS | {"step.completed", "step.failed"}
# What couldn't be read isn't asked for again before.
_RETRY_SECONDS = 10.0


class LogView:
    """`head` is the last seq there is, as far as is known; `streams` what steps put out that are
    under way. Events come from pages that are fetched when first asked for, and from `follow`.

    `arrived` is called with the first and last seq of what wasn't there before: a page, a single
    event, or events at the end. `failed` is called with what a fetch ended with.
    """

    def __init__(
        self,
        client: Client,
        conversation_id: str,
        head: int,
        arrived: Callable[[int, int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.conversation_id = conversation_id
        self.client = client
        self.head = head
        self.streams = Streams()
        self.listeners: list[Callable[[list[Record]], None]] = []
        self._arrived = arrived
        self._failed = failed
        self._pages: OrderedDict[int, list[Record]] = OrderedDict()
        self._single: OrderedDict[int, Record] = OrderedDict()
        self._bytes = 0
        self._wanted_pages: deque[int] = deque(maxlen=_MAX_WANTED_PAGES)
        self._wanted: deque[int] = deque(maxlen=_MAX_WANTED)
        # By page, or by minus the seq of a single event: when it may be tried again.
        self._broken: dict[int, float] = {}
        self._fetching: asyncio.Task[None] | None = None

    def record(self, seq: int, *, single: bool = False) -> Record | None:
        """An event; None if it isn't here yet, and then it is fetched, with those around it unless
        only this `single` one is of interest."""
        number, offset = divmod(seq - 1, PAGE)
        page = self._pages.get(number)
        if page is not None and offset < len(page):
            self._pages.move_to_end(number)
            return page[offset]
        if (record := self._single.get(seq)) is not None:
            self._single.move_to_end(seq)
            return record
        if 1 <= seq <= self.head:
            self._want(seq if single else number, self._wanted if single else self._wanted_pages)
        return None

    def is_broken(self, seq: int) -> bool:
        """Whether an event couldn't be read."""
        return (seq - 1) // PAGE in self._broken or -seq in self._broken

    def keep(self, record: Record) -> None:
        """Have a single event that was read elsewhere, while there is room."""
        if record.seq not in self._single:
            self._single[record.seq] = record
            self._bytes += _size(record)
            self._evict()

    async def follow(self) -> None:
        """Take what is committed from here on, for as long as this is awaited. Raises what
        `Client.watch` does."""
        async for items in self.client.watch(self.conversation_id, self.head):
            records: list[Record] = []
            for item in items:
                if isinstance(item, Record):
                    records.append(item)
                else:
                    self.streams.take(item)
            first = self.head + 1
            for record in records:
                self._append(record)
            for listener in list(self.listeners):
                listener(records)
            if records:
                self._arrived(first, self.head)

    async def fetch(self, seq: int) -> Record | None:
        """An event, once it is here; None if there is none of that seq, or it can't be read."""
        if (record := self.record(seq, single=True)) is None and 1 <= seq <= self.head:
            await self._load_single(seq)
            record = self.record(seq, single=True)
        return record

    async def load(self, seq: int) -> None:
        """Have an event, and those around it, here before they are asked for."""
        if seq:
            await self._load((seq - 1) // PAGE)

    async def close(self) -> None:
        """Fetch no more."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    def _append(self, record: Record) -> None:
        self.head = max(self.head, record.seq)
        if self.streams and record.kind in _ENDINGS:
            self._end_streams(record)
        number, offset = divmod(record.seq - 1, PAGE)
        page = self._pages.get(number)
        if page is None and not offset:
            page = self._pages[number] = []
        # Else it is in the middle of a page that isn't here, and comes with it.
        if page is not None and len(page) == offset:
            page.append(record)
            self._bytes += _size(record)
            self._evict()

    def _end_streams(self, record: Record) -> None:
        event = event_of(record)
        if record.kind == "step.completed":
            self.streams.pop(event.step_completed.key, None)
        elif record.kind == "step.failed":
            self.streams.pop(event.step_failed.key, None)
        else:
            self.streams.clear()

    def _want(self, what: int, among: deque[int]) -> None:
        name = what if among is self._wanted_pages else -what
        if what in among or self._broken.get(name, 0.0) > time.monotonic():
            return
        among.append(what)
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.ensure_future(self._fetch())

    async def _fetch(self) -> None:
        """What was wanted last first, and the pages around it after what is in sight."""
        while self._wanted_pages or self._wanted:
            if self._wanted:
                seq = self._wanted[-1]
                await self._load_single(seq)
                _discard(self._wanted, seq)
                continue
            number = self._wanted_pages[-1]
            await self._load(number)
            _discard(self._wanted_pages, number)
            for near in (number + 1, number - 1):
                known = near in self._pages or near in self._broken
                if not self._wanted_pages and not known and 0 <= near * PAGE < self.head:
                    await self._load(near)

    async def _load(self, number: int) -> None:
        first = number * PAGE + 1
        page: list[Record] = []
        while len(page) < PAGE:
            after = first - 1 + len(page)
            more = await self._read(number, after, PAGE - len(page))
            if not more:
                break
            page += more
        known = self._pages.get(number, [])
        if len(page) > len(known):
            self._bytes += sum(map(_size, page)) - sum(map(_size, known))
            self._pages[number] = page
            self._pages.move_to_end(number)
            self._evict()
            self._arrived(first, page[-1].seq)

    async def _load_single(self, seq: int) -> None:
        for record in await self._read(-seq, seq - 1, 1):
            self.keep(record)
            self._arrived(seq, seq)

    async def _read(self, name: int, after: int, limit: int) -> list[Record]:
        """Some events; none where that can't be, which is told, and remembered for a while."""
        try:
            found = await self.client.read(self.conversation_id, after=after, limit=limit)
        except (Refused, LogError, Unreachable) as error:
            self._broken[name] = time.monotonic() + _RETRY_SECONDS
            self._failed(error)
            return []
        self._broken.pop(name, None)
        return found

    def _evict(self) -> None:
        while self._bytes > MAX_BYTES and len(self._pages) > _MIN_PAGES:
            _, page = self._pages.popitem(last=False)
            self._bytes -= sum(map(_size, page))
        while len(self._single) > (_MIN_SINGLE if self._bytes > MAX_BYTES else _MAX_SINGLE):
            _, record = self._single.popitem(last=False)
            self._bytes -= _size(record)


def _discard(wanted: deque[int], what: int) -> None:
    if what in wanted:
        wanted.remove(what)


def _size(record: Record) -> int:
    return 100 + len(record.envelope) + len(record.payload or b"")
