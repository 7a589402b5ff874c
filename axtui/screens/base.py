"""What every screen has: the bar above, the bar below, and the desk."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.screen import Screen

from axtui.widgets.bars import KeyBar, TopBar

if TYPE_CHECKING:
    from axtui.app import AxtuiApp
    from axtui.ui.desk import Desk


class PlainScreen(Screen[None]):
    """Composes its panes with `panes`; `opened` is called once the desk is open."""

    crumbs = ""

    @property
    def ui(self) -> AxtuiApp:
        """The application."""
        return cast("AxtuiApp", self.app)

    @property
    def desk(self) -> Desk:
        """The client, and what is known of it."""
        return self.ui.desk

    def compose(self) -> ComposeResult:
        """The bars around the panes."""
        yield TopBar()
        yield from self.panes()
        yield KeyBar()

    def panes(self) -> ComposeResult:
        """What is between the bars."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Begin, if the desk is open by now."""
        self.query_one(TopBar).crumbs = self.crumbs
        if hasattr(self.desk, "client"):
            self.opened()

    def opened(self) -> None:
        """The client is there."""
