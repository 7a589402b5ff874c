"""The conversations of a store, as a table shows them: kept up, filtered, sorted, forks below what
they are forks of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.summary import Listed

# As many as a person may look for; more are found by the filter of the store.
MAX_RUNS = 10_000
# A conversation that was purged elsewhere goes from the list after so long.
_FULL_SECONDS = 30.0
_LATE_US = 5_000_000

_STATES = ("waiting", "running", "pending", "paused", "failed", "canceled", "completed", "idle")
_ORDER: dict[str, int] = {state: order for order, state in enumerate(_STATES)}


class Column(NamedTuple):
    """What can be sorted by."""

    name: str
    key: Callable[[Listed], Any]
    descending: bool


COLUMNS = (
    Column("age", lambda listed: listed.updated_us, True),
    Column("state", lambda listed: _ORDER.get(listed.summary.state, 9), False),
    Column("agent", lambda listed: listed.summary.agent, False),
    Column("events", lambda listed: listed.seq, True),
    Column("tokens", lambda listed: listed.summary.tokens, True),
    Column("cost", lambda listed: listed.summary.cost_nusd, True),
    Column("created", lambda listed: listed.summary.created_us, True),
    Column("name", lambda listed: listed.summary.title or listed.summary.id, False),
)


class Row(NamedTuple):
    """A conversation, and how deep a fork it is of those that are shown above it."""

    listed: Listed
    depth: int


class RunList:
    """`rows` are what is to be seen. `driving` are the ids of runs that somebody drives now."""

    def __init__(self, client: Client) -> None:
        self.rows: list[Row] = []
        self.driving: frozenset[str] = frozenset()
        self.controller_pid = 0
        self.total = 0
        self.column = COLUMNS[0]
        self.reverse = False
        self.filter_text = ""
        self._client = client
        self._all: dict[str, Listed] = {}
        self._full_at = 0.0
        self._seen_us = 0

    async def refresh(self) -> bool:
        """Take in what has changed; whether anything has."""
        full, first = time.monotonic() >= self._full_at, not self._full_at
        # Of two conversations that were written at once the earlier may be committed later.
        since_us = 0 if full else max(0, self._seen_us - _LATE_US)
        found = await self._client.conversations(since_us=since_us, deleted=True, limit=MAX_RUNS)
        if full:
            self._full_at = time.monotonic() + _FULL_SECONDS
        self._seen_us = max(self._seen_us, *(listed.updated_us for listed in found), 0)
        everything = {} if full else dict(self._all)
        for listed in found:
            everything[listed.summary.id] = listed
            if listed.summary.deleted_us:
                del everything[listed.summary.id]
        holder = await self._client.holder()
        same = not first and everything == self._all and holder.driving == self.driving
        self._all, self.driving, self.controller_pid = everything, holder.driving, holder.pid
        if not same:
            self.arrange()
        return not same

    def sort_by_next(self) -> None:
        """Sort by the next column."""
        self.sort_by(COLUMNS[(COLUMNS.index(self.column) + 1) % len(COLUMNS)].name, False)

    def sort_by(self, column: str, reverse: bool) -> None:
        """Sort by a column; by the same as before if there is none of that name."""
        self.column = next((one for one in COLUMNS if one.name == column), self.column)
        self.reverse = reverse
        self.arrange()

    def arrange(self) -> None:
        """Filter and sort anew."""
        words = self.filter_text.lower().split()
        shown = [listed for listed in self._all.values() if _fits(listed, words)]
        shown.sort(key=self.column.key, reverse=self.column.descending != self.reverse)
        self.total = len(self._all)
        ids = {listed.summary.id for listed in shown}
        children: dict[str, list[Listed]] = {}
        for listed in shown:
            parent = listed.summary.parent_id
            children.setdefault(parent if parent in ids else "", []).append(listed)
        self.rows = []
        # Not by recursion: there is no limit to how often a fork is forked.
        stack = [(listed, 0) for listed in reversed(children.get("", ()))]
        while stack:
            listed, depth = stack.pop()
            self.rows.append(Row(listed, depth))
            below = children.get(listed.summary.id, ())
            stack += [(child, depth + 1) for child in reversed(below)]

    def index(self, conversation_id: str) -> int | None:
        """The row of a conversation."""
        for index, row in enumerate(self.rows):
            if row.listed.summary.id == conversation_id:
                return index
        return None


def _fits(listed: Listed, words: list[str]) -> bool:
    summary = listed.summary
    for word in words:
        field, colon, value = word.partition(":")
        if colon and field in ("state", "agent"):
            if value not in getattr(summary, field).lower():
                return False
        elif word not in f"{summary.id} {summary.title} {summary.agent} {summary.state}".lower():
            return False
    return True
