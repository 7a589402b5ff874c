"""The command line: finds the command's file, and imports nothing that only a command needs."""

import sys
from importlib import import_module

COMMANDS = {
    "exec": "run an agent and follow it to its end",
    "list": "the conversations, the latest first",
    "show": "the state of a conversation, at any event",
    "events": "the events of a conversation",
    "approve": "answer what a run asks",
    "pause": "begin no more steps in a run",
    "resume": "let a paused run go on",
    "cancel": "end a run for good",
    "fork": "a new conversation out of the first events of another",
    "delete": "hide a conversation; prune removes it for good",
    "prune": "remove old conversations for good",
    "export": "write a conversation to a file",
    "import": "read an exported conversation",
    "verify": "check that the log is what was written",
    "init": "write a commented axtui.yaml, or the skeleton of an agent",
    "completion": "completions for bash, zsh or fish",
}
_USAGE = """\
usage: axtui COMMAND [OPTION ...]

Agent runs as durable jobs: kill anything, and go on from the last finished step.

{commands}

`axtui COMMAND --help` tells more. Every command takes --config FILE, --data-dir DIR,
--output text|json, --no-color and -v.
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives back the exit status."""
    args = sys.argv[1:] if argv is None else argv
    if sys.platform == "win32":
        sys.stderr.write("axtui runs on Linux and macOS; on Windows use it inside WSL\n")
        return 2
    if not args or args[0] in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
        sys.stdout.write(_USAGE.format(commands="\n".join(lines)))
        return 0
    if args[0] in ("-V", "--version"):
        from importlib.metadata import version

        sys.stdout.write(f"axtui {version('axtui')}\n")
        return 0
    if args[0] not in COMMANDS:
        return _unknown(args[0])
    from axtui.cli.common import run_command

    return run_command(args[0], import_module(f"axtui.cli.{args[0]}_command"), args[1:])


def _unknown(name: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    sys.stderr.write(f"axtui: there is no command {name!r}{hint}\n`axtui --help` lists them\n")
    return 2
