"""What the row of an event says."""

from __future__ import annotations

from axtui.model.describe import describe
from axtui.model.events import message_text, text_of
from axtui.model.words import one_line
from axtui.v1 import event_pb2 as pb

_SHOWN_CHARS = 400
_FAILURES = frozenset({"step.failed", "run.failed", "actor.failed"})


def offset(time_us: int) -> str:
    """A time since the beginning: hours if any, minutes, seconds and tenths."""
    tenths = max(0, time_us) // 100_000
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{minutes:02d}:{tenths / 10:04.1f}"
    return f"{hours}:{seconds}" if hours else seconds


def style_of(kind: str) -> str:
    """What a theme calls the color of a kind."""
    return "failed" if kind in _FAILURES else kind.partition(".")[0]


def event_text(event: pb.Event) -> str:
    """An event in one line, without what has columns of its own."""
    match event.kind:
        case "message":
            said = message_text(event.message)
            if not said:
                thoughts = (p.thought for p in event.message.content if p.HasField("thought"))
                said = "".join(map(text_of, thoughts))
            private = "private: " if event.message.internal_only else ""
            text = f"{event.message.role}: {private}{said[:_SHOWN_CHARS]}"
        case "step.started":
            started = event.step_started
            again = f" (attempt {started.attempt})" if started.attempt > 1 else ""
            arguments = text_of(started.arguments)[:_SHOWN_CHARS]
            text = f"{started.key} {started.name}{again} {'' if arguments == '[]' else arguments}"
        case _:
            text = describe(event)[:_SHOWN_CHARS]
    return one_line(text)
