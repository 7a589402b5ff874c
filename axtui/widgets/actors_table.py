"""The actors and the agents, a row each, and what there is to be said of one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from axtui.client import AgentInfo
from axtui.model.actors import ActorState
from axtui.model.words import ago, count, one_line, printable
from axtui.ui.glyphs import glyph
from axtui.ui.inspecting import text_lines
from axtui.ui.line import Line
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.text import fit

_WORD, _KIND, _PID, _AGE, _CALLS, _STARTS = 11, 9, 8, 5, 11, 4
# What a theme calls the color of a state.
_STYLES = {"running": "running", "stopped": "idle", "failed": "failed", "gone": "failed"}


class ActorsTable(RowList):
    """Shows what it was last given, the cursor where it was."""

    actors: Sequence[ActorState] = ()

    def show(self, actors: Sequence[ActorState]) -> None:
        """Show these. Actors only ever come at the end."""
        self.actors = actors
        self.set_count(len(actors))
        self.renew()

    def cells(self, index: int, width: int) -> Cells | None:
        """Id, state, kind, pid, since when, calls, restarts and the last reason, as far as there
        is room."""
        actor = self.actors[index]
        style = _STYLES[actor.state]
        cells = [(fit(f"{glyph(style)} {actor.state}", _WORD), style)]
        if width >= 70:
            pid = str(actor.pid) if actor.state == "running" else ""
            calls = count(actor.calls, "call") if actor.calls else ""
            cells += [
                (fit(one_line(actor.kind), _KIND), ""),
                (f"{pid:>{_PID}}", "dim"),
                (f"{ago(actor.since_us, _now()):>{_AGE}}", "dim"),
                (f"{calls:>{_CALLS}}", "running"),
                (f"{f'↻{actor.restarts}' if actor.restarts else '':>{_STARTS}}  ", "waiting"),
            ]
        left = width - sum(len(text) for text, _ in cells)
        name = max(12, left // 2 if width >= 70 else left)
        return [
            (f"{fit(one_line(actor.id), name - 1)} ", ""),
            *cells,
            (one_line(actor.reason), "dim"),
        ]


class AgentsTable(RowList):
    """Shows what it was last given, the cursor where it was."""

    agents: Sequence[AgentInfo] = ()

    def show(self, agents: Sequence[AgentInfo]) -> None:
        """Show these."""
        self.agents = agents
        self.set_count(len(agents))
        self.renew()

    def cells(self, index: int, width: int) -> Cells | None:
        """Id, whether it can run, kind, model, and why it can't or else what it is for."""
        agent = self.agents[index]
        state, word = ("failed", "not ready") if agent.problem else ("completed", "ready")
        cells = [
            (f"{fit(one_line(agent.id), 15)} ", ""),
            (fit(f"{glyph(state)} {word}", 13), state),
        ]
        if width >= 70:
            cells.append((f"{fit(agent.kind, 8)} ", "dim"))
        return [*cells, (one_line(agent.problem or agent.description), "dim")]


def actor_lines(actor: ActorState) -> list[Line]:
    """All that is known of an actor, with what it has written to its standard error last."""
    style = _STYLES[actor.state]
    pid = f", pid {actor.pid}" if actor.state == "running" else ""
    pid += f", {count(actor.calls, 'call')}" if actor.calls else ""
    since = f"since {ago(actor.since_us, _now())}"
    lines = [
        Line(printable(actor.id), "strong"),
        Line(f"{glyph(style)} {actor.state} {since}{pid}", style),
        Line(f"{printable(actor.kind) or 'actor'}, {count(actor.restarts, 'restart')}", "dim"),
    ]
    if actor.reason:
        lines += [Line(""), *text_lines(actor.reason, "failed" if style == "failed" else "")]
    if actor.stderr:
        lines += [Line(""), Line("what it wrote to its standard error last", "dim")]
        return lines + text_lines(actor.stderr)
    return [
        *lines,
        Line(""),
        Line("nothing is kept of its standard error: it is when it ends", "dim"),
    ]


def agent_lines(agent: AgentInfo) -> list[Line]:
    """All that is known of an agent."""
    word = Line(f"{glyph('failed')} not ready", "failed")
    lines = [
        Line(printable(agent.id), "strong"),
        word if agent.problem else Line(f"{glyph('completed')} ready", "completed"),
        Line(", ".join(filter(None, (agent.kind, printable(agent.address or agent.model)))), "dim"),
    ]
    for text, style in ((agent.problem, "failed"), (agent.description, "")):
        if text:
            lines += [Line(""), *text_lines(text, style)]
    return lines


def _now() -> int:
    return time.time_ns() // 1000
