"""The UI on a log that the real command line has made."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from textual import events
from textual.keys import REPLACED_KEYS, _get_unicode_name_from_key
from textual.pilot import Pilot
from textual.widgets import Input

from axtui.app import AxtuiApp
from axtui.client import connect, load_config
from axtui.screens.command_line import CommandLineScreen
from axtui.widgets.runs_table import RunsTable

from .harness import until


@asynccontextmanager
async def opened(
    folder: Path, size: tuple[int, int] = (120, 30), **options: Any
) -> AsyncIterator[tuple[AxtuiApp, Pilot[Any]]]:
    """The UI on the log in a folder, and its configuration if there is one, once it shows the
    runs."""

    def load() -> Any:
        return load_config(None, str(folder / "data"), {}, folder)

    app = AxtuiApp(lambda: connect(load()), load=load, **options)
    try:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.is_open)
            await until(pilot, lambda: app.screen.query(RunsTable).first().empty_text)
            yield app, pilot
    finally:
        await app.desk.close()


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, each once the one before was taken."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause()


def key_event(key: str) -> events.Key:
    """A key as a terminal tells of it."""
    character: str | None
    try:
        character = unicodedata.lookup(_get_unicode_name_from_key(REPLACED_KEYS.get(key, key)))
    except KeyError:
        character = key if len(key) == 1 else None
    return events.Key(key, character)


def type_ahead(app: AxtuiApp, *keys: str) -> None:
    """Press keys without waiting for what comes of them."""
    assert app._driver is not None
    for key in keys:
        app._driver.process_message(key_event(key))


def drawn(app: AxtuiApp) -> str:
    """What is on the screen."""
    width, height = app.size
    console = Console(
        width=width, height=height, file=io.StringIO(), force_terminal=True, record=True
    )
    behind = app._background_screens
    update = app.screen._compositor.render_update(full=True, screen_stack=behind, simplify=True)
    console.print(update)
    return console.export_text()


def shows(app: AxtuiApp, text: str) -> Callable[[], bool]:
    """Whether a text is on the screen."""
    return lambda: text in drawn(app)


def told(app: AxtuiApp) -> str:
    """What was said in the corner."""
    return "\n".join(notice.message for notice in app._notifications)


async def command(pilot: Pilot[Any], line: str) -> None:
    """Enter a line behind `:`."""
    await pilot.press("colon")
    await until(pilot, lambda: isinstance(pilot.app.screen, CommandLineScreen))
    # A key at a time takes long where much goes on.
    pilot.app.screen.query_one(Input).value = line
    await pilot.press("enter")
