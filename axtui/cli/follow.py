"""Following a run: folds its events as they come, and shows them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from axtui.cli.render import Renderer
from axtui.model.events import Record
from axtui.model.fold import TERMINAL, apply, status
from axtui.runtime.journal import Delta
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.client import Client

# An answer that a rule gives comes right behind its question.
_RULE_SECONDS = 0.1
_TICK_SECONDS = 0.125


class Follower:
    """One look at one conversation, from some seq on."""

    def __init__(
        self, client: Client, conversation_id: str, state: st.State, renderer: Renderer
    ) -> None:
        self._client = client
        self._id = conversation_id
        self._state = state
        self._renderer = renderer

    async def run(self, head: int, can_ask: bool) -> None:
        """Return once everything up to `head` is shown and the run ended, pauses or waits.

        Where somebody can be asked, questions are put to them meanwhile.
        """
        ticking = asyncio.create_task(self._tick())
        answering: asyncio.Task[None] | None = None
        try:
            async for page in self._client.watch(self._id, self._state.seq):
                for item in page:
                    self._take(item)
                if self._state.seq < head:
                    continue
                now = status(self._state)
                if now in TERMINAL or now == "paused":
                    return
                if now != "waiting":
                    continue
                if not can_ask:
                    if await self._still_waits():
                        return
                elif answering is None or answering.done():
                    answering = asyncio.create_task(self._ask())
        finally:
            ticking.cancel()
            if answering is not None:
                answering.cancel()

    def _take(self, item: Record | Delta) -> None:
        if isinstance(item, Delta):
            self._renderer.delta(item)
        else:
            event = item.event()
            apply(self._state, event)
            self._renderer.event(event, self._state)

    async def _still_waits(self) -> bool:
        await asyncio.sleep(_RULE_SECONDS)
        state = await self._client.state(self._id)
        return status(state) == "waiting" and state.seq == self._state.seq

    async def _ask(self) -> None:
        question = min(self._state.questions.values(), key=lambda asked: asked.seq)
        choice, text = await self._renderer.ask(question)
        await self._client.answer(self._id, question.id, choice, text, False)

    async def _tick(self) -> None:
        while True:
            self._renderer.progress(self._state)
            await asyncio.sleep(_TICK_SECONDS)
