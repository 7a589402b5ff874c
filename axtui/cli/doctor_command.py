"""Check what runs need, and say what to do about what isn't right; ends with 1 if a check fails.

Agents are loaded and servers of tools started for it; nothing is written to the log. With --server
it is also tried whether that one can be worked on; all else is about this machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections import Counter
from collections.abc import AsyncIterator

from axtui.cli.common import (
    FAILED,
    add_remote,
    columns,
    credentials_of,
    current_folder,
    server_of,
)
from axtui.cli.output import colored, print_json, print_text
from axtui.cli.theme import load_styles
from axtui.client import (
    Check,
    Config,
    ConfigError,
    Refused,
    Unreachable,
    checkup,
    connect,
    load_config,
)
from axtui.model.words import count, printable

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗"}
_PLAIN_MARKS = {"ok": "+", "warning": "!", "failed": "x"}
_STYLES = {"ok": "completed", "warning": "waiting", "failed": "failed"}
_WIDTH = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of doctor."""
    add_remote(parser)


async def run_alone(args: argparse.Namespace) -> int:
    """Print a line for each check, as it is made."""
    states: Counter[str] = Counter()
    async for check in _checks(args):
        states[check.state] += 1
        if args.output == "json":
            print_json(_as_json(check))
        else:
            _print(check, args.no_color)
    if args.output == "text":
        print_text(
            f"{count(states.total(), 'check')}, {count(states['warning'], 'warning')}, "
            f"{states['failed']} failed"
        )
    return FAILED if states["failed"] else 0


async def _checks(args: argparse.Namespace) -> AsyncIterator[Check]:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("Python", "ok", version)
    yield _terminal(args)
    try:
        config = load_config(args.config, args.data_dir, os.environ, current_folder())
    except ConfigError as error:
        for problem in error.problems:
            yield Check("configuration", "failed", problem, "correct it; all else depends on it")
        return
    yield Check("configuration", "ok", str(config.path or "none, and none is needed"))
    # Google AX has no call that does nothing.
    if (server := server_of(args)) and not server.startswith("ax://"):
        yield await _server(args, config, server)
    async for check in checkup(config):
        yield check


async def _server(args: argparse.Namespace, config: Config, server: str) -> Check:
    client = connect(config, server, credentials_of(args, server))
    try:
        refused = await client.refusals()
    except (Refused, Unreachable) as error:
        return Check("server", "failed", str(error), error.hint)
    finally:
        await client.close()
    why = next(iter(refused.values()), "")
    return Check("server", "ok", f"{server} answers{why and f', but not to all: {why}'}")


def _terminal(args: argparse.Namespace) -> Check:
    encoding = (sys.stdout.encoding or "none").upper()
    if not encoding.startswith("UTF"):
        fix = "set LC_ALL to a locale with UTF-8, such as C.UTF-8"
        return Check("terminal", "warning", f"it takes {encoding} only, not UTF-8", fix)
    if not sys.stdout.isatty():
        return Check("terminal", "ok", f"none, the output is {encoding}")
    if os.environ.get("TERM", "") in ("", "dumb"):
        fix = "set TERM to what the terminal is, such as xterm-256color"
        return Check("terminal", "warning", "nothing can be drawn on it, as TERM says", fix)
    color = "in color" if colored(args.no_color) else "without color"
    return Check("terminal", "ok", f"{encoding}, {color}, {columns()} columns")


def _as_json(check: Check) -> dict[str, str | None]:
    return {
        "check": check.what,
        "state": check.state,
        "result": check.result,
        "fix": check.fix or None,
    }


def _print(check: Check, no_color: bool) -> None:
    marks = _MARKS if (sys.stdout.encoding or "").upper().startswith("UTF") else _PLAIN_MARKS
    mark = marks[check.state]
    first, *rest = [*check.result.splitlines(), *check.fix.splitlines()] or [""]
    line = f" {check.what:<{_WIDTH}} {first}"
    if colored(no_color):
        from rich.console import Console
        from rich.text import Text

        text = Text.assemble((mark, load_styles()[_STYLES[check.state]]), printable(line))
        Console(highlight=False, soft_wrap=True).print(text)
    else:
        print_text(mark + line)
    for more in rest:
        print_text(f"  {'':<{_WIDTH}} {more}")
