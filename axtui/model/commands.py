"""How a shell command is shown to whoever is asked about it: as it is, not as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

from axtui.model.codec import load_json
from axtui.model.words import visible

# What such steps are called, of the agent `shell` as of the tool.
SHELL = "shell"
_SHORT = 120


class Command(NamedTuple):
    """A command, and what else is said of how to run it."""

    text: str
    options: dict[str, Any]

    @property
    def short(self) -> str:
        """The command in full, if it fits into a sentence and has nothing in it that can't be
        seen; else empty."""
        return self.text if len(self.text) <= _SHORT and self.text.isprintable() else ""

    @property
    def size(self) -> str:
        """How much there is to read of one that is not short."""
        lines = self.text.count("\n") + 1
        return f"{lines:,} line{'' if lines == 1 else 's'}, {len(self.text):,} characters"

    def lines(self) -> list[str]:
        """All of it, line by line behind a prompt, so that no line of it looks like something
        else; what would be invisible, or move things on a screen, as its code point."""
        first, *rest = visible(self.text).split("\n")
        return [f"$ {first}", *(f"> {line}" for line in rest)]


def command_of(step: str, arguments: str) -> Command | None:
    """The command that a step of this name and these arguments, JSON, would run; None if it runs
    none, or if only the beginning of the arguments is there."""
    if step != SHELL:
        return None
    try:
        given = load_json(arguments)
    except ValueError:
        return None
    match given:
        case [str(text)]:
            return Command(text, {})
        case {"command": str(text)}:
            return Command(text, {name: given[name] for name in given if name != "command"})
    return None
