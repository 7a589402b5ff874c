"""Logs for screens to show, and a client whose answers a test decides about."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from axtui.model.events import Draft, Head, Payload, Record, envelope_hash, seal, user_message
from axtui.runtime.eventlog.base import LogDamaged
from axtui.v1 import event_pb2 as pb

ID = "c"


def records_of(drafts: Iterable[Draft], head: Head | None = None) -> list[Record]:
    """Events a hundredth of a second apart."""
    head = head or Head()
    found = []
    for draft in drafts:
        record, event = seal(draft, ID, head, 1_700_000_000_000_000 + head.seq * 10_000)
        head = Head(record.seq, envelope_hash(record.envelope), event.time_us)
        found.append(record)
    return found


def one_run(steps: int, actor: str = "counter") -> list[Draft]:
    """A run of so many steps; each tenth fails."""
    payloads: list[Payload] = [pb.RunStarted(agent=actor), user_message("go on")]
    for number in range(1, steps + 1):
        payloads.append(
            pb.StepStarted(
                key=str(number),
                type="tool" if number % 2 else "model",
                name=f"work{number % 3}",
                arguments=pb.Data(text=f'{{"n": {number}}}'),
                attempt=1,
            )
        )
        if number % 10:
            payloads.append(
                pb.StepCompleted(key=str(number), attempt=1, result=pb.Data(text=str(number)))
            )
        else:
            error = pb.Error(code="exception", message="it broke")
            payloads.append(pb.StepFailed(key=str(number), attempt=1, error=error, next="end"))
    payloads.append(pb.Message(role="assistant", content=[pb.Content(text=pb.Data(text="*ok*"))]))
    payloads.append(pb.RunCompleted(output=pb.Data(text='"ok"')))
    return [Draft(payload, "run", actor) for payload in payloads]


class Shelf:
    """A log in memory, read as `Client` reads one. An answer holds at most `portion` events; what
    is in `damaged` can't be read. `gate` is awaited before every answer."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.portion: Callable[[int], int] = lambda limit: limit
        self.damaged: set[int] = set()
        self.gate: Callable[[], Any] | None = None
        self.calls: Counter[str] = Counter()
        self._news: asyncio.Queue[list[Any]] = asyncio.Queue()

    async def read(
        self,
        conversation_id: str,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = 500,
        kinds: Sequence[str] = (),
        step: str = "",
        newest_first: bool = False,
    ) -> list[Record]:
        self.calls["read"] += 1
        assert conversation_id == ID
        if self.gate is not None:
            await self.gate()
        found = self.records[max(0, after) : None if before is None else max(0, before - 1)]
        found = [r for r in found if not kinds or r.kind in kinds]
        if step:
            found = [r for r in found if step == r.event().step_started.key]
        if newest_first:
            found.reverse()
        found = found[: max(1, self.portion(limit))]
        if any(record.seq in self.damaged for record in found):
            raise LogDamaged("an event of conversation c is damaged")
        return found

    async def watch(self, conversation_id: str, after: int) -> AsyncIterator[list[Any]]:
        while True:
            yield await self._news.get()

    def append(self, drafts: Iterable[Draft], *others: Any) -> list[Record]:
        """Commit events, and tell who watches."""
        last = self.records[-1]
        head = Head(last.seq, envelope_hash(last.envelope), last.event().time_us)
        new = records_of(drafts, head)
        self.records += new
        self._news.put_nowait([*new, *others])
        return new

    def tell(self, *others: Any) -> None:
        """Send what is no event."""
        self._news.put_nowait([*others])

    @property
    def told(self) -> bool:
        """Whether all that was sent was taken."""
        return self._news.empty()
