"""What can be typed behind `:`, beside the actions: the one list from which the command line, its
completion and the docs are made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from axtui.ui.actions import BY_ID, GENERIC


class Command(NamedTuple):
    """`argument` is how what follows is written, empty if nothing does; `of` is what it is
    completed from: `runs`, `themes` or nothing."""

    name: str
    argument: str
    help: str
    of: str = ""


COMMANDS = (
    Command("run", "ID", "Open a run, by its id or the beginning of it", "runs"),
    Command("goto", "N|N%|+30s|-2m", "Go to an event: by number, by how far on it is, or by time"),
    Command("filter", "WORDS", "Show the rows that hold the words; without any, show all"),
    Command("search", "WORDS", 'Find words, "phrases" and beginnings* in all conversations'),
    Command("theme", "NAME", "Use a theme; without a name, choose one", "themes"),
    Command("new", "", "Start a run"),
)
BY_NAME = {command.name: command for command in COMMANDS}


class Order(NamedTuple):
    """A command or, by its id, an action; and what was typed behind it."""

    name: str
    argument: str = ""


def parse(line: str, offered: Collection[str]) -> Order:
    """What a line means where the `offered` actions can be done. An action is called by its id, or
    by what is behind the dot of it. Raises ValueError, whose text can be shown."""
    word, _, argument = line.strip().partition(" ")
    argument = argument.strip()
    if word in BY_NAME:
        if argument and not BY_NAME[word].argument:
            raise ValueError(f"nothing follows `{word}`")
        return Order(word, argument)
    name = action_called(word, offered)
    if not name:
        if word in BY_ID:
            raise ValueError(f"`{word}` can't be done here")
        near = get_close_matches(word[:80], words(offered), 1)
        advice = f"did you mean `{near[0]}`?" if near else "`?` shows all there are"
        raise ValueError(f"there is no `{word[:80]}`; {advice}")
    if argument:
        raise ValueError(f"nothing follows `{word}`")
    return Order(name)


def action_called(word: str, offered: Collection[str]) -> str:
    """The id of the offered action that a word calls; empty if none does."""
    if word in offered:
        return word
    if f"app.{word}" in offered:
        return f"app.{word}"
    return next((name for name in offered if BY_ID[name].name == word), "")


def words(offered: Collection[str]) -> list[str]:
    """What a line can begin with: each action by the shortest word that calls it, those of lists
    and texts aside, which keys are for."""
    short = []
    for name in sorted(offered, key=lambda name: BY_ID[name].scope == "app"):
        if BY_ID[name].scope not in GENERIC:
            bare = BY_ID[name].name
            taken = bare in BY_NAME or action_called(bare, offered) != name
            short.append(name if taken else bare)
    return [*BY_NAME, *short]


def completions(
    line: str, offered: Collection[str], arguments: Mapping[str, Sequence[str]]
) -> list[str]:
    """The lines that a line can be completed to; `arguments` are the runs and the themes."""
    word, space, argument = line.lstrip().partition(" ")
    if not space:
        return [name for name in words(offered) if name.startswith(word)]
    command = BY_NAME.get(word)
    found = arguments.get(command.of, ()) if command else ()
    return [f"{word} {name}" for name in found if name.startswith(argument)]


class Place(NamedTuple):
    """Where to go in a run: one of the three is given. `seconds` count from where one is."""

    seq: int | None = None
    percent: float | None = None
    seconds: float | None = None


def parse_place(text: str) -> Place:
    """`1200`, `40%`, `+30s` or `-2m`. Raises ValueError, whose text can be shown."""
    from axtui.client import parse_duration

    try:
        if text[:1] in ("+", "-"):
            seconds = parse_duration(text[1:])
            return Place(seconds=seconds if text[0] == "+" else -seconds)
        if text.endswith("%"):
            percent = float(text[:-1])
            if 0 <= percent <= 100:
                return Place(percent=percent)
        elif text.isascii() and text.isdigit():
            return Place(seq=int(text))
    except ValueError:
        pass
    raise ValueError(f"`{text[:80]}` is no place; write 1200, 40%, +30s or -2m")
