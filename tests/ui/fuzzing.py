"""Random keys, texts, mice and sizes for the UI, and what must hold whatever they are."""

from __future__ import annotations

import asyncio
import random
import string
import unicodedata
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from textual import events
from textual.app import App
from textual.geometry import Size
from textual.message import Message
from textual.pilot import Pilot
from textual.worker import Worker, WorkerState

from axtui.app import AxtuiApp
from axtui.client import Fault, connect, load_config
from axtui.screens.help import HelpScreen
from axtui.screens.runs import RunsScreen
from axtui.ui.commands import COMMANDS
from axtui.ui.keymaps import PRESETS, keymap

from .harness import until
from .opened import key_event

# What terminals obey, what markup is, and what is no cell wide, or two. Of U+FE0F, and of U+200D
# before a space, Rich and terminals disagree on how wide they are.
NASTY = (
    "\x1b[2J\x1b]0;title\x07\x1b[31mred \x9b5A \x00\x08\x7f\x85\u2028",
    "[bold]mark[/]up [/] [@click=app.quit]x[/] [ [red $primary \\[",
    "漢字かな ａｂ 👩‍👩‍👧 🇩🇪 e\u0301\u0301\u0301 \u1100\u1161",
    "\u202e right to left \u2066\u200b\ufeff \ufffe \U000e0001",
    "\ttab\r\nline\nline\r" * 3,
    "`" * 7 + "\n# title\n- [link](javascript:x)\n|a|b|\n|-|-|\n|c|\n> > > quote <b>&amp;</b>",
)
LETTERS = string.printable + "äß漢字👍\u0301\u202e"
WORDS = ("state:failed", "kind:tool", "actor:", "step:1", "[/]", "40%", "+30s", "-2m", "7", "99999")
SIZES = (20, 200), (5, 60)
_ESCAPES = 20
_SHOWN = 40


class Problem(AssertionError):
    """Something that must hold didn't."""


class Fuzzer:
    """Makes inputs, each a list of events, out of a seed alone, and keeps the last ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.preset = self.random.choice(list(PRESETS))
        self.ascii = self.random.random() < 0.25
        self.size = self.any_size()
        self.last: deque[str] = deque(maxlen=_SHOWN)
        self._keys = [key for keys in keymap(self.preset).values() for key in keys.split(",")]
        self._makers = {
            self._key: 50,
            self._letter: 10,
            self._paste: 5,
            self._command: 6,
            self._click: 12,
            self._scroll: 8,
            self._resize: 3,
            self._storm: 1,
            self._look_away: 2,
        }

    def next(self) -> list[Message]:
        """What comes in next."""
        (make,) = self.random.choices([*self._makers], [*self._makers.values()])
        found = list(make())
        self.last.append(" ".join(map(_word, found)))
        return found

    def any_size(self) -> tuple[int, int]:
        """That of a terminal."""
        width, height = (self.random.randint(*range) for range in SIZES)
        return width, height

    def _key(self) -> Iterator[Message]:
        key = self.random.choice(self._keys)
        for _ in range(self.random.choice((1, 1, 1, 1, 2, 10))):
            yield key_event(key)

    def _letter(self) -> Iterator[Message]:
        for _ in range(self.random.choice((1, 1, 5))):
            letter = self.random.choice(LETTERS)
            yield events.Key(letter, letter)

    def _paste(self) -> Iterator[Message]:
        text = self.random.choice(NASTY)
        yield events.Paste(text * self.random.choice((1, 1, 1, 500)))
        yield key_event(self.random.choice(("enter", "escape", "ctrl+s", "left", "backspace")))

    def _command(self) -> Iterator[Message]:
        word = self.random.choice(COMMANDS).name
        yield key_event("colon")
        yield events.Paste(f"{word} {self.random.choice((*WORDS, *NASTY, ''))}")
        yield key_event(self.random.choice(("enter", "tab")))

    def _click(self) -> Iterator[Message]:
        x, y = self._place()
        button = self.random.choice((1, 1, 1, 3))
        for _ in range(self.random.choice((1, 1, 2, 3))):
            yield _mouse(events.MouseMove, x, y)
            yield _mouse(events.MouseDown, x, y, button)
            if self.random.random() < 0.2:
                x, y = self._place()
                yield _mouse(events.MouseMove, x, y, button)
            yield _mouse(events.MouseUp, x, y, button)

    def _scroll(self) -> Iterator[Message]:
        kind = self.random.choice((events.MouseScrollUp, events.MouseScrollDown))
        x, y = self._place()
        for _ in range(self.random.choice((1, 3, 20))):
            yield _mouse(kind, x, y)

    def _resize(self) -> Iterator[Message]:
        yield self._resized()

    def _storm(self) -> Iterator[Message]:
        for _ in range(20):
            yield self._resized()

    def _resized(self) -> Message:
        self.size = self.any_size()
        return events.Resize(Size(*self.size), Size(*self.size))

    def _look_away(self) -> Iterator[Message]:
        yield events.AppBlur()
        yield events.AppFocus()

    def _place(self) -> tuple[int, int]:
        width, height = self.size
        return self.random.randrange(width), self.random.randrange(height)


def _mouse(kind: type[events.MouseEvent], x: int, y: int, button: int = 0) -> events.MouseEvent:
    return kind(None, x, y, 0, 0, button, False, False, False, x, y)


def _word(event: Message) -> str:
    match event:
        case events.Key():
            return event.key
        case events.Resize():
            return f"{event.size.width}x{event.size.height}"
        case events.Paste():
            return f"paste({event.text[:30]!r})"
        case events.MouseEvent():
            return f"{type(event).__name__}{event.x, event.y}"
    return type(event).__name__


def check_frame(app: App[Any]) -> None:
    """All of the screen can be drawn, is as wide as the terminal, and nothing in it is obeyed."""
    width, height = app.size
    update: Any = app.screen._compositor.render_update(
        full=True, screen_stack=app._background_screens
    )
    if len(update.strips) != height:
        raise Problem(f"{len(update.strips)} lines on a screen of {width}x{height}")
    for y, line in enumerate(update.strips):
        parts = [segment.text for strip in line for segment in strip]
        text = "".join(parts)
        if bad := [character for character in text if unicodedata.category(character) == "Cc"]:
            raise Problem(f"{bad} in line {y} of {app.screen}: {text!r}")
        if (size := sum(map(cell_len, parts))) != width:
            raise Problem(f"line {y} of {app.screen} is {size}, not {width}: {parts}")


class Tried:
    """The UI on the configuration in a folder, begun again whenever it was quit."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.fuzzer = Fuzzer(seed)
        self.done = 0
        self._errors: list[BaseException | str] = []

    async def run(self, inputs: int, batch: int) -> None:
        """Put in so much, and see that all is as it should be, all along and at the end."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: self._errors.append(repr(what)))
        try:
            while self.done < inputs:
                await self._session(inputs, batch)
        except BaseException as error:
            last = "\n".join(self.fuzzer.last)
            keys = f"{self.fuzzer.preset} keys{', ascii' if self.fuzzer.ascii else ''}"
            error.add_note(f"seed {self.seed}, {keys}, after {self.done} inputs; the last:\n{last}")
            raise
        finally:
            loop.set_exception_handler(None)

    async def faults(self) -> list[Fault]:
        """What is wrong with the log."""
        client = connect(self._load())
        try:
            return [found async for found in client.verify(None) if isinstance(found, Fault)]
        finally:
            await client.close()

    def _load(self) -> Any:
        config = load_config(None, str(self.folder / "data"), {}, self.folder)
        return replace(config, ui=replace(config.ui, keymap=self.fuzzer.preset))

    async def _session(self, inputs: int, batch: int) -> None:
        app = AxtuiApp(lambda: connect(self._load()), load=self._load, ascii=self.fuzzer.ascii)
        running = app.run_test(
            size=self.fuzzer.size, notifications=True, tooltips=True, message_hook=self._hear
        )
        try:
            async with running as pilot:
                # Keys don't wait for a log to be open.
                if self.fuzzer.random.random() < 0.5:
                    await until(pilot, lambda: app.is_open or app._exit)
                while self.done < inputs and not app._exit:
                    for _ in range(self.fuzzer.random.randint(1, batch)):
                        self._put(app, self.fuzzer.next())
                        self.done += 1
                    await self._settle(app, pilot)
                if not app._exit:
                    await self._leave(app, pilot)
        finally:
            await app.desk.close()
        if app.return_value is not None:
            raise app.return_value

    def _put(self, app: AxtuiApp, found: list[Message]) -> None:
        assert app._driver is not None
        for event in found:
            if isinstance(event, events.Resize):
                app._driver._size = event.size
            app._driver.process_message(event)

    async def _settle(self, app: AxtuiApp, pilot: Pilot[Any]) -> None:
        """See that the screen can be drawn once all was taken in."""
        size = Size(*self.fuzzer.size)
        await pilot.pause()
        await until(
            pilot, lambda: app._exception or app._exit or app.screen._compositor.size == size
        )
        if self._errors:
            raise Problem(f"it went wrong beside the screen: {self._errors}")
        if app._exception is not None:
            raise app._exception
        if not app._exit:
            check_frame(app)

    async def _leave(self, app: AxtuiApp, pilot: Pilot[Any]) -> None:
        """Escape leads to the runs, which still answer a key."""
        for _ in range(_ESCAPES):
            self._put(app, [key_event("escape")])
            await self._settle(app, pilot)
        if not isinstance(app.screen, RunsScreen):
            raise Problem(f"Escape doesn't lead from {app.screen_stack} to the runs")
        self._put(app, [key_event("f1")])
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))

    def _hear(self, message: Message) -> None:
        if isinstance(message, Worker.StateChanged) and message.state is WorkerState.ERROR:
            self._errors.append(message.worker.error or "")
