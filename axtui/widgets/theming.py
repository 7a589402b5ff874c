"""Themes from files, as Textual has them."""

from __future__ import annotations

from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

from axtui.ui.themes import STATES, ThemeError, ThemeFile, read_theme, theme_files


def own_themes() -> tuple[dict[str, Theme], list[str]]:
    """The themes of all files by name, the person's own before those that come with axtui; and what
    is wrong with files that can't be used."""
    themes, problems = {}, []
    for path in theme_files():
        try:
            if found := read_theme(path):
                themes[found.name] = _theme(found)
        except ThemeError as error:
            problems.append(str(error))
    return themes, problems


def state_colors(theme: Theme) -> dict[str, str]:
    """The colors of states and kinds where a theme doesn't say."""
    colors = theme.to_color_system().generate()
    return {f"ax-{state}": colors[color] for state, color in STATES.items()}


def _theme(found: ThemeFile) -> Theme:
    for value in (*found.colors.values(), *found.variables.values()):
        try:
            Color.parse(value)
        except ColorParseError:
            raise found.wrong(value, "is no color; write #RRGGBB, or a name") from None
    fields: dict[str, Any] = {**found.colors, "variables": found.variables}
    return Theme(found.name, dark=found.dark, **fields)
