"""The line at the top, which says where one is, and the line at the bottom, which says what one
can do there."""

from __future__ import annotations

from datetime import datetime

from rich.cells import cell_len
from rich.text import Text
from textual.app import RenderResult
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from axtui.ui.glyphs import glyph


class TopBar(Widget):
    """Connection, where one is, the mode, and what waits for a person."""

    DEFAULT_CSS = """
    TopBar { dock: top; height: 1; background: $panel; color: $foreground; padding: 0 1; }
    TopBar.-replay, TopBar.-read-only { background: $warning-muted; }
    """

    connection = reactive("connecting …")
    crumbs = reactive("")
    mode = reactive("")
    waiting = reactive(0)
    read_only = reactive(False)

    def watch_read_only(self, read_only: bool) -> None:
        """Nobody is to wonder why nothing can be done."""
        self.set_class(read_only, "-read-only")

    def on_mount(self) -> None:
        """The clock goes on by itself."""
        self.set_interval(1.0, self.refresh)

    def render(self) -> RenderResult:
        """What fits, the crumbs cut short first."""
        width = self.content_size.width
        right = [mode] if (mode := "READ ONLY" if self.read_only else self.mode) else []
        if self.waiting:
            right.append(f"{glyph('waiting')} {self.waiting} waiting")
        if width >= 70:
            right.append(f"{datetime.now():%H:%M:%S}")
        end = "   ".join(right)
        parts = ("axtui", self.connection if width >= 60 else "", self.crumbs)
        start = "  ".join(filter(None, parts))
        room = max(0, width - cell_len(end) - 1)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(start)
        text.truncate(room, overflow="ellipsis", pad=True)
        text.append(" ")
        text.append(end, "bold")
        return text


class KeyBar(Widget):
    """The keys of the place that has the focus, from the bindings that there are."""

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; background: $panel; color: $foreground; padding: 0 1; }
    """

    def on_mount(self) -> None:
        """Whatever takes the focus has keys of its own."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Screen[object]) -> None:
        self.refresh()

    def render(self) -> RenderResult:
        """As many as there is room for, `?` last."""
        shown = [
            (self.app.get_key_display(active.binding), active.binding.description, active.enabled)
            for active in self.screen.active_bindings.values()
            if active.binding.show
        ]
        # Of several keys the first is shown.
        once: dict[str, tuple[str, bool]] = {}
        for key, label, enabled in shown:
            once.setdefault(label, (key, enabled))
        last = [("help", once.pop("help"))] if "help" in once else []
        room = self.content_size.width
        text = Text(no_wrap=True)
        reserved = sum(len(label) + len(key) + 3 for label, (key, _) in last)
        for label, (key, enabled) in [*once.items(), *last]:
            size = cell_len(key) + len(label) + 3
            if (label, (key, enabled)) not in last and size > room - reserved:
                continue
            text.append(key, "bold" if enabled else "dim")
            text.append(f" {label}  ", "" if enabled else "dim")
            room -= size
        return text
