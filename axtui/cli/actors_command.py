"""The processes that have worked for a controller of this data directory, and how they are.

What each has written to its standard error last is in `--output json`, and in
`axtui events '$control' --output json`.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from axtui.actors import Actors
from axtui.cli.output import colored, print_json, print_text
from axtui.cli.table import print_table
from axtui.cli.theme import load_styles
from axtui.model.codec import format_time
from axtui.model.words import ago, one_line

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.actors import ActorState

_HEAD = ("ACTOR", "STATE", "KIND", "PID", "SINCE", "CALLS", "RESTARTS", "LAST REASON")
_SPARE = (2, 6, 3, 4)
_STYLES = {"running": "running", "failed": "failed", "gone": "failed"}


def configure(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print a line for each."""
    actors = await Actors(client).read()
    if args.output == "json":
        for actor in actors:
            print_json(_as_json(actor))
    elif actors:
        _print(actors, args.no_color)
    else:
        print_text("no actors; models and tools get theirs when a run first needs them")
    return 0


def _print(actors: list[ActorState], no_color: bool) -> None:
    now_us = time.time_ns() // 1000
    rows = [
        (
            one_line(actor.id),
            actor.state,
            one_line(actor.kind),
            str(actor.pid) if actor.state == "running" else "",
            ago(actor.since_us, now_us),
            str(actor.calls) if actor.state == "running" else "",
            str(actor.restarts),
            one_line(actor.reason),
        )
        for actor in actors
    ]
    styles = None
    if colored(no_color):
        known = load_styles()
        styles = [known.get(_STYLES.get(actor.state, ""), "") for actor in actors]
    print_table(_HEAD, rows, _SPARE, styles)


def _as_json(actor: ActorState) -> dict[str, object]:
    return {
        "actor": actor.id,
        "kind": actor.kind or None,
        "state": actor.state,
        "pid": actor.pid if actor.state == "running" else None,
        "since": format_time(actor.since_us),
        "calls": actor.calls,
        "restarts": actor.restarts,
        "reason": actor.reason or None,
        "stderr": actor.stderr or None,
    }
