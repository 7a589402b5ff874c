"""The line at the top, which says where one is, and the line at the bottom, which says what one
can do there."""

from __future__ import annotations

from datetime import datetime

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.app import RenderResult
from textual.binding import ActiveBinding
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
        """The clock goes on by itself, and so does what is asked."""
        self.set_interval(1.0, self.refresh)
        self.watch(self.app, "questions", self._asked)

    def _asked(self, questions: tuple[object, ...]) -> None:
        self.waiting = len(questions)

    def render(self) -> RenderResult:
        """What fits, the crumbs cut short first."""
        width = self.content_size.width
        right = [mode] if (mode := "READ ONLY" if self.read_only else self.mode) else []
        if self.waiting:
            word = " waiting" if width >= 50 else ""
            right.append(f"{glyph('waiting')} {self.waiting}{word}")
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
        # Of several keys the first is shown, and what is `help` comes last.
        once: dict[str, ActiveBinding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.show:
                once.setdefault(active.binding.description, active)
        labels = sorted(once, key=lambda label: label == "help")
        keys = {label: self.app.get_key_display(once[label].binding) for label in labels}
        # Nothing comes after the last one.
        room = self.content_size.width + 2 - (_size(keys["help"], "help") if "help" in once else 0)
        text = Text(no_wrap=True)
        for label in labels:
            size = _size(keys[label], label)
            if label != "help" and size > room:
                continue
            room -= size
            click = Style(meta={"@click": f"app.simulate_key({once[label].binding.key!r})"})
            enabled = once[label].enabled
            text.append(keys[label], click + Style(bold=enabled, dim=not enabled))
            text.append(f" {label}", click + Style(dim=not enabled))
            text.append("  ")
        return text


def _size(key: str, label: str) -> int:
    return cell_len(key) + cell_len(label) + 3
