"""Data directories with runs in them, and the application on one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from axtui.app import AxtuiApp
from axtui.client import Client, Config, connect
from axtui.model.events import Draft
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.screens.run import RunScreen

from .harness import until

ID = "c"
_BATCH = 2000


def open_log(folder: Path) -> SqliteLog:
    """The log of a data directory, to be written."""
    folder.mkdir(exist_ok=True)
    return SqliteLog.open_to_write(Config(data_dir=folder).log_path)


async def write(folder: Path, drafts: Iterable[Draft], name: str = ID) -> None:
    """Append to a conversation of the data directory."""
    log = open_log(folder)
    conversation = await log.conversation(name, create=True)
    batch: list[Draft] = []
    for draft in drafts:
        batch.append(draft)
        if len(batch) == _BATCH:
            await conversation.append(*batch)
            batch.clear()
            await asyncio.sleep(0)
    if batch:
        await conversation.append(*batch)
    await log.close()


def app_on(folder: Path, made: Callable[[Client], Client] = lambda client: client) -> AxtuiApp:
    """The application on a data directory; `made` may put something before its client."""
    return AxtuiApp(lambda: made(connect(Config(data_dir=folder))))


async def open_run(app: AxtuiApp, pilot: Pilot[Any], name: str = ID) -> RunScreen:
    """The screen of a run, once it shows something."""
    await until(pilot, lambda: hasattr(app.desk, "client"))
    screen = RunScreen(name)
    await app.push_screen(screen)
    await until(pilot, lambda: screen.view is not None and screen.view.head)
    await pilot.pause()
    return screen


def text_of(widget: Any) -> str:
    """What a list or a text shows, line by line."""
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))


def told(app: AxtuiApp, words: str) -> bool:
    """Whether the person was told something with these words in it."""
    return any(words in notification.message for notification in app._notifications)
