"""Screens that don't last: keys come in faster than screens come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.messages import Prune
from textual.worker import Worker

if TYPE_CHECKING:
    from textual.screen import Screen

    _Base = Screen[Any]
else:
    _Base = object

# What dialogs call it, Textual's among them.
_LEAVING = ("cancel", "escape")


class Fleeting(_Base):
    """For a screen that may be gone before it has begun, or that a second key, or work that was
    begun in it, may find gone when it ends it."""

    @property
    def is_gone(self) -> bool:
        """Whether it was left, or the UI was: then its widgets go."""
        # Not `self.app`, which is whichever is being talked to where there are two.
        app = self.parent
        return not isinstance(app, App) or app._exit or self not in app.screen_stack

    @property
    def has_widgets(self) -> bool:
        """Whether all are there."""
        return self.is_mounted and not self.is_gone

    async def on_event(self, event: events.Event) -> None:
        """Begin nothing where there is nothing to be seen any more; and with the styles that all
        has when it is there for the first time, which Textual would work out once more."""
        if isinstance(event, events.ScreenResume) and not self.stack_updates:
            event.refresh_styles = False
        if not (self.is_gone and isinstance(event, events.Mount)):
            await super().on_event(event)

    def run_worker(self, *args: Any, **options: Any) -> Worker[Any]:
        """Begin some work; it is canceled at once where there is nothing to be seen any more."""
        worker = super().run_worker(*args, **options)
        if self.is_gone:
            worker.cancel()
        return worker

    async def on_prune(self, event: Prune) -> None:
        """End what was begun here before there are no widgets for it any more."""
        for worker in self.workers:
            if self in worker.node.ancestors_with_self:
                worker.cancel()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where there are no widgets, all that can be done is to leave."""
        return True if self.has_widgets or action in _LEAVING else None

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """End this screen or, if it has ended, nothing; not the one that was below it."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
