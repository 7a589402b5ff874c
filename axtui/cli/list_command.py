"""The conversations, the latest changed first."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from axtui.cli.arguments import amount, name
from axtui.cli.output import colored, print_json, print_text
from axtui.cli.table import print_table
from axtui.cli.theme import load_styles
from axtui.model.codec import format_time
from axtui.model.words import ago, cost, count, one_line, size_text

if TYPE_CHECKING:
    from axtui.client import Client, Holder
    from axtui.model.summary import Listed

_STATES = ("pending", "running", "waiting", "paused", "completed", "failed", "canceled")
_HEAD = ("CONVERSATION", "STATE", "AGENT", "EVENTS", "AGE", "COST", "ABOUT")
_SPARE = ("EVENTS", "AGENT", "ABOUT", "COST", "AGE")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of list."""
    add = parser.add_argument
    add(
        "--state",
        action="append",
        choices=_STATES,
        default=[],
        help="only those in a state; may be given several times",
    )
    add("--agent", metavar="ID", type=name, help="only those of an agent")
    add("--limit", type=amount, default=50, metavar="N", help="at most N (default: 50)")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print a line for each."""
    found = await client.conversations(states=args.state, agent=args.agent or "", limit=args.limit)
    holder = await client.holder()
    if args.output == "json":
        for listed in found:
            print_json(as_json(listed, holder))
        return 0
    if not found:
        filtered = args.state or args.agent or not args.limit
        print_text(
            "no conversations fit" if filtered else "no conversations; `axtui exec` makes one"
        )
        return 0
    _print(found, holder, args)
    size = size_text(await client.size())
    print_text(f"{count(len(found), 'conversation')} shown; the log takes {size}")
    return 0


def as_json(listed: Listed, holder: Holder) -> dict[str, object]:
    """A listed conversation for programs."""
    summary = listed.summary
    return {
        "conversation_id": summary.id,
        "state": summary.state,
        "controller_pid": holder.pid if summary.id in holder.driving else None,
        "agent": summary.agent,
        "exec_id": summary.exec_id,
        "title": summary.title,
        "waiting_for": summary.waiting_for,
        "events": listed.seq,
        "created": format_time(summary.created_us),
        "updated": format_time(listed.updated_us),
        "parent_id": summary.parent_id or None,
        "parent_seq": summary.parent_seq or None,
        "usage": {
            "tokens": summary.tokens,
            "cost_usd": None if summary.unpriced_calls else summary.cost_nusd / 1e9,
        },
    }


def state_text(listed: Listed, holder: Holder) -> str:
    """The state as people are told it: whether anybody drives the run isn't in its log."""
    state = listed.summary.state
    left = state in ("pending", "running") and listed.summary.id not in holder.driving
    return f"{state} (no controller)" if left else state


def _print(found: list[Listed], holder: Holder, args: argparse.Namespace) -> None:
    now = time.time_ns() // 1000
    rows = [
        [
            one_line(listed.summary.id),
            state_text(listed, holder),
            one_line(listed.summary.agent),
            str(listed.seq),
            ago(listed.updated_us, now),
            cost(listed.summary.cost_nusd, listed.summary.unpriced_calls),
            one_line(listed.summary.waiting_for or listed.summary.title),
        ]
        for listed in found
    ]
    styles = None
    if colored(args.no_color):
        known = load_styles()
        styles = [known.get(listed.summary.state, "") for listed in found]
    head = [*_HEAD]
    if not any(listed.summary.cost_nusd for listed in found):
        for row in (head, *rows):
            del row[_HEAD.index("COST")]
    print_table(head, rows, [head.index(name) for name in _SPARE if name in head], styles)
