"""Completions for a shell: put `source <(axtui completion bash)` into its start-up file.

For zsh the same; for fish `axtui completion fish | source`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING

from axtui.cli import COMMANDS
from axtui.cli.common import add_common, print_text

if TYPE_CHECKING:
    from axtui.client import Client

_TAKE_ID = ("show", "events", "approve", "pause", "resume", "cancel", "fork", "delete", "export")
_BASH = """\
_axtui() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}}
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
        return
    fi
    case $word in
    -*) case $command in
{cases}
        esac ;;
    *)  case $command:${{COMP_WORDS[COMP_CWORD-1]}} in
        *:--conversation|{take_id})
            COMPREPLY=($(compgen -W "$(axtui completion ids 2>/dev/null)" -- "$word")) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
        esac ;;
    esac
}}
complete -F _axtui axtui
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of completion."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish", "ids"))


async def run(client: Client, args: argparse.Namespace) -> int:
    """Print the script."""
    if args.shell == "ids":
        for listed in await client.conversations(limit=100):
            print_text(listed.summary.id)
    elif args.shell == "fish":
        for line in _fish():
            print_text(line)
    else:
        if args.shell == "zsh":
            print_text("autoload -U +X bashcompinit && bashcompinit")
        print_text(_bash())
    return 0


def _options(command: str) -> list[str]:
    parser = argparse.ArgumentParser(add_help=True)
    import_module(f"axtui.cli.{command}_command").configure(parser)
    add_common(parser)
    return [name for action in parser._actions for name in action.option_strings if name != "-h"]


def _bash() -> str:
    cases = "\n".join(
        f'        {name}) COMPREPLY=($(compgen -W "{" ".join(_options(name))}" -- "$word")) ;;'
        for name in COMMANDS
    )
    take_id = "|".join(f"{name}:{name}" for name in _TAKE_ID)
    return _BASH.format(commands=" ".join(COMMANDS), cases=cases, take_id=take_id)


def _fish() -> list[str]:
    lines = ["complete -c axtui -f"]
    for name, text in COMMANDS.items():
        words = text.replace("'", "\\'")
        lines.append(f"complete -c axtui -n __fish_use_subcommand -a {name} -d '{words}'")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for option in _options(name):
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            lines.append(f"complete -c axtui {seen} {flag}")
        if name in _TAKE_ID:
            lines.append(f"complete -c axtui {seen} -a '(axtui completion ids)'")
    return lines
