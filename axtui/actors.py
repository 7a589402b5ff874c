"""The actors of a controller, from its control log: for all front ends."""

from __future__ import annotations

from dataclasses import replace

from axtui.client import CONTROL_LOG, Client, Holder
from axtui.model.actors import ACTOR_KINDS, ActorState, fold_actors


class Actors:
    """Reading again costs only what is new."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, ActorState] = {}
        self._seq = 0

    async def read(self) -> list[ActorState]:
        """All there have been, in the order in which they were first needed. Their `state` is
        running, stopped, failed or, of those whose controller was killed, gone."""
        if await self._client.find(CONTROL_LOG) is not None:
            while page := await self._client.read(CONTROL_LOG, after=self._seq, kinds=ACTOR_KINDS):
                fold_actors(self._known, (record.event() for record in page))
                self._seq = page[-1].seq
        holder = await self._client.holder()
        return [_now(actor, holder) for actor in self._known.values()]


def _now(actor: ActorState, holder: Holder) -> ActorState:
    if actor.state != "started":
        return replace(actor)
    # Nothing of an actor outlives its controller.
    if holder.since_us and holder.since_us <= actor.since_us:
        return replace(actor, state="running", calls=holder.calls.get(actor.id, 0))
    return replace(actor, state="gone", reason="its controller was killed")
