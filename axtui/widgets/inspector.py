"""One event in full."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from textual import work
from textual.app import SuspendNotSupported
from textual.message import Message

from axtui.client import Client, LogError, Refused, Unreachable
from axtui.model.events import Record, payload_of
from axtui.model.words import printable
from axtui.ui.inspecting import MAX_CHARS, VIEWS, datas, lines_of, whole_text
from axtui.ui.line import Line
from axtui.ui.links import cause_of, effect_of
from axtui.ui.rows import event_of
from axtui.widgets.bindings import bindings
from axtui.widgets.lines import Lines

_EDITOR, _PAGER = "vi", "less"


class Inspector(Lines):
    """Shows an event; what is kept apart as a blob is fetched when it is asked for."""

    class Jumped(Message):
        """Another event is to be shown."""

        def __init__(self, seq: int) -> None:
            super().__init__()
            self.seq = seq

    BINDINGS = bindings("inspector")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.client: Client | None = None
        self._record: Record | None = None
        self._fetched: dict[bytes, str] = {}
        self._view = VIEWS[0]

    def inspect(self, record: Record) -> None:
        """Show an event."""
        if record != self._record:
            self._record = record
            self._fetched = {}
            self._draw()

    def _draw(self) -> None:
        self.border_title = f"inspector · {self._view}"
        if self._record is None:
            self.show([Line("no event", "dim")])
        else:
            self.show(lines_of(self._record, self._view, self._fetched))

    async def _fetch(self, record: Record, most: int | None) -> dict[bytes, str] | None:
        """The beginnings of an event's blobs, or all of them; None if that can't be."""
        assert self.client is not None
        fetched = {}
        try:
            for _, data in datas(payload_of(event_of(record))):
                if data.HasField("blob"):
                    stored = await self.client.blob(data.blob.digest)
                    part = stored if most is None else stored[: 4 * most]
                    fetched[data.blob.digest] = part.decode(errors="replace")[:most]
        except (Refused, LogError, Unreachable) as error:
            self.notify(str(error), severity="error", markup=False)
            return None
        return fetched

    # What keys do

    def action_next_view(self) -> None:
        self._view = VIEWS[(VIEWS.index(self._view) + 1) % len(VIEWS)]
        self._draw()

    @work(exclusive=True, group="fetch")
    async def action_whole(self) -> None:
        record = self._record
        if record is None:
            return
        fetched = await self._fetch(record, MAX_CHARS)
        if fetched is not None and record == self._record:
            if not fetched:
                self.notify("nothing of this event is kept apart")
            self._fetched = fetched
            self._draw()

    def action_cause(self) -> None:
        self._jump(back=True)

    def action_effect(self) -> None:
        self._jump(back=False)

    @work(exclusive=True, group="jump")
    async def _jump(self, *, back: bool) -> None:
        if self._record is None or self.client is None:
            return
        find = cause_of if back else effect_of
        try:
            seq = await find(self.client, event_of(self._record))
        except (Refused, LogError, Unreachable) as error:
            self.notify(str(error), severity="error", markup=False)
            return
        if seq:
            self.post_message(self.Jumped(seq))
        else:
            self.notify("this is where it began" if back else "nothing has followed from this")

    @work(exclusive=True, group="outside")
    async def action_edit(self) -> None:
        if self._record and (fetched := await self._fetch(self._record, None)) is not None:
            text = whole_text(event_of(self._record), fetched)
            program = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _EDITOR
            self._outside(program, text)

    @work(exclusive=True, group="outside")
    async def action_page(self) -> None:
        if self._record and (fetched := await self._fetch(self._record, None)) is not None:
            text = printable(whole_text(event_of(self._record), fetched))
            self._outside(os.environ.get("PAGER") or _PAGER, text)

    def _outside(self, program: str, text: str) -> None:
        """Show a text with another program, which has the terminal to itself meanwhile."""
        descriptor, name = tempfile.mkstemp(prefix="axtui-", suffix=".txt")
        try:
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            with self.app.suspend():
                subprocess.run([*shlex.split(program), name], check=False)
        except SuspendNotSupported:
            self.notify("no other program can be shown in this terminal", severity="error")
        except (OSError, ValueError) as error:
            self.notify(f"{program}: {error}", severity="error", markup=False)
        finally:
            Path(name).unlink(missing_ok=True)
