"""Provisional text of steps that are under way, put together from deltas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axtui.runtime.journal import Delta

KEPT_CHARS = 2000
_MAX_STREAMS = 256


@dataclass(slots=True)
class Stream:
    """What an attempt of a step has put out so far, the end of it, by channel."""

    actor: str
    attempt: int
    deltas: int = 0
    channels: dict[str, str] = field(default_factory=dict)


class Streams(dict[str, Stream]):
    """By step key; a later attempt takes the place of an earlier one. Bounded."""

    def take(self, delta: Delta) -> None:
        """Add a delta to what its step has put out."""
        stream = self.get(delta.step)
        if stream is None or stream.attempt < delta.attempt:
            if stream is None and len(self) >= _MAX_STREAMS:
                del self[next(iter(self))]
            stream = self[delta.step] = Stream(delta.actor, delta.attempt)
        if stream.attempt == delta.attempt:
            stream.deltas += 1
            text = stream.channels.get(delta.channel, "") + delta.text
            stream.channels[delta.channel] = text[-KEPT_CHARS:]

    def keep(self, steps: Iterable[str]) -> None:
        """Forget all but these, since something may come late, of a step that has ended."""
        for key in self.keys() - set(steps):
            del self[key]
