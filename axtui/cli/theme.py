"""Colors come from a theme: a data file that maps what something is to a style."""

import tomllib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def load_styles(name: str = "axtui") -> dict[str, str]:
    """The styles of a theme, in a wheel or in a checkout."""
    folder = _PACKAGE / "themes"
    if not folder.is_dir():
        folder = _PACKAGE.parent / "themes"
    text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    styles: dict[str, str] = tomllib.loads(text)["styles"]
    return styles
