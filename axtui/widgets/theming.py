"""Themes from files, as Textual has them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rich.color import Color as RichColor
from rich.style import Style
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


def row_styles(variables: Mapping[str, str]) -> Mapping[str, Style]:
    """What the parts of rows look like in a theme, by their names: those of STATES, `strong`,
    `accent`, `hit` for what was searched for, and `blurred` for the cursor where the focus isn't.
    Not by component classes, since each of these is worked out anew for every list that is
    mounted."""
    return _row_styles(tuple(variables[f"ax-{state}"] for state in STATES), variables["accent"])


@lru_cache(maxsize=32)
def _row_styles(colors: tuple[str, ...], accent: str) -> Mapping[str, Style]:
    values = dict(zip(STATES, colors, strict=True))
    cursor, blurred = values.pop("cursor"), values.pop("cursor-blurred")
    return {
        **{state: Style(color=_rich(value)) for state, value in values.items()},
        "accent": Style(color=_rich(accent)),
        "hit": Style(color=_rich(accent), bold=True),
        "strong": Style(bold=True),
        "cursor": Style(bgcolor=_rich(cursor), bold=True),
        "blurred": Style(bgcolor=_rich(blurred)),
    }


def _rich(value: str) -> RichColor | None:
    """A color of a theme's variable, whose opacity rows don't know; None for none at all."""
    color = Color.parse(value.split()[0])
    return color.rich_color if color.a else None


def _theme(found: ThemeFile) -> Theme:
    for value in (*found.colors.values(), *found.variables.values()):
        try:
            Color.parse(value)
        except ColorParseError:
            raise found.wrong(value, "is no color; write #RRGGBB, or a name") from None
    fields: dict[str, Any] = {**found.colors, "variables": found.variables}
    return Theme(found.name, dark=found.dark, **fields)
