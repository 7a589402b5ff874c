"""Changes of axtui inside of a child: its commits counted, its limits small, or it itself broken.

The broken ones are mutants that the harness must find out: one that can't fail shows nothing. What
is changed is never a file of the product, only what this process has imported.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from axtui.runtime.actors.roster import Roster
from axtui.runtime.actors.supervisor import Spec
from axtui.runtime.eventlog import writer
from axtui.runtime.eventlog.base import Commit
from axtui.runtime.eventlog.writer import Writer

T = TypeVar("T")
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


def apply(names: Iterable[str], before: Callable[[], None], after: Callable[[], None]) -> None:
    """Meddle with what this process has imported; `before` and `after` are called at commits."""
    pragmas: dict[str, str] = {}
    for name in names:
        pragmas.update(_PRAGMAS.get(name, {}))
        if name in _PATCHES:
            _PATCHES[name]()
    factory = type("Observed", (_Observed,), {"pragmas": pragmas, "before": before, "after": after})
    sqlite3.connect = partial(sqlite3.connect, factory=factory)  # type: ignore[assignment]


class _Observed(sqlite3.Connection):
    """Calls `before` and `after` each commit, whether it is asked for or implied."""

    pragmas: dict[str, str]
    before: Callable[[], None]
    after: Callable[[], None]

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        """A statement; some settings are replaced by ours."""
        words = sql.split(None, 2)
        verb = words[0].rstrip(";").upper()
        if verb == "PRAGMA" and len(words) > 1 and words[1] in self.pragmas:
            sql = f"PRAGMA {words[1]} = {self.pragmas[words[1]]}"
        if verb == "COMMIT" or (verb in _WRITES and not self.in_transaction):
            return self._committing(partial(super().execute, sql, *args))
        return super().execute(sql, *args)

    def executescript(self, script: str) -> sqlite3.Cursor:
        """A script, which is a transaction of its own."""
        return self._committing(partial(super().executescript, script))

    def commit(self) -> None:
        """The end of a `with connection`."""
        self._committing(super().commit)

    def _committing(self, commit: Callable[[], T]) -> T:
        type(self).before()
        done = commit()
        type(self).after()
        return done


def _small() -> None:
    """No mutant: events settle and the write-ahead log is copied back all the time."""
    writer.FRESH_EVENTS = 8


def _warm() -> None:
    """No mutant: actors are forked from a process that has imported all they need."""
    entry = str(Path(__file__).with_name("warm_entry.py"))
    start = (sys.executable, "-I", "-S", entry, os.environ["CRASH_WARM_SOCKET"])
    add = Roster.add

    def add_warm(self: Roster, spec: Spec, *handlers: Any) -> Any:
        return add(self, replace(spec, program=(*start, spec.program[-1])), *handlers)

    Roster.add = add_warm  # type: ignore[method-assign]


def _early() -> None:
    """Events of steps are told before the commit that they rest on."""
    flush = Writer._flush

    def tell_first(self: Writer, batch: Any) -> None:
        if not batch or not _of_steps(batch[0]):
            flush(self, batch)
            return
        done, self._done = self._done, lambda batch, error: None
        done(batch, None)
        time.sleep(0.005)
        flush(self, batch)
        self._done = done

    Writer._flush = tell_first  # type: ignore[method-assign]


def _eager() -> None:
    """Steps act before their intent is committed."""
    flush = Writer._flush
    wait = Commit.__await__

    def slow(self: Writer, batch: Any) -> None:
        time.sleep(0.05)
        flush(self, batch)

    def wait_for_others(self: Commit) -> Generator[None, None, None]:
        if not _of_steps(self):
            yield from wait(self)

    Writer._flush = slow  # type: ignore[method-assign]
    Commit.__await__ = wait_for_others  # type: ignore[method-assign]


def _of_steps(commit: Commit) -> bool:
    return commit.records[0].kind.startswith("step.")


def _forgetful() -> None:
    """A resumed run knows of its first step only, and not how that ended."""
    history = _history()
    begin = history.__init__

    def forget(self: Any, events: Any) -> None:
        events = list(events)
        starts = [n for n, event in enumerate(events) if event.kind == "step.started"]
        begin(self, events[: starts[0] + 1] if starts else events)

    history.__init__ = forget


def _amnesiac() -> None:
    """The step in flight at a crash is taken for one that never began."""
    history = _history()
    started = history._started

    def forget(self: Any, payload: Any, event: Any) -> None:
        started(self, payload, event)
        self.entries[payload.key].attempt = 0

    history._started = forget


def _silent() -> None:
    """Whatever was interrupted is done again, whatever the policy says."""
    for name, module in list(sys.modules.items()):
        if name.startswith("axtui.runtime.") and hasattr(module, "HARMLESS"):
            vars(module)["HARMLESS"] = ("", "readonly", "idempotent")


def _history() -> Any:
    return next(
        module.History
        for name, module in sys.modules.items()
        if name.startswith("axtui.runtime.") and hasattr(module, "History")
    )


_PRAGMAS: dict[str, dict[str, str]] = {
    "small": {"wal_autocheckpoint": "12"},
    # Commits that only reach the page cache.
    "unsynced": {"synchronous": "OFF"},
    # Commits of the write-ahead log that aren't synced, only its checkpoints.
    "half-synced": {"synchronous": "NORMAL"},
}
_PATCHES: dict[str, Callable[[], None]] = {
    "small": _small,
    "warm": _warm,
    "early": _early,
    "eager": _eager,
    "forgetful": _forgetful,
    "amnesiac": _amnesiac,
    "silent": _silent,
}
