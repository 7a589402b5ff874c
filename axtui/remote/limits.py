"""What the clients of a server may use: each of them, and all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from axtui.runtime.config import ServerLimits
from axtui.runtime.errors import Refused

# Clients whose requests are remembered; those that are quiet are forgotten beyond it.
_REMEMBERED = 1000
# Of all clients together.
_ALL = ""


class Limits:
    """Counts. A client has a name; `driving` tells the conversations whose runs are in flight."""

    def __init__(self, settings: ServerLimits, driving: Callable[[], frozenset[str]]) -> None:
        self._settings = settings
        self._driving = driving
        self._calls: Counter[str] = Counter()
        # What is left of the requests of a second, and when that was.
        self._left: dict[str, tuple[float, float]] = {}
        self._runs: dict[str, str] = {}
        self._starting: Counter[str] = Counter()

    @contextmanager
    def call(self, client: str) -> Iterator[None]:
        """While a call lasts. Raises Refused if it is one too many."""
        most = self._settings
        self._request(client, most.requests, "requests")
        self._request(_ALL, most.all_requests, "all_requests")
        if self._calls[client] >= most.calls:
            raise _too_much("calls", f"{most.calls:,} calls of {client} are under way")
        if self._calls.total() >= most.all_calls:
            raise _too_much("all_calls", f"{most.all_calls:,} calls are under way")
        self._calls[client] += 1
        try:
            yield
        finally:
            self._calls[client] -= 1
            if not self._calls[client]:
                del self._calls[client]

    @contextmanager
    def run(self, client: str, conversation_id: str) -> Iterator[None]:
        """While a run is being started or resumed; it counts for as long as it is in flight. Raises
        Refused if it is one too many."""
        driving = self._driving()
        if conversation_id in driving:
            # Nothing more will be in flight, whatever becomes of this.
            yield
            return
        self._runs = {name: who for name, who in self._runs.items() if name in driving}
        most = self._settings
        of_all = Counter(self._runs.values()) + self._starting
        if of_all[client] >= most.runs:
            raise _too_much("runs", f"{most.runs:,} runs of {client} are in flight")
        if of_all.total() >= most.all_runs:
            raise _too_much("all_runs", f"{most.all_runs:,} runs are in flight")
        self._starting[client] += 1
        try:
            yield
            self._runs[conversation_id] = client
        finally:
            self._starting -= Counter((client,))

    def _request(self, client: str, most: int, name: str) -> None:
        now = monotonic()
        left, before = self._left.get(client, (float(most), now))
        left = min(float(most), left + (now - before) * most)
        if left < 1:
            who = f" of {client}" if client else ""
            raise _too_much(name, f"more than {most:,} requests{who} in a second")
        self._left[client] = left - 1, now
        if len(self._left) > _REMEMBERED:
            # After a second without a request there is nothing to remember.
            self._left = {who: told for who, told in self._left.items() if told[1] > now - 1}


def _too_much(name: str, what: str) -> Refused:
    return Refused("limit", f"too much: {what}", f"the server's limit is server.limits.{name}")
