"""What the row of an event says."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from axtui.model.describe import describe
from axtui.model.events import Record, message_text, text_of
from axtui.model.ids import made_us
from axtui.model.words import one_line
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

SHOWN_CHARS = 400
FAILURES = frozenset({"step.failed", "run.failed", "actor.failed"})
# The first parts of kinds that themes have a color for.
_COLORED = frozenset({"message", "step", "run", "approval", "actor", "note"})


def event_of(record: Record) -> pb.Event:
    """An event, parsed; of damaged bytes only what is known without them."""
    try:
        return record.event()
    except DecodeError:
        return pb.Event(seq=record.seq, kind=record.kind)


def since_start(event: pb.Event, state: st.State) -> int:
    """Microseconds between the beginning of an event's run and the event."""
    exec_id = event.exec_id.partition("/")[0]
    known = state.run.started_us if exec_id == state.run.exec_id else made_us(exec_id)
    # The id of a run isn't always one that was made here, or on a clock that agrees.
    begun = known if state.created_us <= known <= event.time_us else state.created_us
    return event.time_us - begun


def offset(time_us: int) -> str:
    """A time since the beginning: hours if any, minutes, seconds and tenths."""
    tenths = max(0, time_us) // 100_000
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{minutes:02d}:{tenths / 10:04.1f}"
    return f"{hours}:{seconds}" if hours else seconds


def style_of(kind: str) -> str:
    """What a theme calls the color of a kind; empty if it has none for it."""
    if kind in FAILURES:
        return "failed"
    word = kind.partition(".")[0]
    return word if word in _COLORED else ""


def event_text(event: pb.Event) -> str:
    """An event in one line, without what has columns of its own."""
    match event.kind:
        case "message":
            text = f"{event.message.role}: {said(event.message)}"
        case "step.started":
            started = event.step_started
            again = f" (attempt {started.attempt})" if started.attempt > 1 else ""
            text = f"{started.key} {started.name}{again} {arguments_of(started)}"
        case _:
            text = describe(event)[:SHOWN_CHARS]
    return one_line(text)


def said(message: pb.Message) -> str:
    """The beginning of a message or, where it says nothing aloud, of its thoughts."""
    text = message_text(message)
    if not text:
        thoughts = (part.thought for part in message.content if part.HasField("thought"))
        text = "".join(map(text_of, thoughts))
    return ("private: " if message.internal_only else "") + text[:SHOWN_CHARS]


def arguments_of(started: pb.StepStarted) -> str:
    """The beginning of a step's arguments; nothing where there are none."""
    arguments = text_of(started.arguments)[:SHOWN_CHARS]
    return "" if arguments in ("[]", "{}", "null") else arguments
