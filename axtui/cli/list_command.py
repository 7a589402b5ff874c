"""The conversations, the latest changed first."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from axtui.cli.common import ago, colored, print_json, print_text, size_text
from axtui.cli.theme import load_styles
from axtui.model.codec import format_time

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.summary import Listed

_STATES = ("pending", "running", "waiting", "paused", "completed", "failed", "canceled")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of list."""
    parser.add_argument("--state", action="append", choices=_STATES, default=[])
    parser.add_argument("--agent", metavar="ID", default="")
    parser.add_argument("--limit", type=int, default=50, metavar="N")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print a line for each."""
    found = await client.conversations(states=args.state, agent=args.agent, limit=args.limit)
    writer = await client.running_elsewhere()
    if args.output == "json":
        for listed in found:
            print_json(as_json(listed, writer))
        return 0
    if not found:
        print_text("no conversations")
    else:
        _print_table(found, writer, args)
    if found:
        print_text(f"{len(found)} shown; the log takes {size_text(await client.size())}")
    return 0


def as_json(listed: Listed, writer: int) -> dict[str, object]:
    """A listed conversation for programs."""
    summary = listed.summary
    return {
        "conversation_id": summary.id,
        "state": summary.state,
        "controller_pid": writer if listed.open and writer else None,
        "agent": summary.agent,
        "exec_id": summary.exec_id,
        "title": summary.title,
        "waiting_for": summary.waiting_for,
        "events": listed.seq,
        "created": format_time(summary.created_us),
        "updated": format_time(listed.updated_us),
        "parent_id": summary.parent_id or None,
        "parent_seq": summary.parent_seq or None,
    }


def state_text(listed: Listed, writer: int) -> str:
    """The state as people are told it: whether anybody drives the run isn't in its log."""
    state = listed.summary.state
    return f"{state} (no controller)" if state in ("pending", "running") and not writer else state


def _print_table(found: list[Listed], writer: int, args: argparse.Namespace) -> None:
    now = time.time_ns() // 1000
    rows = [
        (
            listed.summary.id,
            state_text(listed, writer),
            listed.summary.agent,
            str(listed.seq),
            ago(listed.updated_us, now),
            listed.summary.waiting_for or listed.summary.title,
        )
        for listed in found
    ]
    head = ("CONVERSATION", "STATE", "AGENT", "EVENTS", "AGE", "ABOUT")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(5)]
    if not colored(args):
        for row in (head, *rows):
            cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
            print_text("  ".join([*cells, row[5]]).rstrip())
        return
    _print_colored(head, rows, widths)


def _print_colored(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]], widths: list[int]
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = load_styles()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip(head, [*widths, 10], strict=True):
        table.add_column(name, no_wrap=True, min_width=width, overflow="ellipsis")
    for row in rows:
        state = Text(row[1], styles[row[1].split()[0]])
        table.add_row(row[0], state, *(Text(cell) for cell in row[2:]))
    Console().print(table)
