"""Calling a person who looks elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from axtui.model.words import count, one_line

if TYPE_CHECKING:
    from axtui.app import AxtuiApp
    from axtui.ui.questions import Asked

_SHOWN_CHARS = 100
_BELL = "\a"
_KEEP_TITLE, _OLD_TITLE = "\x1b[22;2t", "\x1b[23;2t"


class Attention:
    """Bell, title and notification for questions that arise while the terminal hasn't the focus,
    each once. What is open when the UI begins has arisen before."""

    def __init__(self, app: AxtuiApp) -> None:
        self._app = app
        self._known: set[tuple[str, str]] | None = None
        self._titled = False

    def tell(self, questions: tuple[Asked, ...]) -> None:
        """Call for those of the open questions that are new."""
        known = self._known
        self._known = {asked.key for asked in questions}
        if not questions:
            self.release()
        fresh = [asked for asked in questions if known is not None and asked.key not in known]
        if not fresh or self._app.app_focus:
            return
        self._app.bell()
        text = one_line(fresh[0].question.question) if len(fresh) == 1 else ""
        self._notify(text[:_SHOWN_CHARS] or count(len(fresh), "question"))
        self._write("" if self._titled else _KEEP_TITLE)
        self._titled = True
        self._write(f"\x1b]2;axtui: {len(questions)} waiting{_BELL}")

    def release(self) -> None:
        """Give the terminal its title back."""
        if self._titled:
            self._titled = False
            self._write(_OLD_TITLE)

    def _notify(self, text: str) -> None:
        # A terminal that knows both would show it twice.
        rxvt = os.environ.get("TERM", "").startswith(("rxvt", "foot"))
        if rxvt or "VTE_VERSION" in os.environ:
            self._write(f"\x1b]777;notify;axtui;{text}{_BELL}")
        else:
            self._write(f"\x1b]9;axtui: {text}{_BELL}")

    def _write(self, sequence: str) -> None:
        # Textual has no other way to say what isn't drawn.
        if self._app._driver is not None and not self._app.is_headless:
            self._app._driver.write(sequence)
