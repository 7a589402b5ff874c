"""What the terminal UI keeps of one person from one start to the next."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

VERSION = 1
MAX_BYTES = 1 << 20
MAX_HISTORY = 100


@dataclass(frozen=True)
class Settings:
    """`theme`, the column that runs are sorted by and whether the other way round, the conversation
    that was looked at last, and what was typed behind `:`, the latest last."""

    theme: str = ""
    sort: str = ""
    reverse: bool = False
    last_run: str = ""
    history: tuple[str, ...] = field(default=())


def settings_file() -> Path:
    """Where they are."""
    import platformdirs

    return Path(platformdirs.user_state_dir("axtui"), "ui.json")


def load(path: Path) -> tuple[Settings, str]:
    """What was kept, and a word if it couldn't be read; then it is set aside as `ui.json.bad`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Settings(), ""
    except OSError as error:
        return Settings(), f"{path}: {error.strerror}; nothing is kept of what you set"
    try:
        return _read(content), ""
    except (ValueError, RecursionError) as error:
        aside = path.with_name(path.name + ".bad")
        try:
            path.replace(aside)
        except OSError as failure:
            return Settings(), f"{path}: {error}; it can't be set aside: {failure.strerror}"
        return Settings(), f"{path}: {error}; it is set aside as {aside.name}"


def save(path: Path, **changes: Any) -> tuple[Settings, str]:
    """Keep some, beside what another terminal has kept meanwhile; what there is then, and a word if
    it couldn't be written."""
    settings, problem = load(path)
    settings = replace(settings, **changes)
    settings = replace(settings, history=settings.history[-MAX_HISTORY:])
    text = json.dumps({"version": VERSION, **asdict(settings)}, indent=2, ensure_ascii=False)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(path)
    except OSError as error:
        return settings, f"{path}: {error.strerror}; what you set isn't kept"
    return settings, problem


def _read(content: bytes) -> Settings:
    if len(content) > MAX_BYTES:
        raise ValueError("it is too large")
    found = json.loads(content)
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError("it is of another version")
    values = {}
    for known in fields(Settings):
        value = found.get(known.name, known.default)
        if known.name == "history":
            value = tuple(value) if isinstance(value, list | tuple) else None
            if value is None or not all(isinstance(line, str) for line in value):
                raise ValueError("history isn't a list of texts")
        elif type(value) is not type(known.default):
            raise ValueError(f"{known.name} isn't what it should be")
        values[known.name] = value
    return Settings(**values)
