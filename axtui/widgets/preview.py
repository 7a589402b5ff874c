"""The state of a run in a few lines."""

from __future__ import annotations

import time

from axtui.model.fold import status
from axtui.model.words import count, one_line, took, used
from axtui.ui.glyphs import glyph
from axtui.ui.line import Line
from axtui.v1 import state_pb2 as st

_SHOWN = 8


def preview_lines(state: st.State, driven: bool) -> list[Line]:
    """What a run is at: its state, open steps, open questions, and what was said last."""
    now = time.time_ns() // 1000
    run, word = state.run, status(state)
    left = word in ("pending", "running") and not driven
    lines = [
        Line(state.conversation_id, "dim"),
        Line(f"{glyph(word)} {word}{' (no controller)' if left else ''}", word),
        Line(f"{run.agent}  {count(run.steps, 'step')}  {count(state.seq, 'event')}", "dim"),
    ]
    if run.started_us:
        lines.append(Line(f"ran for {took(run.active_us)}", "dim"))
    if state.totals.HasField("usage"):
        lines.append(Line(used(state.totals.usage), "dim"))
    if state.parent_id:
        lines.append(Line(f"{glyph('fork')} fork of {state.parent_id}:{state.parent_seq}", "dim"))
    if run.error.message:
        lines += [Line(""), Line(one_line(run.error.message), "failed")]
    questions = sorted(state.questions.values(), key=lambda asked: asked.seq)
    if questions:
        lines.append(Line(""))
        lines += [Line(f"{glyph('waiting')} {one_line(q.question)}", "waiting") for q in questions]
    steps = sorted(state.open_steps.values(), key=lambda step: step.started_seq)
    if steps and word in ("pending", "running", "waiting"):
        lines.append(Line(""))
        for step in steps[:_SHOWN]:
            about = f"{one_line(step.actor)}: {one_line(step.name)} {one_line(step.preview)}"
            lines.append(
                Line(f"{glyph('running')} {about} {took(now - step.started_us)}", "running")
            )
        if len(steps) > _SHOWN:
            lines.append(Line(f"  and {len(steps) - _SHOWN} more", "dim"))
    if state.messages:
        lines.append(Line(""))
        for said in state.messages[-_SHOWN:]:
            text = f"{one_line(said.actor or said.role)}: {one_line(said.text)}"
            lines.append(Line(text, "dim" if said.role == "user" else ""))
    return lines
