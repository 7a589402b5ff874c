"""The line that a list shows of a conversation: a projection of its state."""

from __future__ import annotations

from typing import NamedTuple

from axtui.model.fold import bounded_sum, is_open, status
from axtui.v1 import state_pb2 as st


class Summary(NamedTuple):
    """What can be listed, filtered and sorted without reading a log."""

    id: str
    state: str
    agent: str
    exec_id: str
    title: str
    waiting_for: str
    created_us: int
    parent_id: str
    parent_seq: int
    deleted_us: int
    # What its model calls used, in all runs: tokens in and out, billionths of a dollar, and calls
    # whose price nobody knows.
    tokens: int
    cost_nusd: int
    unpriced_calls: int


class Listed(NamedTuple):
    """A summary with what moves at every event."""

    summary: Summary
    seq: int
    updated_us: int

    @property
    def open(self) -> bool:
        """Whether its run hasn't ended."""
        return self.summary.state in ("pending", "running", "waiting", "paused")


def summarise(state: st.State) -> Summary:
    """The summary of a state."""
    run, usage = state.run, state.totals.usage
    return Summary(
        state.conversation_id,
        status(state),
        run.agent,
        run.exec_id,
        state.title,
        _waiting_for(state) if state.questions and is_open(state) else "",
        state.created_us,
        state.parent_id,
        state.parent_seq,
        state.deleted_us,
        bounded_sum(usage.input_tokens, usage.output_tokens),
        usage.cost_nusd,
        usage.unpriced_calls,
    )


def _waiting_for(state: st.State) -> str:
    question = min(state.questions.values(), key=lambda asked: asked.seq)
    more = len(state.questions) - 1
    return question.question[:120] + (f" (+{more} more)" if more else "")
