"""One question in full, and when it can be answered."""

from __future__ import annotations

import time
from time import monotonic
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from axtui.model.words import ago, count, one_line
from axtui.ui.card import can_last, lines_of, numbered, risk, scope, takes_words, too_long
from axtui.ui.line import Line
from axtui.v1 import state_pb2 as st
from axtui.widgets.bindings import bindings
from axtui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from axtui.ui.questions import Asked

# What was typed before a person can have read anything is no answer.
ARMING_SECONDS = 0.4
_TICK_SECONDS = 0.1


class About(Lines):
    """Scrolls through the question. Enter and Space, which people hit without thinking, do not."""

    BINDINGS = bindings("card")

    def action_nothing(self) -> None:
        pass


class Words(Input):
    """Where an answer is typed."""

    BINDINGS = bindings("dialog")

    class Left(Message):
        """Nothing is to be answered in words after all."""

    def action_cancel(self) -> None:
        self.post_message(self.Left())

    async def action_confirm(self) -> None:
        await self.action_submit()


class QuestionCard(Vertical):
    """Takes no answer for a moment after it shows another question, after the terminal has the
    focus again, and after nothing was drawn for a while: nobody can have read it by then. `whole`
    is the question with what is kept apart, once it is `complete`."""

    DEFAULT_CSS = """
    QuestionCard {
        & > About { height: 1fr; padding: 0 1; }
        & > #answers { height: auto; min-height: 2; max-height: 4; padding: 0 1; color: $ax-dim; }
        & > Words { height: 1; border: none; padding: 0 1; background: $surface; display: none; }
        & > Words.-open { display: block; }
    }
    """

    def __init__(self, *, id: str, blob: Callable[[bytes], Awaitable[bytes | None]]) -> None:
        super().__init__(id=id, classes="pane")
        self.asked: Asked | None = None
        self.complete = False
        self._blob = blob
        self.whole = st.Question()
        self._armed_at = self._ticked_at = monotonic()
        self._held = False
        self._said = ("", "")
        self._words_for: Asked | None = None

    def compose(self) -> ComposeResult:
        """The question, what can be done, and where to type."""
        yield About()
        yield Static("", id="answers", markup=False)
        yield Words(id="words")

    def on_mount(self) -> None:
        """Begin to count."""
        self.set_interval(_TICK_SECONDS, self.tick)
        self.watch(self.app, "app_focus", self._focused, init=False)

    @property
    def armed(self) -> bool:
        """Whether a key may answer."""
        now = monotonic()
        stalled = now - self._ticked_at > ARMING_SECONDS
        return not self._held and not stalled and now >= self._armed_at

    def show(self, asked: Asked | None) -> None:
        """Show a question, or that there is none."""
        if asked is not None and self.asked is not None and asked.key == self.asked.key:
            self.asked = asked
            self._draw(stay=True)
            return
        self.asked = asked
        self._held = False
        if self.screen.focused not in (None, self.query_one(Words)):
            # Whoever is typing goes on to type, and letters would answer this one.
            self.close_words()
        if asked is None:
            self.whole, self.complete = st.Question(), False
        else:
            self.whole = st.Question()
            self.whole.CopyFrom(asked.question)
            kept_apart = any(d.HasField("blob") for d in (self.whole.detail, self.whole.diff))
            self.complete = not kept_apart
            if kept_apart and not too_long(self.whole):
                self._fetch(asked)
        self._draw()
        self.disarm()

    def disarm(self) -> None:
        """Take no answer for a moment."""
        self._armed_at = monotonic() + ARMING_SECONDS
        self.tick()

    def hold(self) -> None:
        """Take no answer until `release` or another question: one is on its way."""
        self._held = True

    def release(self) -> None:
        """Take answers again."""
        self._held = False
        self.disarm()

    def ask_words(self, placeholder: str) -> None:
        """Have an answer typed."""
        self._words_for = self.asked
        words = self.query_one(Words)
        words.placeholder = placeholder
        words.value = ""
        words.add_class("-open")
        self.screen.set_focus(words)

    @property
    def words_are_late(self) -> bool:
        """Whether what is being typed is for a question that isn't the one on the card."""
        meant, asked = self._words_for, self.asked
        typing = self.query_one(Words).has_class("-open")
        return typing and meant is not None and (asked is None or asked.key != meant.key)

    def close_words(self) -> None:
        """Have nothing typed any more."""
        words = self.query_one(Words)
        if words.has_class("-open"):
            words.remove_class("-open")
            words.value = ""
            self.query_one(About).focus()

    @work(exclusive=True)
    async def _fetch(self, asked: Asked) -> None:
        for data in (self.whole.detail, self.whole.diff):
            if data.HasField("blob"):
                text = await self._blob(data.blob.digest)
                if self.asked is None or self.asked.key != asked.key:
                    return
                if text is None:
                    return
                data.text = text.decode(errors="replace")
        self.complete = True
        self._draw()
        self.disarm()

    def _draw(self, *, stay: bool = False) -> None:
        about = self.query_one(About)
        if self.asked is None:
            about.show([Line("nothing is asked", "dim")])
        else:
            about.show(lines_of(self.asked, self.whole), stay=stay)
        self._entitle()
        self._say()

    def _focused(self, focus: bool) -> None:
        if focus:
            self.disarm()

    def tick(self) -> None:
        """Note that things are drawn, and say what has changed with the time."""
        now = monotonic()
        if now - self._ticked_at > ARMING_SECONDS:
            self._armed_at = max(self._armed_at, now + ARMING_SECONDS)
        self._ticked_at = now
        self._say()

    def _say(self) -> None:
        lines = ("", "")
        if self.words_are_late:
            lines = ("what is typed is for a question that isn't on the card any more", "")
        elif self.asked is not None:
            lines = (self._means(), self._status())
        # It is asked for often, and to draw costs more than to compare.
        if lines != self._said:
            self._said = lines
            self.query_one("#answers", Static).update("\n".join(lines))

    def _entitle(self) -> None:
        if self.asked is None:
            self.border_title, self.border_subtitle = "no question", ""
            return
        question = self.asked.question
        step = f" · step {question.key}" if question.key else ""
        name = self.asked.conversation_id[:8]
        self.border_title = Content(one_line(f"{name} · {question.actor} · {question.type}{step}"))
        characters = sum(len(line.text) for line in lines_of(self.asked, self.whole))
        self.border_subtitle = f"in full, {count(characters, 'character')}"

    def _means(self) -> str:
        assert self.asked is not None
        question = self.asked.question
        if can_last(question):
            return f"Y always: {scope(question)}"
        if choices := len(numbered(question)):
            return f"1–{choices} take one of the choices" if choices > 1 else "1 takes the choice"
        return "i opens a line to answer in" if takes_words(question) else ""

    def _status(self) -> str:
        assert self.asked is not None
        since = f"asked {ago(self.asked.question.time_us, time.time_ns() // 1000)} ago"
        if self._held:
            return f"{since} · answering …"
        if not self.armed:
            return f"{since} · armed in {ARMING_SECONDS} s"
        if not self.complete:
            unread = "it is too long" if too_long(self.whole) else "it isn't here yet"
            return f"{since} · not all of it can be read, so it can't be approved: {unread}"
        if why := risk(self.asked.question):
            typed = self.asked.conversation_id[:8]
            return f"{since} · {why}: an approval asks for {typed} to be typed"
        return since
