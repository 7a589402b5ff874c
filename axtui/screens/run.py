"""One conversation: its events, steps, messages or time as they come, the one under the cursor in
full, and who does what."""

from __future__ import annotations

import asyncio

from textual import on, work
from textual.app import ComposeResult
from textual.timer import Timer
from textual.widgets import Input

from axtui.client import LogError, Refused, RunOptions, Unreachable
from axtui.model.fold import is_open
from axtui.model.words import count, one_line, printable
from axtui.screens.acting import Acting
from axtui.screens.base import PlainScreen
from axtui.ui.desk import Desk
from axtui.ui.line import Line
from axtui.ui.log_view import LogView
from axtui.v1 import state_pb2 as st
from axtui.widgets.actors import ActorsPane
from axtui.widgets.bars import TopBar
from axtui.widgets.bindings import bindings
from axtui.widgets.inspector import Inspector
from axtui.widgets.lines import Lines
from axtui.widgets.panes import Below, Beside
from axtui.widgets.preview import open_steps, state_lines, state_word, step_text
from axtui.widgets.row_list import RowList
from axtui.widgets.transcript import Messages, Transcript
from axtui.widgets.views import VIEWS, Views

# How often the state is looked at while events come in, and what is said of it drawn.
_SECONDS = 0.25
# How often it is looked for who drives the run, in such looks.
_DRIVERS = 8
_REST_SECONDS = 0.15
# What can't be had now is asked for again after that: the server may be back, or less busy.
RETRY_SECONDS = 5.0


class RunScreen(Acting, PlainScreen):
    """Follows the run for as long as it is open, from its newest event on or else from `seq`."""

    BINDINGS = bindings("run")

    def __init__(self, conversation_id: str, seq: int = 0) -> None:
        super().__init__()
        self._conversation_id = conversation_id
        self._first_seq = seq
        self.view: LogView | None = None
        self.state = st.State()
        # The event that was jumped to, as long as the cursor is there, and the one that is shown.
        self._jumped = self.inspected = 0
        self._rest: Timer | None = None
        self._looks = 0
        self._joined = self._driven = False
        self._told: set[str] = set()
        self._status = Lines(id="status")
        self._about = Lines(id="state", classes="pane")
        self._actors = ActorsPane(id="actors")
        self._views = Views(id="main", classes="pane")
        self._inspector = Inspector(id="inspector")
        self._output = Lines(id="streams", classes="pane")
        self._search = Input(placeholder="kind:tool actor:coder step:3 or any words", id="search")

    @property
    def conversation_id(self) -> str:
        """The conversation that it is about."""
        return self._conversation_id

    @property
    def address(self) -> str:
        """How the command line calls it."""
        return f"run {self._conversation_id}"

    @property
    def fork_seq(self) -> int | None:
        """The event under the cursor, unless the newest is followed."""
        rows = self._views.rows
        return None if rows is None or rows.follow else rows.seq or None

    def panes(self) -> ComposeResult:
        """What it is at, its events, and one of them."""
        yield self._status
        with Beside(id="body"):
            with Below(id="side"):
                yield self._about
                yield self._actors
            yield self._views
            with Below(id="right"):
                yield self._inspector
                yield self._output
        yield self._search

    def on_mount(self) -> None:
        """The timeline has the focus."""
        self.crumbs = f"› runs › {self.conversation_id[:8]}"
        self._about.border_title = "run"
        self._actors.border_title = "actors"
        self._inspector.border_title = "inspector"
        self._output.border_title = "output"
        self._views.timeline.focus()
        self._titles()

    def opened(self) -> None:
        """Show the log, and keep it up."""
        self._inspector.client = self.desk.client
        self._views.why_not = self.desk.why_not
        if self.view is not None:
            self._show()
        else:
            self._open()

    async def load(self, desk: Desk) -> None:
        """Have the newest events; may be done before the screen is shown, which then needs to be
        drawn but once. Raises what reading a log does."""
        client = desk.client
        joined = bool(desk.server) or await client.join(start=False)
        # Before the state: a run that ends in between isn't one that was left.
        self._driven = await self._is_driven()
        state = await client.state(self.conversation_id)
        view = LogView(client, self.conversation_id, state.seq, self._arrived, self._failed)
        await view.load(min(self._first_seq or state.seq, state.seq))
        self._joined, self.state, self.view = joined, state, view

    @work(exclusive=True, group="open")
    async def _open(self) -> None:
        try:
            await self.load(self.desk)
        except (Refused, LogError, Unreachable) as error:
            self._failed(error)
            self._views.timeline.empty_text = "it can't be shown"
        else:
            self._show()

    def _show(self) -> None:
        assert self.view is not None
        self._take_state(self.state)
        self._views.show(self.view)
        if self._first_seq:
            self.go_to_seq(self._first_seq)
        self._titles()
        self._follow()
        self._keep_state()
        self.set_interval(_SECONDS, self._look)

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        assert self.view is not None
        while True:
            try:
                await self.view.follow()
                return
            except (Refused, LogError, Unreachable) as error:
                self._failed(error)
            await asyncio.sleep(RETRY_SECONDS)

    @work(exclusive=True, group="state")
    async def _keep_state(self) -> None:
        """Look at the state where it may be another."""
        assert self.view is not None
        looks = 0
        while True:
            await asyncio.sleep(_SECONDS)
            if not self.is_current:
                continue
            looks += 1
            late = looks % _DRIVERS == 0 and is_open(self.state)
            fresh = self.view.head > self.state.seq
            try:
                # Before the state: of a run that ends in between the state says so.
                if late or (fresh and not self._driven):
                    self._driven = await self._is_driven()
                if fresh:
                    self._take_state(await self.desk.client.state(self.conversation_id))
                if late and not self._joined:
                    self._join(await self.desk.client.join(start=False))
            except (Refused, LogError, Unreachable) as error:
                self._failed(error)
                await asyncio.sleep(RETRY_SECONDS)
            self._draw_state()

    async def _is_driven(self) -> bool:
        return self.conversation_id in (await self.desk.client.holder()).driving

    def _join(self, joined: bool) -> None:
        """Follow by way of who drives the run, who also tells what steps put out."""
        if joined and not self._joined and self.view is not None:
            self._joined = True
            self._follow()

    def refresh_soon(self) -> None:
        """Whoever was asked to do something drives the run from now on."""
        self._join(True)

    def _take_state(self, state: st.State) -> None:
        assert self.view is not None
        self.state = state
        self.view.streams.keep(state.open_steps)
        self._views.take_state(state)
        title = f" {one_line(state.title)}" if state.title else ""
        for bar in self.query(TopBar):
            bar.crumbs = f"› runs › {self.conversation_id[:8]}{title}"
        self._draw_state()

    def _draw_state(self) -> None:
        assert self.view is not None
        state, streams = self.state, self.view.streams
        self._about.show(state_lines(state, self._driven), stay=True)
        self._actors.show(state, streams)
        word, style = state_word(state, self._driven)
        parts = [word, one_line(state.run.agent)]
        parts += [step_text(step) for step in open_steps(state)[:1]]
        if state.questions:
            parts.append(count(len(state.questions), "question"))
        self._status.show([Line("  ".join(parts), style)])
        if self._output.display:
            lines = []
            for key, stream in streams.items():
                lines.append(Line(f"{one_line(stream.actor)} {one_line(key)}", "strong"))
                for text in stream.channels.values():
                    lines += [Line(line.expandtabs(4)) for line in printable(text).split("\n")]
            self._output.show(lines or [Line("nothing is being put out", "dim")], stay=True)
            self._output.scroll_end(animate=False)

    def _arrived(self, first: int, last: int) -> None:
        self._views.arrived(first, last)
        if first <= self._wanted <= last:
            self._inspect()

    def _failed(self, error: Exception) -> None:
        """Tell what can't be read; the same words once."""
        if str(error) not in self._told:
            self._told.add(str(error))
            self.ui.tell(error)
        self._views.renew()

    def _titles(self) -> None:
        """Say what is shown, how much there is of it, and what isn't."""
        self._views.entitle()
        shown = self._views.shown
        if self.view is None or shown is None:
            return
        for bar in self.query(TopBar):
            bar.connection = self.desk.connection(0) if self.desk.server else "local"
            bar.mode = "LIVE" if shown.follow else "FOLLOW OFF"
        if shown.problem is not None:
            self._failed(shown.problem)

    def _look(self) -> None:
        """Now this, now that: a frame that has all of it is a long one."""
        self._looks += 1
        if self._looks % 2:
            self._titles()
        elif self._wanted != self.inspected and self._rest is None:
            self._inspect()

    async def on_unmount(self) -> None:
        """Fetch no more."""
        if self.view is not None:
            await self.view.close()

    # What is in the inspector

    @property
    def _wanted(self) -> int:
        """The seq of the event to be inspected."""
        shown = self._views.shown
        return self._jumped or (shown.seq if shown else 0)

    @on(RowList.Moved)
    @on(Messages.Moved)
    def _moved(self, event: RowList.Moved | Messages.Moved) -> None:
        if isinstance(event, RowList.Moved) and event.rows is not self._views.rows:
            return
        if isinstance(event, RowList.Moved) and event.rows.follow:
            # The newest is shown a few times a second, however fast it comes.
            return
        if not self._views.is_at(self._jumped):
            self._jumped = 0
        self._inspect_soon()

    def _inspect_soon(self) -> None:
        """Show what the cursor is at; while it moves on and on, what it comes to rest at: to draw
        that costs as much as to scroll, and who is on the way doesn't read it."""
        if self._rest is None:
            self._inspect()
        else:
            self._rest.stop()
        self._rest = self.set_timer(_REST_SECONDS, self._inspect_late)

    def _inspect_late(self) -> None:
        self._rest = None
        if self._wanted != self.inspected:
            self._inspect()

    def _inspect(self) -> None:
        if self.view is not None and self._wanted:
            record = self.view.record(self._wanted, single=self._views.current != "timeline")
            if record is not None:
                self.inspected = record.seq
                self._inspector.inspect(record)
                self._inspector.border_subtitle = f"#{record.seq}"

    @on(Inspector.Jumped)
    def _jump(self, event: Inspector.Jumped) -> None:
        self.go_to_seq(event.seq)
        self._inspector.focus()

    def go_to_seq(self, seq: int) -> None:
        """Show an event, in the view that is shown if it is in there."""
        if self.view is None or not 1 <= seq <= self.view.head:
            self.notify(f"there is no event {seq}", severity="warning")
            return
        self._jumped = seq
        self._views.go_to_seq(seq)
        self._show_filter()
        self._inspect()

    @on(RowList.Opened)
    @on(Messages.Opened)
    def _opened(self, event: RowList.Opened | Messages.Opened) -> None:
        if isinstance(event, Messages.Opened) or event.rows is self._views.rows:
            self.action_inspect()

    # What is shown

    def _look_at(self, name: str) -> None:
        self._jumped = 0
        self.remove_class("-inspecting")
        self._views.look_at(name)
        self._titles()

    def set_filter(self, text: str) -> None:
        """Show only what a filter lets through."""
        self._jumped = 0
        if text and self._views.current == "chat":
            self._look_at("timeline")
        self._views.set_filter(text)
        self._show_filter()

    def _show_filter(self) -> None:
        text = self._views.filter_text
        picked = [word[6:] for word in text.split() if word.startswith("actor:")]
        self._actors.picked = picked[0] if len(picked) == 1 else ""
        self._actors.renew()
        self._views.pick(self._actors.picked)
        self._search.value = text
        self._search.set_class(bool(text), "-open")
        self._titles()

    @on(ActorsPane.Picked)
    def _pick(self, event: ActorsPane.Picked) -> None:
        """Show only what an actor did, or all again."""
        words = [word for word in self._views.filter_text.split() if word[:6] != "actor:"]
        if self._actors.picked != event.actor:
            words.insert(0, f"actor:{event.actor}")
        self.set_filter(" ".join(words))

    @on(Transcript.Told)
    @work
    async def _say(self, event: Transcript.Told) -> None:
        name, text = self.conversation_id, event.text
        if event.agent:
            said = await self._do("tell", name, text, event.agent, done=f"{event.agent} is told")
        else:
            done, agent = "the conversation goes on", self.state.run.agent
            said = await self._do("start", name, text, agent, RunOptions(), done=done)
        if said is None:
            event.line.value = text

    # What keys do

    def action_message(self) -> None:
        self._look_at("chat")
        self._views.write()

    def action_view(self) -> None:
        self._look_at(VIEWS[(VIEWS.index(self._views.current) + 1) % len(VIEWS)])

    def action_timeline(self) -> None:
        self._look_at("timeline")

    def action_steps(self) -> None:
        self._look_at("steps")

    def action_chat(self) -> None:
        self._look_at("chat")

    def action_waterfall(self) -> None:
        self._look_at("waterfall")

    def action_follow(self) -> None:
        shown = self._views.shown
        if isinstance(shown, Messages):
            shown.action_last()
        elif shown is not None:
            shown.follow = not shown.follow

    def action_inspect(self) -> None:
        if self._inspector.has_focus:
            self.remove_class("-inspecting")
            self._views.focus_shown()
        else:
            self.add_class("-inspecting")
            self._inspector.focus()

    async def step_back(self) -> bool:
        """Out of the inspector, the line, the filter; whether there was anything to get out of."""
        if await super().step_back():
            return True
        if self.has_class("-inspecting") or isinstance(self.focused, Inspector | Input):
            self.remove_class("-inspecting")
            self._show_filter()
            self._views.focus_shown()
        elif self._views.filter_text:
            self.set_filter("")
        else:
            return False
        return True

    def action_filter(self) -> None:
        self._search.add_class("-open")
        self.set_focus(self._search)

    @on(Input.Submitted, "#search")
    def _filtered(self, event: Input.Submitted) -> None:
        self.set_filter(event.value)
        self._views.focus_shown()
