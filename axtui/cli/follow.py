"""Following a run: folds its events as they come, and shows them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from axtui.cli.render import Renderer
from axtui.client import Delta, LogError, Refused
from axtui.model.events import Record
from axtui.model.fold import TERMINAL, apply, status
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.client import Client

# An answer that a rule gives comes right behind its question.
_RULE_SECONDS = 0.1
_TICK_SECONDS = 0.125
_RENEW_EVENTS = 10_000


async def whole(client: Client, data: pb.Data) -> str:
    """The text of data, however long it is."""
    if data.HasField("blob"):
        return (await client.blob(data.blob.digest)).decode(errors="replace")
    return data.text


class Follower:
    """One look at one conversation, from some seq on."""

    def __init__(
        self, client: Client, conversation_id: str, state: st.State, renderer: Renderer
    ) -> None:
        self._client = client
        self._id = conversation_id
        self.state = state
        self._renderer = renderer
        self._left = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._asked: set[str] = set()

    async def run(self, head: int, can_ask: bool) -> None:
        """Return once everything up to `head` is shown and the run ended, pauses or waits.

        Where somebody can be asked, questions are put to him meanwhile, unless he leaves them.
        """
        left = asyncio.create_task(self._left.wait())
        ticking = asyncio.create_task(self._tick())
        watching = asyncio.create_task(self._watch(head, can_ask))
        try:
            await asyncio.wait({watching, left}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                await watching
        finally:
            for task in (watching, left, ticking, self._asking):
                if task is not None:
                    task.cancel()

    async def _watch(self, head: int, can_ask: bool) -> None:
        async for page in self._client.watch(self._id, self.state.seq):
            for item in page:
                await self._take(item)
            self._warn()
            if self.state.seq < head:
                continue
            now = status(self.state)
            if now in TERMINAL or (now == "paused" and not self._goes_on()):
                return
            if now != "waiting":
                continue
            if not can_ask:
                if await self._still_waits():
                    return
            elif self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())

    def _goes_on(self) -> bool:
        """Whether a run that is paused isn't for long: whoever drove it has shut down, and the
        next one goes on with it."""
        return self.state.run.cause == "shutdown" and not self._client.hosts

    async def catch_up(self) -> None:
        """Show what `run` hasn't shown, having been canceled."""
        while page := await self._client.read(self._id, after=self.state.seq):
            for record in page:
                await self._take(record)
        self._warn()

    def _warn(self) -> None:
        if warning := self._client.take_warning():
            self._renderer.warning(warning)

    async def _take(self, item: Record | Delta) -> None:
        if isinstance(item, Delta):
            self._renderer.delta(item)
            return
        event = item.event()
        if self._renderer.wants_text and event.kind == "message":
            await self._fetch(event.message)
        # Nothing is awaited from here on, so that an event is either shown or not.
        apply(self.state, event)
        if event.seq % _RENEW_EVENTS == 0:
            # A message keeps the memory of all that it ever held.
            self.state = st.State.FromString(self.state.SerializeToString())
        self._renderer.event(event, self.state)

    async def _fetch(self, message: pb.Message) -> None:
        for part in message.content:
            data = part.thought if part.HasField("thought") else part.text
            if data.HasField("blob"):
                data.text = await whole(self._client, data)

    async def _still_waits(self) -> bool:
        await asyncio.sleep(_RULE_SECONDS)
        state = await self._client.state(self._id)
        return status(state) == "waiting" and state.seq == self.state.seq

    async def _ask(self) -> None:
        while await self._still_waits() and (question := self._next_question()):
            self._asked.add(question.id)
            answer = await self._renderer.ask(question)
            if answer is None:
                self._left.set()
                return
            try:
                await self._client.answer(self._id, question.id, *answer)
            except (Refused, LogError) as error:
                # Somebody else was faster, or the log is gone, which `watch` tells as well.
                self._renderer.note(f"axtui: {error}")

    def _next_question(self) -> st.Question | None:
        fresh = [q for q in self.state.questions.values() if q.id not in self._asked]
        return min(fresh, key=lambda question: question.seq, default=None)

    async def _tick(self) -> None:
        while True:
            self._renderer.progress(self.state)
            await asyncio.sleep(_TICK_SECONDS)
