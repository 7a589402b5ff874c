"""The command line: finds the command's file, and imports nothing that only a command needs."""

import os
import sys
from importlib import import_module

from axtui.cli.output import BROKEN_PIPE, INTERRUPTED, OutputFailed, drop, report, write

COMMANDS = {
    "exec": "run an agent and follow it to its end",
    "attach": "follow a run that is in flight elsewhere",
    "serve": "drive runs, and let terminals attach",
    "list": "the conversations, the latest first",
    "show": "the state of a conversation, at any event",
    "events": "the events of a conversation",
    "search": "the events in which some words occur, the newest first",
    "approve": "answer what a run asks",
    "tell": "say something to an agent while its run is open",
    "pause": "begin no more steps in a run",
    "resume": "let a paused run go on",
    "cancel": "end a run for good",
    "fork": "a new conversation out of the first events of another",
    "delete": "hide a conversation; prune removes it for good",
    "prune": "remove old conversations for good",
    "export": "write a conversation to a file",
    "import": "read an exported conversation, or a Google AX log",
    "agents": "the agents that there are, and whether each can run",
    "tools": "the tools that a model would be offered, and what the policy says of each",
    "skills": "the Agent Skills that there are, and whether some are valid",
    "actors": "the processes that have worked for this log, and how they are",
    "token": "let clients into a server: create, list or revoke tokens",
    "verify": "check that the log is what was written",
    "doctor": "check all that runs need, and say what to do where it isn't right",
    "init": "write a commented axtui.yaml, or the skeleton of an agent",
    "completion": "completions for bash, zsh or fish",
}
_USAGE = """\
usage: axtui [OPTION ...]            the terminal UI
       axtui COMMAND [OPTION ...]

Agent runs as durable jobs: kill anything, and go on from the last finished step.

{commands}

`axtui COMMAND --help` tells more. Every command takes --server ADDR, --config FILE,
--data-dir DIR, --output text|json, --no-color and -v.
"""
_ASKS_HELP = ("-h", "--help", "help")
_ASKS_VERSION = ("-V", "--version")
_WITH_VALUE = (
    *("--config", "--data-dir", "--output", "--server", "--theme"),
    *("--token-file", "--ca", "--cert", "--key", "--address"),
)


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives back the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    try:
        return _main(_command_first(args))
    except KeyboardInterrupt:
        # Most of the time before a command begins goes into what it imports.
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output is gone, so there is nobody to tell.
        drop(sys.stdout)
        return BROKEN_PIPE
    except OutputFailed as error:
        drop(sys.stdout)
        report("output", str(error), error.hint, as_json="json" in args)
        return 1


def _main(args: list[str]) -> int:
    if sys.platform == "win32":
        report("platform", "axtui runs on Linux and macOS", "on Windows use it inside WSL")
        return 2
    if args[:1] == ["help"] and len(args) > 1:
        args = [args[1], "--help"]
    if (args[:1] and args[0] in _ASKS_HELP) or not (args or sys.stdout.isatty()):
        write(_usage())
        return 0
    if args and args[0] in _ASKS_VERSION:
        from importlib.metadata import version

        write(f"axtui {version('axtui')}\n")
        return 0
    if not args or args[0].startswith("-"):
        from axtui.cli import ui_command
        from axtui.cli.common import run_command

        return run_command("", ui_command, args)
    if args[0] not in COMMANDS:
        return _unknown(args)
    from axtui.cli.common import run_command

    return run_command(args[0], import_module(f"axtui.cli.{args[0]}_command"), args[1:])


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return _USAGE.format(commands="\n".join(lines))


def _command_first(args: list[str]) -> list[str]:
    """The options of every command may stand before it as well."""
    at = 0
    while at < len(args) and args[at].startswith("-"):
        at += 2 if args[at] in _WITH_VALUE else 1
    return [args[at], *args[:at], *args[at + 1 :]] if 0 < at < len(args) else args


def _unknown(args: list[str]) -> int:
    from difflib import get_close_matches

    near = get_close_matches(args[0], COMMANDS, 1)
    message = f"there is no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    report("usage", message, "`axtui --help` lists all commands", as_json="json" in args)
    return 2


def _open_streams() -> None:
    """A stream that is closed would leave its number to the next file that is opened."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
