"""What is in the log of a run that is being run again, handed back in the order in which it came.

An agent is a program whose course may depend on which of two steps ends first. So recorded
outcomes are released in recorded order, each once everything has been asked for that had been
asked for before it; and outcomes that come close together reach the agent one at a time, live as
in a replay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from axtui.model.events import payload_of
from axtui.v1 import event_pb2 as pb

# Turns of the event loop between two outcomes, so that what the first one sets off (a task ends,
# `wait` returns, the agent goes on) is over before the second.
TURNS = 8
STUCK_SECONDS = 15.0
# The code of a step, and the rule of an answer, that its own agent stopped waiting for.
ABANDONED = "abandoned"


@dataclass(slots=True)
class Entry:
    """All that the log says of one key."""

    key: str
    type: str
    name: str
    fingerprint: bytes = b""
    seq: int = 0
    attempt: int = 0
    effect: str = ""
    first_us: int = 0
    due_us: int = 0
    outcome: pb.StepCompleted | pb.StepFailed | pb.ApprovalAnswered | None = None
    failed: pb.StepFailed | None = None
    question: pb.ApprovalRequested | None = None
    permitted: pb.ApprovalAnswered | None = None
    decision: pb.ApprovalAnswered | None = None
    time_us: int = 0


class _Mark(NamedTuple):
    key: str
    is_outcome: bool


class History:
    """The entries of a run by key, and the order in which they were asked for and answered."""

    def __init__(self, events: Iterable[pb.Event]) -> None:
        self.entries: dict[str, Entry] = {}
        self.marks: list[_Mark] = []
        self.patches: dict[str, str] = {}
        self._questions: dict[str, Entry] = {}
        for event in events:
            self._take(event)
        self._drop_finished_agents()

    def _take(self, event: pb.Event) -> None:
        payload = payload_of(event)
        if isinstance(payload, pb.StepStarted):
            self._started(payload, event)
        elif isinstance(payload, pb.StepCompleted | pb.StepFailed):
            self._ended(payload, event)
        elif isinstance(payload, pb.ApprovalRequested) and payload.key:
            self._asked(payload, event)
        elif isinstance(payload, pb.ApprovalAnswered):
            self._answered(payload, event)
        elif isinstance(payload, pb.Message) and payload.key:
            self._entry(payload.key, "message", "emit", event)
        elif isinstance(payload, pb.Note) and payload.patch:
            self.patches[payload.key] = payload.patch
            self.marks.append(_Mark(payload.key, False))

    def _entry(self, key: str, type: str, name: str, event: pb.Event) -> Entry:
        if key not in self.entries:
            self.entries[key] = Entry(key, type, name, seq=event.seq, first_us=event.time_us)
            self.marks.append(_Mark(key, False))
        return self.entries[key]

    def _started(self, started: pb.StepStarted, event: pb.Event) -> None:
        entry = self._entry(started.key, started.type, started.name, event)
        entry.type, entry.name = started.type, started.name
        entry.fingerprint = started.fingerprint
        entry.attempt = started.attempt
        entry.effect = started.effect
        entry.due_us = started.due_us
        entry.failed = entry.decision = entry.question = None

    def _ended(self, ended: pb.StepCompleted | pb.StepFailed, event: pb.Event) -> None:
        entry = self.entries.get(ended.key)
        if entry is None:
            return
        if isinstance(ended, pb.StepFailed) and ended.next in ("retry", "decide"):
            entry.failed = ended
            return
        entry.outcome = ended
        entry.time_us = event.time_us
        self._mark_outcome(entry)

    def _asked(self, asked: pb.ApprovalRequested, event: pb.Event) -> None:
        entry = self._entry(asked.key, asked.type, asked.subject, event)
        entry.question = asked
        self._questions[asked.id] = entry

    def _answered(self, answer: pb.ApprovalAnswered, event: pb.Event) -> None:
        entry = self._questions.pop(answer.id, None)
        if entry is None or entry.question is None:
            return
        if entry.question.type == "permission":
            entry.permitted = answer
        elif entry.question.type == "interrupted":
            entry.decision = answer
        else:
            entry.outcome = answer
            entry.time_us = event.time_us
            self._mark_outcome(entry)

    def _mark_outcome(self, entry: Entry) -> None:
        # What its own agent gave up is given up again: nobody waits for its outcome.
        if not is_abandoned(entry.outcome):
            self.marks.append(_Mark(entry.key, True))

    def _drop_finished_agents(self) -> None:
        """An agent that has returned isn't run again, so nobody will ask for what it did."""
        inside = [e.key + "/" for e in self.entries.values() if e.type == "agent" and e.outcome]
        if inside:
            prefixes = tuple(inside)
            self.marks = [mark for mark in self.marks if not mark.key.startswith(prefixes)]


def is_abandoned(outcome: pb.StepCompleted | pb.StepFailed | pb.ApprovalAnswered | None) -> bool:
    """Whether the agent itself stopped waiting, and will again."""
    if isinstance(outcome, pb.StepFailed):
        return outcome.error.code == ABANDONED
    return isinstance(outcome, pb.ApprovalAnswered) and outcome.rule == ABANDONED


class Replay:
    """Releases recorded outcomes, and then lets new work begin."""

    def __init__(self, history: History, on_stuck: Callable[[str], None]) -> None:
        self._marks = history.marks
        self._next = 0
        self._asked: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._live: list[asyncio.Future[None]] = []
        self._line: deque[asyncio.Future[None]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._on_stuck = on_stuck
        self._stuck: asyncio.TimerHandle | None = None
        self.outstanding = 0

    @property
    def finished(self) -> bool:
        """Whether everything recorded has been asked for and released."""
        return self._next >= len(self._marks)

    @property
    def next_key(self) -> str:
        """The recorded key that comes next; empty when finished."""
        return "" if self.finished else self._marks[self._next].key

    def ask(self, key: str) -> None:
        """The agent asks for `key`."""
        self.outstanding += 1
        if not self.finished:
            self._asked.add(key)
            self._advance()

    async def released(self, key: str) -> None:
        """Wait until the recorded outcome of `key` may be handed over."""
        if not self.finished and self._marks[self._next] == (key, True):
            self._next += 1
            self._advance()
        else:
            self._waiting[key] = asyncio.get_running_loop().create_future()
            self._advance()
            await self._waiting[key]
        await self.turn()

    async def live(self) -> None:
        """Wait until all that is recorded has been handed over."""
        if not self.finished:
            waiter = asyncio.get_running_loop().create_future()
            self._live.append(waiter)
            await waiter
            await self.turn()

    async def turn(self) -> None:
        """Wait for one's turn to reach the agent; a line only forms where steps run abreast."""
        if self._pump is None and self.outstanding <= 1:
            return
        place = asyncio.get_running_loop().create_future()
        self._line.append(place)
        if self._pump is None:
            self._pump = asyncio.create_task(self._serve_line())
        await place

    def close(self) -> None:
        """Stop the timers and tasks. Who still waits is left to be cancelled."""
        if self._stuck is not None:
            self._stuck.cancel()
        if self._pump is not None:
            self._pump.cancel()

    def _advance(self) -> None:
        while not self.finished:
            key, is_outcome = self._marks[self._next]
            if is_outcome:
                waiter = self._waiting.pop(key, None)
                if waiter is None:
                    break
                if not waiter.done():
                    waiter.set_result(None)
            elif key not in self._asked:
                break
            self._next += 1
        self._watch()
        if self.finished:
            for waiter in self._live:
                if not waiter.done():
                    waiter.set_result(None)
            self._live.clear()

    def _watch(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        if not self.finished:
            loop = asyncio.get_running_loop()
            self._stuck = loop.call_later(STUCK_SECONDS, self._on_stuck, self.next_key)

    async def _serve_line(self) -> None:
        while self._line:
            place = self._line.popleft()
            if place.done():
                continue
            place.set_result(None)
            for _ in range(TURNS):
                await asyncio.sleep(0)
        self._pump = None
