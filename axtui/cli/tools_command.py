"""The tools that a model would be offered here, and what the policy says of its calls.

Servers of tools are started for it, and stopped again. Agents may call other agents as well:
`axtui agents` lists them. `axtui tools login NAME` has you log in at a server that wants that, with
a browser on this machine; runs that need it take it up by themselves.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from axtui.cli.arguments import UsageError, name
from axtui.cli.output import colored, print_json, print_text
from axtui.cli.table import print_table
from axtui.cli.theme import load_styles
from axtui.client import NO_RULE
from axtui.model.words import one_line

if TYPE_CHECKING:
    from axtui.client import Client, Offered, ToolInfo, ToolsInfo

_HEAD = ("TOOL", "VERDICT", "EFFECT", "FROM", "RULE", "ABOUT")
_SPARE = (4, 3, 2)
_SENTENCE = re.compile(r"(?<=\.)\s|\n")
_STYLES = {"allow": "completed", "ask": "waiting", "deny": "failed"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of tools."""
    add = parser.add_argument
    add("what", nargs="?", choices=("list", "login"), default="list", help="what to do")
    add("server_name", nargs="?", metavar="NAME", type=name, help="the server to log in at")
    add("--from", dest="source", metavar="NAME", type=name, help="only those of a server of tools")
    add("--resources", action="store_true", help="the resources of the servers instead")
    add("--prompts", action="store_true", help="the prompts of the servers instead")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print a line for each, and why servers have none; or have somebody log in."""
    if args.what == "login":
        return await _log_in(client, args)
    if args.server_name:
        raise UsageError("the list takes no name", f"axtui tools --from {args.server_name}")
    if args.resources and args.prompts:
        raise UsageError("--resources and --prompts are two different lists", "give one")
    server = args.source or ""
    if args.resources:
        _tell_offered(args, await client.resources(server), "resource")
    elif args.prompts:
        _tell_offered(args, await client.prompts(server), "prompt")
    else:
        _tell_tools(args, await client.tools(server))
    return 0


async def _log_in(client: Client, args: argparse.Namespace) -> int:
    def show(address: str) -> None:
        if args.output == "json":
            print_json({"kind": "login", "server": args.server_name, "url": address})
        else:
            print_text(f"to log in, open this in a browser on this machine:\n  {address}")

    await client.log_in(args.server_name or "", show)
    if args.output == "json":
        print_json({"kind": "login", "server": args.server_name, "state": "done"})
    else:
        print_text(f"logged in at {args.server_name}")
    return 0


def _tell_tools(args: argparse.Namespace, found: ToolsInfo) -> None:
    if args.output == "json":
        for tool in found.tools:
            print_json(_tool_as_json(tool))
        for server, state in found.servers.items():
            print_json({"kind": "server", "server": server, **_known(state)})
        return
    if found.tools:
        _print_tools(found.tools, args.no_color)
        if any(tool.verdict.rule == NO_RULE for tool in found.tools):
            print_text(f"ask, where no rule is named: {NO_RULE}")
    elif not any(state["error"] for state in found.servers.values()):
        print_text("no tools")
    for server, state in found.servers.items():
        if state["error"]:
            print_text(f"{server}: {state['error']}")


def _print_tools(tools: list[ToolInfo], no_color: bool) -> None:
    rows = [
        (
            one_line(tool.name),
            tool.verdict.choice,
            tool.effect or "asks",
            tool.source,
            one_line(_rules(tool)),
            one_line(_SENTENCE.split(tool.description, 1)[0]),
        )
        for tool in tools
    ]
    styles = None
    if colored(no_color):
        known = load_styles()
        styles = [known[_STYLES[tool.verdict.choice]] for tool in tools]
    print_table(_HEAD, rows, _SPARE, styles)


def _rules(tool: ToolInfo) -> str:
    """The rule behind the verdict, and those that hold for some calls."""
    rule = "" if tool.verdict.rule == NO_RULE else tool.verdict.rule
    return "; ".join([*filter(None, [rule]), *(f"but {v.rule}" for v in tool.exceptions)])


def _tool_as_json(tool: ToolInfo) -> dict[str, object]:
    return {
        "kind": "tool",
        "tool": tool.name,
        "from": tool.source,
        "effect": tool.effect,
        "verdict": tool.verdict.choice,
        "rule": tool.verdict.rule or None,
        "exceptions": [v._asdict() for v in tool.exceptions],
        "description": tool.description,
    }


def _known(state: Mapping[str, str]) -> dict[str, str | None]:
    return {key: value or None for key, value in state.items()}


def _tell_offered(args: argparse.Namespace, found: Offered, kind: str) -> None:
    if args.output == "json":
        for entry in found.entries:
            print_json({"kind": kind, **entry})
        for server, error in found.errors.items():
            print_json({"kind": "server", "server": server, "state": "failed", "error": error})
        return
    rows = [_offered_row(entry) for entry in found.entries]
    if rows:
        print_table(("NAME", "TAKES" if kind == "prompt" else "TYPE", "ABOUT"), rows, ())
    elif not found.errors:
        print_text(f"no {kind}s")
    for server, error in found.errors.items():
        print_text(f"{server}: {error}")


def _offered_row(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    about = entry["description"].partition("\n")[0]
    if "arguments" in entry:
        takes = (a["name"] if a["required"] else f"[{a['name']}]" for a in entry["arguments"])
        return one_line(entry["name"]), one_line(" ".join(takes)), one_line(about)
    where = entry.get("uri") or entry["template"]
    return one_line(where), one_line(entry["type"]), one_line(about or entry["name"])
