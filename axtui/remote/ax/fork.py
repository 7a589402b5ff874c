"""Where a fork begins that a client of Google AX asks for."""

from __future__ import annotations

from axtui.local import LocalClient
from axtui.model.events import TERMINAL_KINDS
from axtui.remote.ax.reader import Reader
from axtui.remote.ax.view import OutOfRange, View
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import UnknownConversation


async def fork_point(client: LocalClient, source: str, wanted: int) -> int | None:
    """The last event that the fork shares with its source; None is the latest. Raises OutOfRange.

    A client knows the seqs of what it sees, and the end of a run it doesn't see. Where nothing that
    it would see comes before that, the fork has the end too, and is as finished as it looked.
    """
    if wanted < 0:
        raise Refused("usage", f"src_seq is {wanted}; it counts from 1, and 0 is the latest")
    listed = await client.find(source)
    if listed is None:
        raise UnknownConversation(source)
    if wanted > listed.seq:
        raise OutOfRange(f"src_seq {wanted} is beyond the log, whose last event is {listed.seq}")
    if not wanted:
        return None
    view = View(await client.state(source, wanted), Reader(client, source, listed.seq))
    while page := await client.read(source, after=view.state.seq):
        for record in page:
            if await view.take(record.event()):
                return wanted
            if record.kind in TERMINAL_KINDS:
                return record.seq
    return wanted
