"""The events in which all that is searched for occurs, the newest first.

Words are found in what was said, in names, arguments, results and errors of steps, in questions,
answers and notes. "several words" are found as they are, and begin* finds all that begins so.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from axtui.cli.arguments import amount, name
from axtui.cli.output import colored, print_json, print_text, say
from axtui.model.codec import format_time
from axtui.model.search import FOUND, Hit
from axtui.model.words import ago, count, one_line, printable

if TYPE_CHECKING:
    from axtui.client import Client

_TELL_SECONDS = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of search."""
    add = parser.add_argument
    add("text", metavar="TEXT", nargs="+", help='words, "phrases" or beginnings*')
    add("--limit", type=amount, default=FOUND, metavar="N", help=f"at most N (default: {FOUND})")
    add("--conversation", metavar="ID", type=name, help="in this conversation alone")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print a line for each."""
    within = ""
    if args.conversation:
        within = (await client.resolve(args.conversation)).summary.id
    hits = await client.search(
        " ".join(args.text),
        conversation_id=within,
        limit=args.limit,
        tell=None if args.output == "json" else _Progress().tell,
    )
    if args.output == "json":
        for hit in hits:
            print_json(as_json(hit))
        return 0
    if not hits:
        print_text("nothing was found")
    show = _line_in_color if colored(args.no_color) else _line
    now = time.time_ns() // 1000
    for hit in hits:
        show(hit, now)
    return 0


def as_json(hit: Hit) -> dict[str, object]:
    """A hit for programs."""
    return {
        "conversation_id": hit.conversation_id,
        "seq": hit.seq,
        "kind": hit.kind,
        "actor": hit.actor,
        "time": format_time(hit.time_us),
        "excerpt": hit.excerpt,
        "internal": hit.internal,
    }


class _Progress:
    """Says every few seconds how much has to be read before anything can be found."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _TELL_SECONDS / 2

    def tell(self, left: int) -> None:
        if time.monotonic() >= self._next:
            say(f"axtui: reading what is new, {count(left, 'event')} left; Ctrl+C loses nothing")
            self._next = time.monotonic() + _TELL_SECONDS


def _start(hit: Hit, now_us: int) -> str:
    kind = f"{hit.kind} (private)" if hit.internal else hit.kind
    return f"{one_line(hit.conversation_id)}:{hit.seq}  {ago(hit.time_us, now_us)}  {kind}  "


def _line(hit: Hit, now_us: int) -> None:
    print_text(_start(hit, now_us) + hit.excerpt)


def _line_in_color(hit: Hit, now_us: int) -> None:
    from rich.console import Console
    from rich.text import Text

    start = _start(hit, now_us)
    line = Text(start + printable(hit.excerpt))
    for begin, end in hit.marks:
        line.stylize("bold yellow", len(start) + begin, len(start) + end)
    Console(highlight=False).print(line, soft_wrap=True)
