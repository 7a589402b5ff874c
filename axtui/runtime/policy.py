"""Which questions answer themselves."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from axtui.runtime.config import Policy
from axtui.v1 import state_pb2 as st


class Verdict(NamedTuple):
    """An answer, and the rule that gave it."""

    choice: str
    rule: str


def answer(state: st.State, type: str, subject: str) -> Verdict | None:
    """The answer that the run's options or an earlier `--always` give; None: ask."""
    for rule in state.rules:
        if (rule.type, rule.subject) == (type, subject):
            return Verdict(rule.choice, f"always, since event {rule.seq}")
    run = state.run
    if type == "interrupted" and run.on_interrupted not in ("", "ask"):
        return Verdict(run.on_interrupted, f"--on-interrupted {run.on_interrupted}")
    if type in ("approval", "permission") and run.approve in ("all", "deny"):
        choice = "approve" if run.approve == "all" else "deny"
        return Verdict(choice, f"--approve {run.approve}")
    return None


def needs_permission(policy: Policy, state: st.State, name: str, effect: str) -> bool:
    """Whether a step may only begin once somebody has agreed."""
    mode = state.run.approve
    if mode == "all":
        return False
    if mode == "ask" and effect != "readonly":
        return True
    return _configured(policy, name) == "ask"


def is_forbidden(policy: Policy, state: st.State, name: str) -> bool:
    """Whether the configuration denies a step, which only `--approve all` overrides."""
    return state.run.approve != "all" and _configured(policy, name) == "deny"


def _configured(policy: Policy, name: str) -> str:
    for pattern, verdict in policy.approve.items():
        if fnmatchcase(name, pattern):
            return verdict
    return "allow"
