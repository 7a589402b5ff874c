"""What the command palette finds: actions that can be done here, runs and themes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider

from axtui.model.words import one_line
from axtui.screens.fleeting import Fleeting
from axtui.ui.actions import BY_ID
from axtui.ui.keymaps import shown_all
from axtui.widgets.bindings import offered

if TYPE_CHECKING:
    from collections.abc import Callable

    from axtui.app import AxtuiApp

MAX_RUNS = 1000


class _Named(Provider):
    """Finds by words among what `found` was given when the palette opened."""

    @property
    def ui(self) -> AxtuiApp:
        """The application."""
        return cast("AxtuiApp", self.app)

    async def startup(self) -> None:
        """Take stock."""
        # Textual takes what is said below for markup, and its `escape` leaves some of that one.
        stock = await self.take_stock()
        self.found = [(text, help.replace("[", r"\["), do) for text, help, do in stock]

    async def take_stock(self) -> list[tuple[str, str, Callable[[], Any]]]:
        """What there is: its text, what is said below it, and what it does."""
        raise NotImplementedError

    async def search(self, query: str) -> Hits:
        """What fits, the best first."""
        matcher = self.matcher(query)
        for text, help, do in self.found:
            if (score := matcher.match(text)) > 0:
                yield Hit(score, matcher.highlight(text), do, text=text, help=help)


class Actions(_Named):
    """What can be done where the focus is."""

    async def take_stock(self) -> list[tuple[str, str, Callable[[], Any]]]:
        """By what the help says of them."""
        found: list[tuple[str, str, Callable[[], Any]]] = []
        for name, active in offered(self.screen).items():
            keys = shown_all(self.ui.keymap[name])
            do = partial(self.ui.do, active)
            found.append((BY_ID[name].help, f"{keys}   {name}", do))
        return found

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for text, help, do in self.found:
            yield DiscoveryHit(text, do, text=text, help=help)


class Runs(_Named):
    """The latest conversations."""

    async def take_stock(self) -> list[tuple[str, str, Callable[[], Any]]]:
        """By title and id."""
        return [
            (
                f"run {summary.id} {one_line(summary.title)}".rstrip(),
                f"{summary.state}   {summary.agent}",
                partial(self.ui.show_view, f"run {summary.id}"),
            )
            for summary in (listed.summary for listed in await self.ui.latest_runs(MAX_RUNS))
        ]


class Themes(_Named):
    """The themes that there are."""

    async def take_stock(self) -> list[tuple[str, str, Callable[[], Any]]]:
        """By name."""
        return [
            (f"theme {name}", "", partial(self.ui.choose_theme, name))
            for name in sorted(self.ui.available_themes)
        ]


class Palette(Fleeting, CommandPalette):
    """Textual's, but for how it ends."""


def palette() -> Palette:
    """The palette, over the screen that there is."""
    return Palette(providers=[Actions, Runs, Themes], placeholder="an action, a run, a theme")
