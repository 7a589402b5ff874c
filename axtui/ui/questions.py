"""What runs ask of people: all open questions of a store, kept up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.summary import Listed
    from axtui.v1 import state_pb2 as st

# As many conversations as may wait; of those that go on beside a question, the latest.
MAX_WAITING = 10_000
MAX_GOING_ON = 500
# Conversations whose questions are read. Those that have waited longest come first.
MAX_ASKING = 500


class Asked(NamedTuple):
    """A question, and the state of the conversation that it is asked in."""

    state: st.State
    question: st.Question

    @property
    def conversation_id(self) -> str:
        """The conversation that it is asked in."""
        return self.state.conversation_id

    @property
    def key(self) -> tuple[str, str]:
        """What no other question is called."""
        return self.state.conversation_id, self.question.id


class OpenQuestions:
    """Reads only states that have changed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._states: dict[str, st.State] = {}

    async def read(self) -> tuple[Asked, ...]:
        """All open questions, the oldest first."""
        waiting = await self._client.conversations(states=["waiting"], limit=MAX_WAITING)
        others = await self._client.conversations(
            states=["running", "pending", "paused"], limit=MAX_GOING_ON
        )
        asking = [listed for listed in (*others, *waiting) if listed.summary.waiting_for]
        asking.sort(key=lambda listed: listed.updated_us)
        self._states = {
            listed.summary.id: await self._state(listed) for listed in asking[:MAX_ASKING]
        }
        found = [asked for state in self._states.values() for asked in _questions(state)]
        return tuple(sorted(found, key=lambda asked: (asked.question.time_us, asked.key)))

    async def _state(self, listed: Listed) -> st.State:
        known = self._states.get(listed.summary.id)
        if known is not None and known.seq >= listed.seq:
            return known
        return await self._client.state(listed.summary.id)


def _questions(state: st.State) -> Iterator[Asked]:
    for question in state.questions.values():
        yield Asked(state, question)
