"""What a run did, a row for each step with its result, and for what was said and asked."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len

from axtui.model.codec import dump_json, load_json
from axtui.model.describe import describe
from axtui.model.events import TERMINAL_KINDS, text_of
from axtui.model.words import one_line, took
from axtui.ui.glyphs import glyph
from axtui.ui.pairs import Pair
from axtui.ui.rows import (
    FAILURES,
    SHOWN_CHARS,
    arguments_of,
    event_of,
    offset,
    said,
    since_start,
    style_of,
)
from axtui.v1 import event_pb2 as pb
from axtui.widgets.pair_list import PairList, now_us
from axtui.widgets.row_list import Cells
from axtui.widgets.text import fit

_ACTOR, _TOOK = 12, 8


class _Told(NamedTuple):
    """What a row says: the glyph's name, its color, what it is, what became of it."""

    mark: str
    style: str
    text: str
    result: str = ""


class StepsList(PairList):
    """Steps, messages, questions and what became of the run, in the order they began."""

    def cells(self, index: int, width: int) -> Cells | None:
        """Seq, time, actor, what it was, what became of it, how long that took."""
        if self._pairs is None or self._view is None or index >= len(self._pairs):
            return []
        pair = self._pairs[index]
        begun = self.record(pair.seq)
        ended = self.record(pair.end, pair.seq) if pair.end not in (0, pair.seq) else None
        if begun is None or (ended is None and pair.end not in (0, pair.seq)):
            return [("can't be read", "failed")] if self._view.is_broken(pair.seq) else None
        event = event_of(begun)
        told = _told(event, event_of(ended) if ended else None)
        cells = [(f"{pair.seq:>{len(str(self._view.head))}} ", "dim")]
        if width >= 60:
            cells.append((f"{offset(since_start(event, self.state)):>9} ", "dim"))
        if width >= 80:
            cells.append((f"{fit(one_line(event.actor), _ACTOR)} ", "strong"))
        cells.append((f"{glyph(told.mark)} ", told.style))
        time = _time(pair)
        room = width - sum(cell_len(text) for text, _ in cells) - (_TOOK if width >= 40 else 0)
        cells += _fitted(told, max(4, room))
        if width >= 40:
            cells.append((f"{time:>{_TOOK}}", "dim" if pair.end else told.style))
        return cells


def _time(pair: Pair) -> str:
    if pair.end == pair.seq:
        return ""
    return took((pair.end_us if pair.end else now_us()) - pair.start_us)


def _fitted(told: _Told, room: int) -> Cells:
    text, result = one_line(told.text), one_line(told.result)
    style = told.style if told.style == "failed" else ""
    if not result:
        return [(fit(text, room), style)]
    arrow = f" {glyph('to')} "
    most = max(room * 11 // 20, room - cell_len(arrow) - cell_len(result))
    size = min(cell_len(text), most)
    rest = max(0, room - size - cell_len(arrow))
    return [(fit(text, size), style), (arrow, "dim"), (fit(result, rest), style or "dim")]


def _told(event: pb.Event, ended: pb.Event | None) -> _Told:
    match event.kind:
        case "step.started":
            started = event.step_started
            again = f" (attempt {started.attempt})" if started.attempt > 1 else ""
            # What a model was sent is its whole history.
            arguments = "" if started.type == "model" else _brief(arguments_of(started))
            return _ending(f"{started.name}{again} {arguments}", ended)
        case "approval.requested":
            question = event.approval_requested.question
            if ended is None:
                return _Told("waiting", "waiting", question)
            answer = ended.approval_answered
            words = ": ".join(filter(None, (answer.choice, answer.text)))
            by = ended.principal or answer.rule
            return _Told("question", "approval", question, f"{words} ({by})" if by else words)
        case "step.failed":
            failed = event.step_failed
            return _Told("failed", "failed", failed.key, failed.error.message[:SHOWN_CHARS])
        case "message":
            return _Told("message", "message", f"{event.message.role}: {said(event.message)}")
    words = f"{event.kind} {describe(event)[:SHOWN_CHARS]}"
    mark = event.kind.partition(".")[2] if event.kind in TERMINAL_KINDS else "note"
    return _Told(mark, "failed" if event.kind in FAILURES else style_of(event.kind), words)


def _brief(arguments: str) -> str:
    """Arguments without what only JSON needs."""
    try:
        values = load_json(arguments) if arguments else ""
    except ValueError:
        # Only the beginning of them.
        return arguments
    if isinstance(values, list):
        return " ".join(map(_value, values))
    if isinstance(values, dict):
        return " ".join(f"{name}={_value(value)}" for name, value in values.items())
    return _value(values)


def _value(value: object) -> str:
    return value if isinstance(value, str) else dump_json(value)


def _ending(text: str, ended: pb.Event | None) -> _Told:
    """A step, by how it has ended."""
    if ended is None:
        return _Told("running", "running", text)
    if ended.kind == "step.completed":
        completed = ended.step_completed
        result = "skipped" if completed.skipped else text_of(completed.result)[:SHOWN_CHARS]
        return _Told("completed", "completed", text, "" if result == "null" else result)
    if ended.kind == "step.failed":
        return _Told("failed", "failed", text, ended.step_failed.error.message[:SHOWN_CHARS])
    return _Told("canceled", "canceled", text, "had no end")
