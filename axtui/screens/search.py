"""What is found of some words in all conversations."""

from __future__ import annotations

import asyncio

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input

from axtui.client import LogError, Refused, Unreachable
from axtui.model.search import MAX_FOUND, Hit
from axtui.model.words import count, one_line
from axtui.screens.base import PlainScreen
from axtui.widgets.bars import TopBar
from axtui.widgets.bindings import bindings
from axtui.widgets.hit_list import HitList
from axtui.widgets.row_list import RowList

# Whoever types goes on within that.
_PAUSE_SECONDS = 0.2
_PAGE = 100
_HOW = "type what was said, done, asked or noted in any run"
_NOTHING = "nothing was found; try fewer words, or begin*"


class WordsLine(Input):
    """Where the words are typed."""

    BINDINGS = bindings("words")

    async def action_results(self) -> None:
        await self.action_submit()


class SearchScreen(PlainScreen):
    """Looks for what is typed as soon as typing pauses. There are more of the newest events the
    further down one goes."""

    BINDINGS = bindings("search")
    crumbs = "› search"

    def __init__(self, words: str = "") -> None:
        super().__init__()
        placeholder = 'words, "phrases" and beginnings*'
        self._words = WordsLine(placeholder=placeholder, id="words", classes="pane")
        self._hits = HitList(id="hits", classes="pane")
        self._first_words = words
        self._limit = _PAGE
        # What the rows were found by.
        self._found_by = ""

    @property
    def address(self) -> str:
        """How the command line calls it."""
        return "search"

    def panes(self) -> ComposeResult:
        """The words, and where they are."""
        yield self._words
        yield self._hits

    def on_mount(self) -> None:
        """The words have the focus."""
        self._words.border_title = "search"
        self._show([], _HOW)
        self._words.focus()
        self.look_for(self._first_words)

    def opened(self) -> None:
        """Look for what was typed by now."""
        here = self.desk.connection(0) if self.desk.server else "local"
        self.query_one(TopBar).connection = here
        self._look(go=True)

    def look_for(self, words: str) -> None:
        """Look for other words, and go to what is found."""
        with self.prevent(Input.Changed):
            self._words.value = words
        self._limit = _PAGE
        self._look(go=True)

    @on(Input.Changed)
    def _typed(self) -> None:
        self._limit = _PAGE
        self._look(pause=_PAUSE_SECONDS)

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._look(go=True)

    @work(exclusive=True, group="look")
    async def _look(self, *, pause: float = 0.0, go: bool = False) -> None:
        """Show what there is; `go` there if there is any."""
        await asyncio.sleep(pause)
        words = self._words.value.strip()
        hits: list[Hit] = []
        why = _HOW
        if words and hasattr(self.desk, "client"):
            try:
                hits = await self.desk.client.search(words, limit=self._limit, tell=self._tell)
                why = _NOTHING
            except (Refused, LogError, Unreachable) as error:
                why = one_line(str(error))
        self._show(hits, why)
        if words != self._found_by:
            self._found_by = words
            self._hits.go_to(0)
        if go and hits:
            self._hits.focus()

    def _show(self, hits: list[Hit], why: str) -> None:
        table, full = self._hits, len(hits) == self._limit
        table.empty_text = why
        table.show(hits)
        table.border_title = f"hits [{'the newest ' if full else ''}{len(hits):,}]"
        further = "the last row brings more" if len(hits) < MAX_FOUND else "more words find fewer"
        table.border_subtitle = further if full else ""

    def _tell(self, left: int) -> None:
        self._hits.border_subtitle = f"reading what is new, {count(left, 'event')} left"

    @on(RowList.Moved)
    def _moved(self) -> None:
        at_end = self._hits.cursor == self._hits.count - 1
        if at_end and self._hits.count == self._limit < MAX_FOUND:
            self._limit += _PAGE
            self._look()

    @on(RowList.Opened)
    def _open(self) -> None:
        hit = self._hits.hits[self._hits.cursor]
        self.ui.open_run(hit.conversation_id, hit.seq)

    # What keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One isn't sent to where one is."""
        at_words = action == "query" and self._words.has_focus
        return False if at_words else super().check_action(action, parameters)

    def action_query(self) -> None:
        self._words.focus()
