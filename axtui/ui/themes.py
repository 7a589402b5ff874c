"""Themes as files, ours and the person's own: TOML that gives colors to what Textual calls theirs
and, under [states], to what axtui does."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

COLORS = frozenset(
    {
        *("primary", "secondary", "accent", "foreground", "background", "surface", "panel"),
        *("success", "warning", "error", "boost"),
    }
)
# What states and kinds look like where a theme doesn't say: names of colors of the theme.
STATES = {
    "cursor": "primary-muted",
    "cursor-blurred": "surface-lighten-1",
    "dim": "foreground-muted",
    "pending": "foreground",
    "running": "text-primary",
    "waiting": "text-warning",
    "paused": "text-secondary",
    "completed": "text-success",
    "failed": "text-error",
    "canceled": "foreground-muted",
    "idle": "foreground-muted",
    "message": "foreground",
    "step": "text-primary",
    "run": "text-success",
    "approval": "text-warning",
    "actor": "text-secondary",
    "note": "foreground-muted",
}
_PACKAGE = Path(__file__).resolve().parent.parent


class ThemeError(Exception):
    """A theme's file that can't be used; says which and why."""


class ThemeFile(NamedTuple):
    """A theme: colors by Textual's names, variables of states by `ax-NAME`."""

    name: str
    dark: bool
    colors: dict[str, str]
    variables: dict[str, str]


def folders() -> list[Path]:
    """Where themes are: those that come with axtui, then the person's own, which win."""
    import platformdirs

    ours = _PACKAGE / "themes"
    if not ours.is_dir():
        ours = _PACKAGE.parent / "themes"
    return [ours, Path(platformdirs.user_config_dir("axtui"), "themes")]


def theme_files() -> Iterator[Path]:
    """The files of all themes for the terminal UI."""
    for folder in folders():
        yield from sorted(path for path in folder.glob("*.toml") if path.is_file())


def read_theme(path: Path) -> ThemeFile | None:
    """The theme of a file; None if it has no colors, as one for the command line. Raises
    ThemeError."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ThemeError(f"{path.name}: {error}") from None
    if "colors" not in found:
        return None
    colors = _table(path, found, "colors", COLORS)
    states = _table(path, found, "states", STATES.keys())
    if "primary" not in colors:
        raise ThemeError(f"{path.name}: [colors] has no primary")
    name, dark = found.get("name", path.stem), found.get("dark", True)
    if not isinstance(name, str) or not isinstance(dark, bool):
        raise ThemeError(f"{path.name}: name is a text, dark is true or false")
    return ThemeFile(name, dark, colors, {f"ax-{key}": value for key, value in states.items()})


def _table(path: Path, found: dict[str, Any], name: str, known: Any) -> dict[str, str]:
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise ThemeError(f"{path.name}: {name} isn't a table")
    for key, value in table.items():
        if key not in known:
            raise ThemeError(f"{path.name}: there is no {key!r} in [{name}]")
        if not isinstance(value, str):
            raise ThemeError(f"{path.name}: {name}.{key} isn't a text")
    return table
