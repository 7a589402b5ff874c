"""Completions for a shell: put `source <(axtui completion bash)` into its start-up file.

For zsh the same; for fish `axtui completion fish | source`.
"""

from __future__ import annotations

import argparse
import re
from importlib import import_module

from axtui.cli import COMMANDS
from axtui.cli.common import add_remote, connected, make_parser
from axtui.cli.output import print_text, write

_SHELLS = ("bash", "zsh", "fish")
_MOST_IDS = 200
# A shell expands what it is offered, so nothing in it may mean anything to one.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BASH = """\
_axtui() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=${{COMP_WORDS[1]}} words= at
    if [[ $word == '=' ]]; then word=; fi
    if [[ $before == '=' ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        words="{commands} --help --version"
    else case "$command $before" in
{values}
    *) case $word in
        -*) case $command in
{options}
            esac ;;
        *) case $command in
{arguments}
            esac ;;
        esac ;;
    esac fi
    case $words in
    @ids)
        local where=()
        for (( at = 2; at < COMP_CWORD - 1; at++ )); do
            case ${{COMP_WORDS[at]}} in --data-dir|--config)
                where+=("${{COMP_WORDS[at]}}" "${{COMP_WORDS[at+1]}}") ;;
            esac
        done
        words=$("${{COMP_WORDS[0]}}" completion ids "${{where[@]}}" 2>/dev/null) ;;
    @files) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -F _axtui axtui
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of completion."""
    parser.add_argument(
        "shell", choices=(*_SHELLS, "ids"), metavar="bash|zsh|fish", help="whose completions"
    )
    add_remote(parser)


async def run_alone(args: argparse.Namespace) -> int:
    """Print the script."""
    if args.shell == "ids":
        async with connected(args) as client:
            for listed in await client.conversations(limit=_MOST_IDS):
                if _PLAIN.fullmatch(listed.summary.id):
                    print_text(listed.summary.id)
    elif args.shell == "fish":
        write("\n".join(_fish()) + "\n")
    else:
        start = "autoload -U +X bashcompinit && bashcompinit\n" if args.shell == "zsh" else ""
        write(start + _bash())
    return 0


def _actions(command: str) -> list[argparse.Action]:
    return make_parser(command, import_module(f"axtui.cli.{command}_command"))._actions


def _offered(action: argparse.Action) -> str:
    """What the value of an option or an argument may be: words, @ids, @files or nothing."""
    if action.dest == "shell":
        return " ".join(_SHELLS)
    if action.choices:
        return " ".join(action.choices)
    if action.dest in ("conversation", "checkpoint", "src_conversation"):
        return "@ids"
    return "@files" if action.metavar in ("FILE", "DIR", "F") else ""


def _bash() -> str:
    values, options, arguments = [], [], []
    for command in COMMANDS:
        named = []
        for action in _actions(command):
            named += [option for option in action.option_strings if option.startswith("--")]
            if action.option_strings and action.nargs != 0:
                both = "|".join(f"'{command} {option}'" for option in action.option_strings)
                values.append(f'    {both}) words="{_offered(action)}" ;;')
        first = next((a for a in _actions(command) if not a.option_strings), None)
        options.append(f'            {command}) words="{" ".join(named)}" ;;')
        if first is not None:
            arguments.append(f'            {command}) words="{_offered(first)}" ;;')
    return _BASH.format(
        commands=" ".join(COMMANDS),
        values="\n".join(values),
        options="\n".join(options),
        arguments="\n".join(arguments),
    )


def _fish() -> list[str]:
    lines = ["complete -c axtui -f"]
    for command, text in COMMANDS.items():
        lines.append(f"complete -c axtui -n __fish_use_subcommand -a {command} -d {_quoted(text)}")
        for action in _actions(command):
            lines.append(_fish_line(command, action))
    return lines


def _fish_line(command: str, action: argparse.Action) -> str:
    line = f"complete -c axtui -n '__fish_seen_subcommand_from {command}'"
    for option in action.option_strings:
        line += f" -l {option[2:]}" if option.startswith("--") else f" -s {option[1:]}"
    if action.option_strings and action.nargs != 0:
        line += " -r"
    offered = _offered(action)
    if offered == "@files":
        line += " -F"
    elif offered:
        words = "(axtui completion ids 2>/dev/null)" if offered == "@ids" else offered
        line += f" -a {_quoted(words)}"
    return line + (f" -d {_quoted(action.help)}" if action.help else "")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
