"""One event in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from textual import work

from axtui.model.events import payload_of
from axtui.ui.inspecting import VIEWS, lines_of
from axtui.ui.line import Line
from axtui.v1 import event_pb2 as pb
from axtui.widgets.bindings import bindings
from axtui.widgets.lines import Lines

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.events import Record


class Inspector(Lines):
    """Shows an event; what is kept apart as a blob is fetched when it is asked for."""

    BINDINGS = bindings("inspector")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.client: Client | None = None
        self._event: pb.Event | None = None
        self._view = VIEWS[0]

    def inspect(self, record: Record | None) -> None:
        """Show an event, or that there is none."""
        event = record.event() if record else None
        if event is not None and self._event is not None and event.seq == self._event.seq:
            return
        self._event = event
        self._draw()

    def _draw(self) -> None:
        self.border_title = f"inspector: {self._view}"
        if self._event is None:
            self.show([Line("no event", "dim")])
        else:
            self.show(lines_of(self._event, self._view))

    def action_next_view(self) -> None:
        self._view = VIEWS[(VIEWS.index(self._view) + 1) % len(VIEWS)]
        self._draw()

    @work(exclusive=True, exit_on_error=False)
    async def action_whole(self) -> None:
        if self._event is None or self.client is None:
            return
        event = pb.Event()
        event.CopyFrom(self._event)
        payload = payload_of(event)
        for data in _kept_apart(payload):
            data.text = (await self.client.blob(data.blob.digest)).decode(errors="replace")
        if self._event is not None and self._event.seq == event.seq:
            self._event = event
            self._draw()


def _kept_apart(message: Any) -> Iterator[pb.Data]:
    if isinstance(message, pb.Data):
        if message.HasField("blob"):
            yield message
        return
    for field, value in message.ListFields() if message is not None else ():
        if field.message_type is None:
            continue
        is_map = field.message_type.GetOptions().map_entry
        parts = value.values() if is_map else value if field.is_repeated else (value,)
        for part in list(parts):
            if hasattr(part, "ListFields"):
                yield from _kept_apart(part)
