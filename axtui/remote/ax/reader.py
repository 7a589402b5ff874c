"""What it takes to see a log, beside the events that are looked at."""

from __future__ import annotations

from axtui.local import LocalClient
from axtui.v1 import event_pb2 as pb


class Reader:
    """Of one conversation; what happens after `head` it doesn't look ahead to."""

    def __init__(self, client: LocalClient, conversation_id: str, head: int) -> None:
        self._client = client
        self._id = conversation_id
        self._head = head
        self._attempts: dict[str, list[tuple[int, int]]] | None = None

    async def text(self, data: pb.Data) -> str:
        """The text of data, however long it is."""
        if data.HasField("blob"):
            return (await self._client.blob(data.blob.digest)).decode(errors="replace")
        return data.text

    async def is_superseded(self, event: pb.Event) -> bool:
        """Whether a message was said in an attempt of a step that there was a later one of."""
        said = event.message
        if not said.attempt or event.seq >= self._head:
            return False
        if self._attempts is None:
            self._attempts = await self._read(event.seq)
        # A later run has a step of that key too, which begins at the first attempt.
        later = (at for seq, at in self._attempts.get(said.step, ()) if seq > event.seq)
        return next(later, 0) > said.attempt

    async def _read(self, after: int) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        while page := await self._client.read(self._id, after=after, kinds=("step.started",)):
            for record in page:
                started = record.event().step_started
                found.setdefault(started.key, []).append((record.seq, started.attempt))
            after = page[-1].seq
        return found
