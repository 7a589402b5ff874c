"""What people say to the agents of a run while it is open, and what of it is yet to be heard."""

from __future__ import annotations

from collections.abc import Iterable

from axtui.model.fold import agents_at_work, is_open
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.errors import Refused
from axtui.runtime.registry import Registry
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

# What an agent is handed at a time; the rest is there when it asks again.
MAX_AT_ONCE = 25


class Inbox:
    """Of one run, from what its log says so far and what comes to it."""

    def __init__(self, events: Iterable[pb.Event]) -> None:
        self._messages: dict[int, pb.Message] = {}
        self._heard: set[int] = set()
        for event in events:
            self.on_event(event)

    def on_event(self, event: pb.Event) -> None:
        """Take a message, or that some were heard."""
        if event.kind == "message" and event.message.to:
            self._messages[event.seq] = event.message
        elif event.kind == "note":
            self._heard.update(event.note.heard)

    def unheard(self, agent: str) -> list[int]:
        """The seqs of what an agent is to hear next."""
        seqs = [
            seq
            for seq, message in self._messages.items()
            if message.to == agent and seq not in self._heard
        ]
        return seqs[:MAX_AT_ONCE]

    def message(self, seq: int) -> pb.Message:
        """What was said in an event."""
        return self._messages.get(seq, pb.Message())


def listener(state: st.State, registry: Registry, actor: str) -> str:
    """The agent at work that is meant by `actor`; empty means the run's own. Raises Refused if it
    can't be told anything."""
    name = state.conversation_id
    if not is_open(state):
        raise Refused(
            "state",
            f"no run of {name} is open: nobody would hear it",
            f"`axtui exec --conversation {name} --input TEXT` goes on with the conversation",
        )
    at_work = agents_at_work(state)
    agent = actor or state.run.agent
    if agent not in at_work:
        raise Refused(
            "unknown",
            f"no agent {agent!r} is at work in the run of {name}",
            f"at work: {', '.join(at_work)}",
        )
    found = registry.agents.get(agent)
    if isinstance(found, AgentConfig) and found.protocol != "axtui":
        raise Refused(
            "usage",
            f"agent {agent!r} speaks Google AX's protocol, which has nothing for a message to one"
            " that is at work",
            "it can be told with the input of the next run",
        )
    return agent
