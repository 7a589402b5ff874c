"""The agents that `axtui exec --agent` can name, and whether each can run now."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.output import colored, print_json, print_text
from axtui.cli.table import print_table
from axtui.cli.theme import load_styles
from axtui.model.words import one_line

if TYPE_CHECKING:
    from axtui.client import AgentInfo, Client

_HEAD = ("AGENT", "STATE", "KIND", "MODEL", "ABOUT")
_SPARE = (2, 3)


def configure(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print a line for each, and what is missing where one can't run."""
    found = await client.agents()
    if args.output == "json":
        for agent in found:
            print_json(_as_json(agent))
        return 0
    _print(found, args.no_color)
    problems: dict[str, list[str]] = {}
    for agent in found:
        if agent.problem:
            problems.setdefault(agent.problem, []).append(agent.id)
    for problem, ids in problems.items():
        print_text(f"{', '.join(ids)}: {problem}")
    return 0


def _print(found: list[AgentInfo], no_color: bool) -> None:
    rows = [
        (
            one_line(agent.id),
            "not ready" if agent.problem else "ready",
            agent.kind,
            agent.model,
            one_line(agent.description),
        )
        for agent in found
    ]
    styles = None
    if colored(no_color):
        known = load_styles()
        styles = [known["failed" if agent.problem else "completed"] for agent in found]
    print_table(_HEAD, rows, _SPARE, styles)


def _as_json(agent: AgentInfo) -> dict[str, object]:
    return {
        "agent": agent.id,
        "kind": agent.kind,
        "description": agent.description,
        "model": agent.model or None,
        "ready": not agent.problem,
        "problem": agent.problem or None,
        "address": agent.address or None,
    }
