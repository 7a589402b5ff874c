"""The conversations, a row each."""

from __future__ import annotations

import time

from axtui.model.words import ago, cost, one_line
from axtui.ui.glyphs import glyph
from axtui.ui.run_list import RunList
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.text import fit

_ID, _STATE, _AGENT = 13, 24, 12


class RunsTable(RowList):
    """Keeps the cursor on the conversation that it is on when rows move."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.runs: RunList | None = None
        self.current = ""

    def arranged(self) -> None:
        """Draw what the list has come to."""
        assert self.runs is not None
        index = self.runs.index(self.current) if self.current else None
        self.renew()
        self.set_count(len(self.runs.rows))
        if index is not None and index != self.cursor:
            self.cursor = index
            self.scroll_to_cursor()
        self.remember()

    def remember(self) -> None:
        """Take the row under the cursor for the one to stay on."""
        rows = self.runs.rows if self.runs else []
        self.current = rows[self.cursor].listed.summary.id if self.cursor < len(rows) else ""

    def cells(self, index: int, width: int) -> Cells | None:
        """Id, name, state, agent, events, age, tokens and cost, as far as there is room."""
        assert self.runs is not None
        listed, depth = self.runs.rows[index]
        summary = listed.summary
        state = summary.state
        left = state in ("pending", "running") and summary.id not in self.runs.driving
        words = f"{glyph(state)} {state}{' (no controller)' if left else ''}"
        about = one_line(summary.waiting_for if state == "waiting" else summary.title)
        branch = f"{'  ' * (min(depth, 6) - 1)}{glyph('fork')} " if depth else ""
        cells = [(f"{fit(one_line(summary.id), _ID if width >= 90 else 8)} ", "dim")]
        right = [(f"{listed.seq:>9,} ", ""), (f"{ago(listed.updated_us, _now()):>4}", "dim")]
        if width >= 100:
            spent = cost(summary.cost_nusd, summary.unpriced_calls)
            tokens = f"{summary.tokens:,}" if summary.tokens else ""
            right[1:1] = [(f"{tokens:>9} ", "dim"), (f"{spent:>9} ", "")]
        if width >= 80:
            right.insert(0, (f"{fit(one_line(summary.agent), _AGENT)} ", ""))
        name = width - sum(len(text) for text, _ in (*cells, *right)) - _STATE - 1
        return [
            *cells,
            (f"{fit(branch + about, max(4, name))} ", ""),
            (f"{fit(words, _STATE)}", "waiting" if left else state),
            *right,
        ]


def _now() -> int:
    return time.time_ns() // 1000
