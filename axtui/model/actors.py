"""What has become of actors: what the `actor.*` events of a log add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from axtui.model.events import text_of
from axtui.v1 import event_pb2 as pb

ACTOR_KINDS = ("actor.started", "actor.stopped", "actor.failed")


@dataclass
class ActorState:
    """One actor. `state` is started, stopped or failed, and since when; `restarts` are all starts
    but the first. `pid`, `reason` and `stderr` are the last that are known. `calls` is how many it
    works on."""

    id: str
    kind: str = ""
    state: str = ""
    since_us: int = 0
    pid: int = 0
    restarts: int = 0
    reason: str = ""
    stderr: str = ""
    calls: int = 0


def fold_actors(actors: dict[str, ActorState], events: Iterable[pb.Event]) -> None:
    """Take events into what is known of `actors`, by their ids."""
    for event in events:
        if event.kind not in ACTOR_KINDS:
            continue
        actor = actors.setdefault(event.actor, ActorState(event.actor))
        actor.state = event.kind.partition(".")[2]
        actor.since_us = event.time_us
        if event.kind == "actor.started":
            if actor.pid:
                actor.restarts += 1
            actor.kind = event.actor_started.kind
            actor.pid = event.actor_started.pid
        else:
            ended = event.actor_stopped if actor.state == "stopped" else event.actor_failed
            actor.reason = ended.reason
            actor.stderr = text_of(ended.stderr)
