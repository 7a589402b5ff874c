"""The state of a run in a few lines."""

from __future__ import annotations

import time
from collections.abc import Iterator

from axtui.model.fold import status
from axtui.model.words import ago, one_line, took, used
from axtui.ui.glyphs import glyph
from axtui.ui.line import Line
from axtui.v1 import state_pb2 as st

_SHOWN_STEPS, _SHOWN_MESSAGES, _SHOWN_CHARS = 6, 4, 240


def preview_lines(state: st.State, driven: bool) -> list[Line]:
    """What a run is at: its state, open steps, open questions, and what was said last."""
    return [*state_lines(state, driven), *_open_lines(state), *_said_lines(state)]


def state_word(state: st.State, driven: bool) -> tuple[str, str]:
    """The state of a run with its glyph, and what a theme calls its color."""
    word = status(state)
    left = word in ("pending", "running") and not driven
    return f"{glyph(word)} {word}{' (no controller)' if left else ''}", "waiting" if left else word


def state_lines(state: st.State, driven: bool) -> list[Line]:
    """The state of a run, and how much it has done and used."""
    run = state.run
    text, style = state_word(state, driven)
    lines = [
        Line(text, style),
        *_named("agent", run.agent),
        *_named("runs", str(state.totals.runs) if state.totals.runs > 1 else ""),
        *_named("steps", f"{run.steps:,}"),
        *_named("events", f"{state.seq:,}"),
    ]
    if run.started_us:
        going = driven and status(state) == "running"
        active = run.active_us + (max(0, _now() - state.time_us) if going else 0)
        lines += [
            *_named("ran", took(active)),
            *_named("began", f"{ago(run.started_us, _now())} ago"),
        ]
    if state.totals.HasField("usage"):
        tokens, _, cost = used(state.totals.usage).rpartition(", ")
        lines += [*_named("used", tokens), *_named("cost", cost)]
    if run.reason or run.cause:
        lines += _named("because", ": ".join(filter(None, (run.cause, run.reason))))
    if state.parent_id:
        lines += _named("fork", f"{glyph('fork')} of {state.parent_id}:{state.parent_seq}")
    if state.deleted_us:
        lines.append(Line("deleted; it is removed for good later", "failed"))
    if run.error.message:
        lines.append(Line(one_line(run.error.message), "failed", _label("error")))
    return lines


def step_text(step: st.Step) -> str:
    """An open step: whose it is, what it is, and for how long it has been."""
    plain = step.type == "model" or step.preview in ("", "[]", "{}", "null")
    about = "" if plain else f" {step.preview}"
    return one_line(f"{step.actor}: {step_name(step)}{about} {step_time(step)}")


def step_name(step: st.Step) -> str:
    """An open step by its name."""
    again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
    return f"{step.name}{again}{' waits to try again' if step.state == 'retrying' else ''}"


def step_time(step: st.Step) -> str:
    """For how long an open step has been."""
    return took(_now() - step.started_us)


def open_steps(state: st.State) -> list[st.Step]:
    """What is under way, the agents that wait for other steps last."""
    return sorted(state.open_steps.values(), key=lambda s: (s.type == "agent", s.started_seq))


def _open_lines(state: st.State) -> Iterator[Line]:
    questions = sorted(state.questions.values(), key=lambda asked: asked.seq)
    steps = open_steps(state) if status(state) in ("pending", "running", "waiting") else []
    if questions or steps:
        yield Line("")
    for asked in questions:
        yield Line(one_line(asked.question), "waiting", f"{glyph('waiting')} ")
    for step in steps[:_SHOWN_STEPS]:
        yield Line(step_text(step), "running", f"{glyph('running')} ")
    if len(steps) > _SHOWN_STEPS:
        yield Line(f"  and {len(steps) - _SHOWN_STEPS} more", "dim")


def _said_lines(state: st.State) -> Iterator[Line]:
    for excerpt in state.messages[-_SHOWN_MESSAGES:]:
        yield Line("")
        yield Line(one_line(excerpt.actor or excerpt.role), "dim")
        yield Line(one_line(excerpt.text[:_SHOWN_CHARS]), "", "  ")
    output = state.run.output
    if output.text not in ("", "null"):
        yield Line("")
        yield Line(one_line(output.text[:_SHOWN_CHARS]), "completed", f"{glyph('completed')} ")


def _named(name: str, value: str) -> list[Line]:
    return [Line(one_line(value), "", _label(name))] if value else []


def _label(name: str) -> str:
    return f"  {name:<8}"


def _now() -> int:
    return time.time_ns() // 1000
