"""What the events of actors add up to."""

from __future__ import annotations

from axtui.model.actors import ActorState, fold_actors
from axtui.v1 import event_pb2 as pb


def test_an_actor_that_comes_and_goes() -> None:
    started = pb.ActorStarted(actor="tools", kind="tools", pid=7)
    stopped = pb.ActorStopped(actor="tools", reason="signal 9", stderr=pb.Data(text="ouch"))
    failed = pb.ActorFailed(actor="tools", reason="signal 11")
    events = [
        pb.Event(kind="actor.started", actor="tools", time_us=1, actor_started=started),
        pb.Event(kind="actor.stopped", actor="tools", time_us=2, actor_stopped=stopped),
        pb.Event(kind="note", actor="other", time_us=3, note=pb.Note(text="x")),
    ]
    known: dict[str, ActorState] = {}
    fold_actors(known, events)
    assert known == {"tools": ActorState("tools", "tools", "stopped", 2, 7, 0, "signal 9", "ouch")}
    again = pb.ActorStarted(actor="tools", kind="tools", pid=8)
    fold_actors(known, [pb.Event(kind="actor.started", actor="tools", actor_started=again)])
    assert (known["tools"].state, known["tools"].pid, known["tools"].restarts) == ("started", 8, 1)
    assert known["tools"].reason == "signal 9"
    fold_actors(known, [pb.Event(kind="actor.failed", actor="tools", actor_failed=failed)])
    assert (known["tools"].state, known["tools"].reason) == ("failed", "signal 11")


def test_one_that_never_got_to_start() -> None:
    stopped = pb.ActorStopped(actor="models", reason="exit status 1")
    known: dict[str, ActorState] = {}
    fold_actors(known, [pb.Event(kind="actor.stopped", actor="models", actor_stopped=stopped)])
    assert (known["models"].restarts, known["models"].reason) == (0, "exit status 1")
