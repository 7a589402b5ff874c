"""Themes as files, ours and the person's own: TOML that gives colors to what Textual calls theirs
and, under [states], to what axtui does."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator
from difflib import get_close_matches
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
MAX_BYTES = 1 << 16
_PACKAGE = Path(__file__).resolve().parent.parent


class ThemeError(Exception):
    """A theme's file that can't be used; says which and why."""


class ThemeFile(NamedTuple):
    """A theme: colors by Textual's names, variables of states by `ax-NAME`."""

    name: str
    dark: bool
    colors: dict[str, str]
    variables: dict[str, str]
    path: Path

    def wrong(self, value: str, why: str) -> ThemeError:
        """The error of a value that can't be used."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        return ThemeError(f"{_place(self.path, text, value)}: {value!r} {why}")


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
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ThemeError(f"{path.name}: larger than {MAX_BYTES} bytes")
        text = content.decode()
        found = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ThemeError(f"{path.name}: {error}") from None
    if "colors" not in found:
        return None
    colors = _table(path, text, found, "colors", COLORS)
    states = _table(path, text, found, "states", STATES.keys())
    if "primary" not in colors:
        raise ThemeError(f"{_place(path, text, '[colors]')}: [colors] has no primary")
    name, dark = found.get("name", path.stem), found.get("dark", True)
    if not isinstance(name, str) or not isinstance(dark, bool):
        raise ThemeError(f"{path.name}: name is a text, dark is true or false")
    variables = {f"ax-{key}": value for key, value in states.items()}
    return ThemeFile(name, dark, colors, variables, path)


def _table(
    path: Path, text: str, found: dict[str, Any], name: str, known: Collection[str]
) -> dict[str, str]:
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise ThemeError(f"{_place(path, text, name)}: {name} isn't a table")
    for key, value in table.items():
        where = _place(path, text, key)
        if key not in known:
            near = get_close_matches(key[:80], known, 1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            raise ThemeError(f"{where}: there is no {key[:80]!r} in [{name}]{advice}")
        if not isinstance(value, str):
            raise ThemeError(f"{where}: {name}.{key} isn't a text")
    return table


def _place(path: Path, text: str, what: str) -> str:
    """The file, and the first line of it that has a word, as far as there is one."""
    for number, line in enumerate(text.splitlines(), 1):
        if what in line.partition("#" if what[:1] != "#" else "\0")[0]:
            return f"{path.name}:{number}"
    return path.name
