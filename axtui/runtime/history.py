"""What the log of a run says of each of its steps, and the order in which it came about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from axtui.agent import Request
from axtui.model.events import payload_of
from axtui.v1 import event_pb2 as pb

# The code of a step, and the rule of an answer, that its own agent stopped waiting for.
ABANDONED = "abandoned"
# The type of an entry that says which way `Context.patched` went.
CHANGE = "change"
# The type of an entry of what `Context.told` has handed over.
TOLD = "told"

Outcome = pb.StepCompleted | pb.StepFailed | pb.ApprovalAnswered | pb.Message | pb.Note


@dataclass(slots=True)
class Entry:
    """All that the log says of one key."""

    key: str
    type: str
    name: str
    fingerprint: bytes = b""
    seq: int = 0
    attempt: int = 0
    interruptions: int = 0
    effect: str = ""
    asked_us: int = 0
    first_us: int = 0
    due_us: int = 0
    outcome: Outcome | None = None
    failed: pb.StepFailed | None = None
    question: pb.ApprovalRequested | None = None
    permitted: pb.ApprovalAnswered | None = None
    permitted_subject: str = ""
    decision: pb.ApprovalAnswered | None = None
    time_us: int = 0

    @property
    def abandoned(self) -> bool:
        """Whether the agent itself stopped waiting, and will again."""
        if isinstance(self.outcome, pb.StepFailed):
            return self.outcome.error.code == ABANDONED
        return isinstance(self.outcome, pb.ApprovalAnswered) and self.outcome.rule == ABANDONED

    @property
    def what(self) -> str:
        """What it is, for people."""
        return f"{self.type} {self.name!r}"

    def matches(self, request: Request) -> bool:
        """Whether this can be what the log has of a request."""
        if self.fingerprint:
            return self.fingerprint == request.fingerprint
        # Of one that was refused at once there is nothing but the refusal.
        if not self.type or (self.question is not None and self.question.type == "permission"):
            return self.name in ("", request.name)
        same = self.type == request.type
        return same and (request.type == "message" or self.name == request.name)


class Mark(NamedTuple):
    """A place in the course of a run: `key` was asked for, or its outcome was known."""

    key: str
    is_outcome: bool


class History:
    """The entries of a run by key, and the order in which they were asked for and answered."""

    def __init__(self, events: Iterable[pb.Event]) -> None:
        self.entries: dict[str, Entry] = {}
        self.marks: list[Mark] = []
        self.out_of_budget = ""
        self._questions: dict[str, Entry] = {}
        self._budgets: dict[str, str] = {}
        for event in events:
            self._take(event)
        self._drop_finished_agents()
        # For each recorded key whether it is that of a change.
        self.changes = {key: entry.type == CHANGE for key, entry in self.entries.items()}

    def _take(self, event: pb.Event) -> None:
        payload = payload_of(event)
        if isinstance(payload, pb.StepStarted):
            self._started(payload, event)
        elif isinstance(payload, pb.StepCompleted | pb.StepFailed):
            self._ended(payload, event)
        elif isinstance(payload, pb.ApprovalRequested):
            self._asked(payload, event)
        elif isinstance(payload, pb.ApprovalAnswered):
            self._answered(payload, event)
        elif isinstance(payload, pb.Message) and payload.key:
            entry = self._entry(payload.key, "message", "emit", event)
            self._outcome(entry, payload, event)
        elif isinstance(payload, pb.Note) and payload.patch:
            self._entry(payload.key, CHANGE, payload.patch, event)
        elif isinstance(payload, pb.Note) and payload.heard:
            self._outcome(self._entry(payload.key, TOLD, "", event), payload, event)

    def _entry(self, key: str, type: str, name: str, event: pb.Event) -> Entry:
        if key not in self.entries:
            self.entries[key] = Entry(key, type, name, seq=event.seq, asked_us=event.time_us)
            self.marks.append(Mark(key, False))
        return self.entries[key]

    def _started(self, started: pb.StepStarted, event: pb.Event) -> None:
        entry = self._entry(started.key, started.type, started.name, event)
        entry.type, entry.name = started.type, started.name
        entry.fingerprint = started.fingerprint
        entry.attempt = started.attempt
        entry.effect = started.effect
        entry.due_us = started.due_us
        entry.first_us = entry.first_us or event.time_us
        entry.failed = entry.decision = entry.question = None

    def _ended(self, ended: pb.StepCompleted | pb.StepFailed, event: pb.Event) -> None:
        # One that was refused has never begun.
        entry = self._entry(ended.key, "", "", event)
        if isinstance(ended, pb.StepFailed) and ended.next in ("retry", "decide"):
            entry.failed = ended
            entry.interruptions += ended.error.code == "interrupted"
        else:
            self._outcome(entry, ended, event)

    def _asked(self, asked: pb.ApprovalRequested, event: pb.Event) -> None:
        if asked.key:
            entry = self._entry(asked.key, asked.type, asked.subject, event)
            entry.question = asked
            entry.fingerprint = entry.fingerprint or asked.fingerprint
            self._questions[asked.id] = entry
        else:
            self._budgets[asked.id] = asked.question

    def _answered(self, answer: pb.ApprovalAnswered, event: pb.Event) -> None:
        if answer.id in self._budgets and answer.choice != "more":
            self.out_of_budget = self._budgets[answer.id]
        entry = self._questions.pop(answer.id, None)
        if entry is None or entry.question is None:
            return
        if entry.question.type == "elicitation":
            # What a tool asked is gone with the call that it asked it in.
            entry.question = None
            return
        own = entry.question.type not in ("permission", "interrupted")
        if own or answer.rule == ABANDONED:
            self._outcome(entry, answer, event)
        elif entry.question.type == "permission":
            entry.permitted, entry.permitted_subject = answer, entry.question.subject
        else:
            entry.decision = answer

    def _outcome(self, entry: Entry, outcome: Outcome, event: pb.Event) -> None:
        if entry.outcome is None:
            self.marks.append(Mark(entry.key, True))
        entry.outcome = outcome
        entry.time_us = event.time_us

    def _drop_finished_agents(self) -> None:
        """An agent that has returned isn't run again, so nobody will ask for what it did."""
        inside = [e.key + "/" for e in self.entries.values() if e.type == "agent" and e.outcome]
        if inside:
            prefixes = tuple(inside)
            self.marks = [mark for mark in self.marks if not mark.key.startswith(prefixes)]
