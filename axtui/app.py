"""The terminal UI: one application, the screens it has, and what all of them share."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from textual import work
from textual.app import App
from textual.theme import Theme

from axtui.ui.desk import Desk
from axtui.ui.themes import STATES, read_theme, theme_files
from axtui.widgets.bindings import bindings

if TYPE_CHECKING:
    from axtui.client import Client

T = TypeVar("T")
_QUIT_SECONDS = 2.0


class AxtuiApp(App[Exception | None]):
    """Ends with the error that it couldn't begin with, if there was one."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS = bindings("app")
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"),
        (80, "-narrow"),
        (110, "-wide"),
        (160, "-xwide"),
    ]
    CSS_PATH = "axtui.tcss"
    PAUSE_GC_ON_SCROLL = True

    def __init__(self, connect: Callable[[], Client], server: str = "", theme: str = "") -> None:
        super().__init__()
        self.desk = Desk(connect, server)
        self._theme = theme
        self._left_at = 0.0
        for path in theme_files():
            if found := read_theme(path):
                fields: dict[str, Any] = {**found.colors, "variables": found.variables}
                self.register_theme(Theme(found.name, dark=found.dark, **fields))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colors of states and kinds for themes that don't say."""
        colors = self.current_theme.to_color_system().generate()
        return {f"ax-{state}": colors[color] for state, color in STATES.items()}

    def on_mount(self) -> None:
        """Draw first, connect then."""
        self.theme = self._theme or "axtui-dark"
        from axtui.screens.runs import RunsScreen

        self.push_screen(RunsScreen())
        self.call_after_refresh(self._open)

    @work(exit_on_error=False)
    async def _open(self) -> None:
        try:
            await self.desk.open()
        except Exception as error:
            # Whatever it is, it is told where the UI was started from.
            self.exit(error)
            return
        # What is there by now stays.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        for screen in self.screen_stack:
            begin = getattr(screen, "begin", None)
            if begin is not None:
                begin()

    async def attempt(self, doing: Awaitable[T]) -> T | None:
        """Do what may be refused; tell why if it is, and give back None."""
        from axtui.client import LogError, Refused, Unreachable

        try:
            return await doing
        except (Refused, LogError, Unreachable) as error:
            hint = f"\n{error.hint}" if error.hint else ""
            self.notify(f"{error}{hint}", severity="error", markup=False)
            return None

    # What keys do

    def action_actors(self) -> None:
        from axtui.screens.actors import ActorsScreen

        if not isinstance(self.screen, ActorsScreen):
            self.push_screen(ActorsScreen())

    async def action_back(self) -> None:
        if len(self.screen_stack) > 2:
            self.pop_screen()

    async def action_quit(self) -> None:
        if len(self.screen_stack) > 2:
            self.pop_screen()
        else:
            self.exit()

    def action_leave(self) -> None:
        now = time.monotonic()
        if now - self._left_at < _QUIT_SECONDS:
            self.exit()
        else:
            self._left_at = now
            self.notify("once more to quit; runs go on without the UI", timeout=_QUIT_SECONDS)
