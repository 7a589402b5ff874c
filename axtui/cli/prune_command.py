"""Remove conversations for good: those that were deleted, and those that ended, long enough ago.

Runs that haven't ended are never removed. Forks keep the events that they share.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from axtui.cli.arguments import duration
from axtui.cli.output import print_json, print_text
from axtui.model.words import ago, count, one_line, size_text

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.summary import Listed

_STATES = ("completed", "failed", "canceled", "idle")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of prune."""
    add = parser.add_argument
    add("--older-than", required=True, metavar="DUR", type=duration, help="such as 30d or 12h")
    add(
        "--state",
        action="append",
        choices=_STATES,
        default=[],
        help="only those in a state; may be given several times",
    )
    add("--dry-run", action="store_true", help="only say what would go")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Remove them, or say which would be."""
    now = time.time_ns() // 1000
    removed = 0
    for listed in await client.prunable(now - int(args.older_than * 1e6), args.state):
        if args.dry_run or await _remove(client, listed):
            removed += 1
            _tell(args, listed, now)
    if args.output == "text":
        verb = "would be removed" if args.dry_run else "removed"
        size = f"; the log takes {size_text(await client.size())}" if removed else ""
        print_text(f"{count(removed, 'conversation')} {verb}{size}")
    return 0


async def _remove(client: Client, listed: Listed) -> bool:
    """Remove one, unless somebody has gone on with it, or was faster, while others were removed."""
    there = await client.find(listed.summary.id)
    if there is None or (there.seq, there.updated_us) != (listed.seq, listed.updated_us):
        return False
    await client.purge(listed.summary.id)
    return True


def _tell(args: argparse.Namespace, listed: Listed, now: int) -> None:
    summary = listed.summary
    state = "deleted" if summary.deleted_us else summary.state
    if args.output == "json":
        done = "would be purged" if args.dry_run else "purged"
        print_json(
            {"conversation_id": summary.id, "state": state, "events": listed.seq, "done": done}
        )
    else:
        age = ago(listed.updated_us, now)
        print_text(
            f"{summary.id}  {state}  {count(listed.seq, 'event')}  {age}  {one_line(summary.title)}"
        )
