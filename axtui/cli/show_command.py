"""The state of a conversation at its last event, or at the one that is given."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.common import checkpoint, print_json, print_text
from axtui.cli.render import ending
from axtui.model.codec import format_time, message_to_json
from axtui.model.events import text_of
from axtui.model.fold import is_open, status
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of show."""
    parser.add_argument("checkpoint", metavar="ID[:SEQ]")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print the state."""
    name, seq = checkpoint(args.checkpoint)
    state = await client.state(name, seq)
    if args.output == "json":
        print_json({**message_to_json(state), "status": status(state)})
        return 0
    alive = bool(await client.running_elsewhere())
    for line in _lines(state, alive):
        print_text(line)
    return 0


def _lines(state: st.State, alive: bool) -> list[str]:
    run = state.run
    now = status(state)
    driven = " (no controller)" if now in ("pending", "running") and not alive else ""
    lines = [
        f"conversation  {state.conversation_id}",
        f"state         {now}{driven}" + (f" ({run.cause})" if run.cause else ""),
        f"agent         {run.agent}",
        f"run           {run.exec_id}",
        f"events        {state.seq}, the last at {format_time(state.time_us)}",
        f"steps         {state.totals.steps} in {state.totals.runs} runs,"
        f" {state.totals.failed_steps} attempts failed",
        f"workspace     {run.workspace}",
    ]
    if state.parent_id:
        lines.append(f"forked from   {state.parent_id}:{state.parent_seq}")
    if run.error.message:
        lines.append(f"error         {run.error.code}: {run.error.message}")
    for step in sorted(state.open_steps.values(), key=lambda step: step.started_seq):
        lines.append(f"open step     {step.key} {step.actor}: {step.name}, {step.state}")
    for rule in state.rules:
        lines.append(f"rule          {rule.type} {rule.subject!r}: always {rule.choice}")
    for excerpt in state.messages:
        who = excerpt.actor or excerpt.role
        lines.append(f"{excerpt.seq:>6} {who}: {excerpt.text.rstrip()}")
    if now == "completed" and run.output.text not in ("", "null"):
        lines.append(f"output        {text_of(run.output)}")
    if is_open(state):
        lines += ending(state)
    return lines
