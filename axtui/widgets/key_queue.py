"""Keys that are typed faster than what they open comes about."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App
from textual.dom import DOMNode
from textual.events import Key

# A key that hasn't had its effect by then was lost, with what it was for.
_LOST_SECONDS = 1.0
_LOOK_SECONDS = 0.01
# What a key does may be to send a message to where it came from.
_ROUNDS = 2


class KeyQueue:
    """Hands on a key once the one before has had its effect, as a dialog that is there, so that
    what is typed ahead is for the dialog. `hand_on` is what the application does with a key."""

    def __init__(self, app: App[Any], hand_on: Callable[[Key], Awaitable[None]]) -> None:
        self._app = app
        self._hand_on = hand_on
        self._keys: deque[Key] = deque()
        self._handed_on_at = 0.0

    async def take(self, key: Key) -> None:
        """Hand on a key, at once or later."""
        self._keys.append(key)
        if len(self._keys) == 1:
            await self._next()
        elif time.monotonic() > self._handed_on_at + _LOST_SECONDS:
            await self._done()

    async def _next(self) -> None:
        self._handed_on_at = time.monotonic()
        key, target = self._keys[0], self._app.focused or self._app.screen
        await self._hand_on(key)
        self._come_behind(key, target, target, _ROUNDS)

    def _come_behind(self, key: Key, target: DOMNode, node: DOMNode | None, rounds: int) -> None:
        """Go the way of a key, from its target to the application, and of what that has sent."""
        while node is not None and node is not self._app:
            if node.call_later(self._come_behind, key, target, node.parent, rounds):
                return
            node = node.parent
        if rounds > 1:
            self._app.call_later(self._come_behind, key, target, target, rounds - 1)
        else:
            self._app.call_later(self._had_effect, key)

    async def _had_effect(self, key: Key) -> None:
        if not self._keys or key is not self._keys[0]:
            return
        lost = time.monotonic() > self._handed_on_at + _LOST_SECONDS
        if not self._app.screen.is_mounted and not lost:
            self._app.set_timer(_LOOK_SECONDS, lambda: self._had_effect(key))
            return
        await self._done()

    async def _done(self) -> None:
        self._keys.popleft()
        if self._keys:
            await self._next()
