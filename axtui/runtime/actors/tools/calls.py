"""One call in flight: who hears of it, who is asked, and how long it may take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult, LoggingLevel
from pydantic import ValidationError

# Of what a call says meanwhile, a person reads no more than this.
MAX_TEXT = 4_000
BURST = 100
PER_SECOND = 20.0
MAX_QUESTIONS = 100

OnProgress = Callable[[str], None]
Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
NO_ANSWER = ElicitResult(action="cancel")


class Call:
    """What a server can do to its caller while it works.

    `limit` is when the call has taken too long; waiting for a person doesn't count.
    """

    def __init__(self, on_progress: OnProgress, ask: Ask, limit: asyncio.Timeout) -> None:
        self._on_progress = on_progress
        self._ask = ask
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        self._asking = asyncio.Lock()
        self._asked = 0
        self._allowance = float(BURST)
        self._said_at = self._loop.time()

    def end(self) -> None:
        """Take back a question that nobody has answered."""
        self._over.set_result(None)

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Show how far it is."""
        amount = f"{progress:g}" if total is None else f"{progress:g}/{total:g}"
        self._say(f"{amount} {message}" if message else amount)

    def log(self, level: LoggingLevel, data: Any) -> None:
        """Show a line of the server's log."""
        self._say(f"{level}: {data if isinstance(data, str) else json.dumps(data)}")

    async def answer(self, params: ElicitRequestParams) -> ElicitResult:
        """What a person says to a question of the server's."""
        question: dict[str, Any] = {"message": params.message}
        if isinstance(params, ElicitRequestURLParams):
            question["url"] = params.url
        else:
            question["schema"] = params.requested_schema
        self._asked += 1
        if self._asked > MAX_QUESTIONS:
            return NO_ANSWER
        async with self._asking:
            if self._over.done() or self._limit.expired():
                return NO_ANSWER
            deadline = self._limit.when()
            begun = self._loop.time()
            self._limit.reschedule(None)
            try:
                return await self._answered(question)
            finally:
                if deadline is not None and not self._over.done():
                    self._limit.reschedule(deadline + self._loop.time() - begun)

    async def _answered(self, question: dict[str, Any]) -> ElicitResult:
        asking = asyncio.ensure_future(self._ask(question))
        try:
            await asyncio.wait({asking, self._over}, return_when=asyncio.FIRST_COMPLETED)
            return _result(asking.result()) if asking.done() else NO_ANSWER
        finally:
            asking.cancel()

    def _say(self, text: str) -> None:
        if self._over.done():
            return
        now = self._loop.time()
        self._allowance = min(BURST, self._allowance + (now - self._said_at) * PER_SECOND)
        self._said_at = now
        if self._allowance >= 1:
            self._allowance -= 1
            self._on_progress(text[:MAX_TEXT])


def _result(answer: dict[str, Any]) -> ElicitResult:
    try:
        return ElicitResult(action=answer["action"], content=answer.get("content"))
    except ValidationError:
        # A form has nothing but plain values.
        return NO_ANSWER
