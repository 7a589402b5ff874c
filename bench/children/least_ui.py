"""The least that Textual draws: one line of text. Nothing else is imported."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static


class Least(App[None]):
    """One line of text."""

    def compose(self) -> ComposeResult:
        """The line."""
        yield Static("axtui")


if __name__ == "__main__":
    Least().run()
