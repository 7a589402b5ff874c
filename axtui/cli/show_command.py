"""The state of a conversation at its last event, or at the one that is given."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.arguments import checkpoint, name
from axtui.cli.control import attach_command
from axtui.cli.follow import whole
from axtui.cli.output import print_json, print_text
from axtui.cli.story import ending, summary
from axtui.client import Refused
from axtui.model.codec import message_to_json
from axtui.model.events import text_of
from axtui.model.fold import is_open, status
from axtui.model.words import clock, count, used
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.client import Client

_INDENT = 14


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of show."""
    parser.add_argument(
        "checkpoint", metavar="ID[:SEQ]", type=name, help="the conversation, as it was at event SEQ"
    )


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print the state."""
    listed, seq = await checkpoint(client, args.checkpoint)
    state = await client.state(listed.summary.id, seq)
    if not state.seq:
        raise Refused(
            "state",
            f"nothing is known of {state.conversation_id} before it is followed",
            f"`{attach_command(args, state.conversation_id)}` does",
        )
    for question in state.questions.values():
        for data in (question.detail, question.diff):
            if data.HasField("blob"):
                data.text = await whole(client, data)
    if args.output == "json":
        print_json({**message_to_json(state), "status": status(state)})
        return 0
    is_past = seq is not None and seq < listed.seq
    alive = listed.summary.id in (await client.holder()).driving
    for label, text in [*_facts(state, alive or is_past), *_run_facts(state), *_open(state)]:
        _print(label, text)
    for excerpt in state.messages:
        if excerpt.text.strip():
            _print(f"{excerpt.seq:>6}", f"{excerpt.actor or excerpt.role}: {excerpt.text.rstrip()}")
    if status(state) == "completed" and text_of(state.run.output) not in ("", "null"):
        _print("output", text_of(state.run.output))
    if is_open(state) and not is_past and not state.deleted_us:
        print_text("\n".join(ending(args, state, alive)))
    return 0


def _print(label: str, text: str) -> None:
    first, *rest = text.splitlines() or [""]
    print_text("\n".join([f"{label:<{_INDENT}}{first}", *(" " * _INDENT + line for line in rest)]))


def _facts(state: st.State, driven: bool) -> list[tuple[str, str]]:
    now = status(state)
    nobody = " (no controller)" if now in ("pending", "running") and not driven else ""
    facts = [
        ("conversation", state.conversation_id),
        ("state", summary(state) + nobody),
        ("events", f"{state.seq:,}, the last at {clock(state.time_us)}"),
        ("created", clock(state.created_us)),
    ]
    if state.parent_id:
        facts.append(("forked from", f"{state.parent_id}:{state.parent_seq}"))
    return facts


def _run_facts(state: st.State) -> list[tuple[str, str]]:
    run, totals = state.run, state.totals
    if not run.state:
        return []
    failed = f", {count(totals.failed_steps, 'attempt')} failed" if totals.failed_steps else ""
    facts = [
        ("agent", run.agent),
        ("run", f"{run.exec_id}, since {clock(run.started_us)}"),
        ("steps", f"{totals.steps:,} in {count(totals.runs, 'run')}{failed}"),
        ("workspace", run.workspace),
    ]
    if run.HasField("usage"):
        facts.append(("models", used(run.usage)))
    if totals.HasField("usage") and totals.runs > 1:
        facts.append(("in all runs", used(totals.usage)))
    if run.error.message:
        facts.append(("error", f"{run.error.code}: {run.error.message}"))
    return facts


def _open(state: st.State) -> list[tuple[str, str]]:
    steps = sorted(state.open_steps.values(), key=lambda step: step.started_seq)
    lines = [("open step", f"{step.key} {step.actor}: {step.name}, {step.state}") for step in steps]
    for rule in state.rules:
        lines.append(("rule", f"{rule.type} {rule.subject!r}: always {rule.choice}"))
    return lines
