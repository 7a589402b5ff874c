"""Files that a person may change while the UI is open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from axtui.ui.themes import folders

_LOOK_MS = 2000


async def changed(config: Path | None) -> AsyncIterator[set[Path]]:
    """The files that have changed by now, again and again: the configuration and what is beside it,
    and what is where themes are kept, in folders that may come and go."""
    from watchfiles import awatch

    while True:
        themes = _existing(folders())
        # Files are watched by their folder, since editors put another in their place.
        watched = [*themes, *([config.parent] if config else [])]
        async for changes in awatch(
            *watched, recursive=False, rust_timeout=_LOOK_MS, yield_on_timeout=True
        ):
            if changes:
                yield {Path(name) for _, name in changes}
            if _existing(folders()) != themes:
                break


def _existing(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_dir()]
