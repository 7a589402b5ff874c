"""What every screen has: the bar above, the bar below, and the desk."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Input

from axtui.screens.fleeting import Fleeting
from axtui.widgets.bars import KeyBar, TopBar

if TYPE_CHECKING:
    from axtui.app import AxtuiApp
    from axtui.ui.desk import Desk


_CONNECTION_SECONDS = 0.5


class PlainScreen(Fleeting, Screen[None], inherit_bindings=False):
    """Composes its panes with `panes`; `opened` is called once the desk is open. An input
    `#search`, if there is one, filters."""

    ALLOW_IN_MAXIMIZED_VIEW: ClassVar[str] = "TopBar, KeyBar, #search"
    ESCAPE_TO_MINIMIZE = False
    # Each gives something the focus.
    AUTO_FOCUS = ""
    # There is a pane or a bar everywhere, so what is behind them needn't be made.
    BLANK = True
    crumbs = ""
    _begun = False

    @property
    def address(self) -> str:
        """How the command line calls it."""
        return ""

    @property
    def ui(self) -> AxtuiApp:
        """The application."""
        return cast("AxtuiApp", self.app)

    @property
    def is_current(self) -> bool:
        """Whether it can be seen: nothing but dialogs are over it. Textual takes the screen below
        the top one for visible in any case, and draws all of the top one whenever it changes."""
        stack = self.app.screen_stack
        return self in stack and all(screen.is_modal for screen in stack[stack.index(self) + 1 :])

    @property
    def desk(self) -> Desk:
        """The client, and what is known of it."""
        return self.ui.desk

    def compose(self) -> ComposeResult:
        """The bars around the panes."""
        # Before anything has a style, or all of them would be worked out again a moment later.
        width = self.app.size.width
        _, fits = max(found for found in self.ui.HORIZONTAL_BREAKPOINTS if found[0] <= width)
        self.update_classes({fits: True}, update=False)
        yield TopBar()
        yield from self.panes()
        yield KeyBar()

    def panes(self) -> ComposeResult:
        """What is between the bars."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Begin, if the desk is open by now. Textual calls this by itself, after the `on_mount` of
        the screen's own class."""
        self.query_one(TopBar).crumbs = self.crumbs
        if hasattr(self.desk, "client"):
            self.begin()

    def begin(self) -> None:
        """The desk is open."""
        if self._begun:
            return
        self._begun = True
        self.query_one(TopBar).read_only = self.desk.may_only_look
        self.refresh_bindings()
        if self.desk.server:
            self._tell_connection()
            self.set_interval(_CONNECTION_SECONDS, self._tell_connection)
        self.opened()

    def _tell_connection(self) -> None:
        # By itself: whoever waits for a server that is away gets no answer to tell it by.
        self.query_one(TopBar).connection = self.desk.connection(0)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can't be done yet, one may not do, or the server has nothing for, is greyed."""
        can = self._begun and super().check_action(action, parameters)
        return True if can and not self.desk.why_not(action) else None

    def on_key(self, event: events.Key) -> None:
        """Say why a key does nothing."""
        active = self.active_bindings.get(event.key)
        if active is not None and (
            why := self.desk.why_not(active.binding.action.partition("(")[0])
        ):
            self.notify(why, severity="warning", markup=False)

    def opened(self) -> None:
        """The client is there."""

    def on_screen_resume(self) -> None:
        """Remember where one is."""
        self.ui.arrived(self.address)

    async def step_back(self) -> bool:
        """Undo what is only of the moment: the zoom, or a filter. False if there is nothing."""
        if self.maximized is not None:
            self.minimize()
            return True
        for search in self.query("#search").results(Input):
            if search.has_class("-open"):
                search.value = ""
                await search.action_submit()
                return True
        return False
