"""One conversation: its events, steps, messages or time as they come, the one under the cursor in
full, and who does what."""

from __future__ import annotations

import asyncio
from typing import TypeAlias, cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input

from axtui.client import LogError, Refused, RunOptions, Unreachable
from axtui.model.events import Record
from axtui.model.fold import is_open
from axtui.model.words import count, one_line, printable
from axtui.screens.acting import Acting
from axtui.screens.base import PlainScreen
from axtui.ui.inspecting import Line
from axtui.ui.log_view import LogView
from axtui.v1 import state_pb2 as st
from axtui.widgets.actors import ActorsPane
from axtui.widgets.bars import TopBar
from axtui.widgets.bindings import bindings
from axtui.widgets.inspector import Inspector
from axtui.widgets.lines import Lines
from axtui.widgets.preview import open_steps, state_lines, state_word, step_text
from axtui.widgets.row_list import RowList
from axtui.widgets.steps_list import StepsList
from axtui.widgets.timeline import Timeline
from axtui.widgets.transcript import Messages, Transcript
from axtui.widgets.waterfall import Waterfall

# How often the state is looked at while events come in, and what is said of it drawn.
_SECONDS = 0.25
# How often another process that drives the run is looked for, in such looks.
_JOINS = 8
_VIEWS = ("timeline", "steps", "chat", "waterfall")

Rows: TypeAlias = "Timeline | StepsList | Waterfall"


class RunScreen(Acting, PlainScreen):
    """Follows the run for as long as it is open. Its views but the first are made when they are
    first looked at."""

    BINDINGS = bindings("run")

    def __init__(self, conversation_id: str) -> None:
        super().__init__()
        self._conversation_id = conversation_id
        self.view: LogView | None = None
        self.state = st.State()
        self._view_name = _VIEWS[0]
        self._filter = ""
        self._jumped = self._inspected = 0
        self._joined = False
        self._told: set[str] = set()
        self._status = Lines(id="status")
        self._about = Lines(id="state", classes="pane")
        self._actors = ActorsPane(id="actors")
        self._timeline = Timeline(id="timeline")
        self._inspector = Inspector(id="inspector")
        self._output = Lines(id="streams", classes="pane")

    @property
    def conversation_id(self) -> str:
        """The conversation that it is about."""
        return self._conversation_id

    @property
    def fork_seq(self) -> int | None:
        """The event under the cursor, unless the newest is followed."""
        rows = self.rows
        return None if rows is None or rows.follow else rows.seq or None

    @property
    def rows(self) -> Rows | None:
        """The list that is shown; None in the chat."""
        return (
            None
            if self._view_name == "chat"
            else cast("Rows", self.query_one(f"#{self._view_name}"))
        )

    @property
    def shown(self) -> Rows | Messages | None:
        """What is shown of the conversation; None for a moment, before there is a chat."""
        return self.rows or next(iter(self.query(Messages)), None)

    def panes(self) -> ComposeResult:
        """What it is at, its events, and one of them."""
        yield self._status
        with Horizontal(id="body"):
            with Vertical(id="side"):
                yield self._about
                yield self._actors.add_class("pane")
            with Container(id="main", classes="pane"):
                yield self._timeline
            with Vertical(id="right"):
                yield self._inspector.add_class("pane")
                yield self._output
        yield Input(placeholder="kind:tool actor:coder step:3 or any words", id="search")

    def on_mount(self) -> None:
        """The timeline has the focus."""
        self.crumbs = f"› runs › {self.conversation_id[:8]}"
        super().on_mount()
        self._timeline.focus()
        self._about.border_title = "run"
        self._actors.border_title = "actors"
        self._inspector.border_title = "inspector"
        self._output.border_title = "output"
        self._titles()

    def opened(self) -> None:
        """Show the log, and keep it up."""
        self._inspector.client = self.desk.client
        self._open()

    @work(exclusive=True, group="open")
    async def _open(self) -> None:
        try:
            self._joined = bool(self.desk.server) or await self.desk.client.join(start=False)
            state = await self.desk.client.state(self.conversation_id)
        except (Refused, LogError, Unreachable) as error:
            self._failed(error)
            self._timeline.empty_text = "it can't be shown"
            return
        client = self.desk.client
        self.view = LogView(client, self.conversation_id, state.seq, self._arrived, self._failed)
        self._take_state(state)
        self._timeline.show(self.view)
        self._follow()
        self._keep_state()
        self.set_interval(_SECONDS, self._titles)

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        assert self.view is not None
        try:
            await self.view.follow()
        except (Refused, LogError, Unreachable) as error:
            self._failed(error)

    @work(exclusive=True, group="state")
    async def _keep_state(self) -> None:
        """Look at the state where it may be another; end where there is none any more."""
        assert self.view is not None
        looks = 0
        while True:
            await asyncio.sleep(_SECONDS)
            if not self.is_current:
                continue
            looks += 1
            try:
                if self.view.head > self.state.seq:
                    self._take_state(await self.desk.client.state(self.conversation_id))
                if not self._joined and looks % _JOINS == 0 and is_open(self.state):
                    self._join(await self.desk.client.join(start=False))
            except (Refused, LogError, Unreachable) as error:
                self._failed(error)
                return
            self._draw_state()

    def _join(self, joined: bool) -> None:
        """Follow by way of who drives the run, who also tells what steps put out."""
        if joined and not self._joined:
            self._joined = True
            self._follow()

    def _take_state(self, state: st.State) -> None:
        assert self.view is not None
        self.state = state
        self.view.streams.keep(state.open_steps)
        for rows in self.query(RowList):
            if isinstance(rows, Timeline | StepsList | Waterfall):
                rows.state = state
        for chat in self.query(Transcript):
            chat.take_state(state, True)
        title = f" {one_line(state.title)}" if state.title else ""
        for bar in self.query(TopBar):
            bar.crumbs = f"› runs › {self.conversation_id[:8]}{title}"
            bar.waiting = len(state.questions)
        self._draw_state()

    def _draw_state(self) -> None:
        assert self.view is not None
        state, streams = self.state, self.view.streams
        self._about.show(state_lines(state, True), stay=True)
        self._actors.show(state, streams)
        word, style = state_word(state, True)
        parts = [word, one_line(state.run.agent)]
        parts += [step_text(step) for step in open_steps(state)[:1]]
        if state.questions:
            parts.append(count(len(state.questions), "question"))
        self._status.show([Line("  ".join(parts), style)])
        if self._output.display:
            lines = []
            for key, stream in streams.items():
                lines.append(Line(f"{one_line(stream.actor)} {key}", "strong"))
                for text in stream.channels.values():
                    lines += [Line(line.expandtabs(4)) for line in printable(text).split("\n")]
            self._output.show(lines or [Line("nothing is being put out", "dim")], stay=True)
            self._output.scroll_end(animate=False)

    def _arrived(self, first: int, last: int) -> None:
        for rows in self.query(RowList):
            if isinstance(rows, Timeline | StepsList | Waterfall):
                rows.arrived(first, last)
        if first <= self._wanted <= last:
            self._inspect()

    def _failed(self, error: Exception) -> None:
        """Tell what can't be read; the same words once."""
        if str(error) not in self._told:
            self._told.add(str(error))
            self.ui.tell(error)
        self._timeline.renew()

    def _titles(self) -> None:
        """Say what is shown, how much there is of it, and what isn't."""
        bar, main = self.query_one(TopBar), self.query_one("#main")
        room = main.size.width - 4
        named = [f"{number} {view}" for number, view in enumerate(_VIEWS, 1)]
        current = named[_VIEWS.index(self._view_name)]
        if sum(map(len, named)) + 3 * len(named) < room:
            styles = ["bold" if name == current else "dim" for name in named]
            parts = [(f"{name}   ", style) for name, style in zip(named, styles, strict=True)]
            title = Content.assemble(*parts)
        else:
            title = Content.styled(current, "bold")
        main.border_title = title
        if self.view is None:
            return
        bar.connection = self.desk.connection(0) if self.desk.server else "local"
        rows, shown = self.rows, self.shown
        if shown is None:
            return
        bar.mode = "LIVE" if shown.follow else "FOLLOW OFF"
        parts_below = [count(self.view.head, "event")]
        if self._filter:
            parts_below.insert(0, f"/{one_line(self._filter)}")
        if rows is not None:
            parts_below += _below(rows, bool(self._filter))
        main.border_subtitle = Content(" · ".join(parts_below))
        if shown.problem is not None:
            self._failed(shown.problem)
        if self._wanted != self._inspected:
            self._inspect()

    # What is in the inspector

    @property
    def _wanted(self) -> int:
        """The seq of the event to be inspected."""
        if self._jumped:
            return self._jumped
        return self.shown.seq if self.shown else 0

    @on(RowList.Moved)
    @on(Messages.Moved)
    def _moved(self, event: RowList.Moved | Messages.Moved) -> None:
        if isinstance(event, RowList.Moved) and event.rows is not self.rows:
            return
        if isinstance(event, RowList.Moved) and event.rows.follow:
            # The newest is shown a few times a second, however fast it comes.
            return
        if not (self._jumped and self._is_beside(self._jumped)):
            self._jumped = 0
        self._inspect()

    def _is_beside(self, seq: int) -> bool:
        """Whether the cursor is where a jump to an event has put it."""
        rows = self.rows
        if rows is None or isinstance(rows, Timeline):
            return rows is not None and rows.seq == seq
        pair = rows.pair
        return pair is not None and pair.seq <= seq <= max(pair.end, pair.seq)

    def _inspect(self) -> None:
        if self.view is not None and self._wanted:
            record = self.view.record(self._wanted, single=self._view_name != "timeline")
            if record is not None:
                self._show(record)

    def _show(self, record: Record) -> None:
        self._inspected = record.seq
        self._inspector.inspect(record)
        self._inspector.border_subtitle = f"#{record.seq}"

    @on(Inspector.Jumped)
    def _jump(self, event: Inspector.Jumped) -> None:
        self.go_to_seq(event.seq)

    def go_to_seq(self, seq: int) -> None:
        """Show an event, in the view that is shown if it is in there."""
        if self.view is None or not 1 <= seq <= self.view.head:
            self.notify(f"there is no event {seq}", severity="warning")
            return
        self._jumped = seq
        rows = self.rows
        if rows is None or (not isinstance(rows, Timeline) and not rows.go_to_seq(seq)):
            self._look_at("timeline")
        if self._view_name == "timeline":
            self._timeline.go_to_seq(seq)
            if self._timeline.seq != seq:
                # The filter doesn't let it through.
                self.set_filter("")
                self._timeline.go_to_seq(seq)
                self._jumped = seq
        self._inspect()

    @on(RowList.Opened)
    @on(Messages.Opened)
    def _opened(self, event: RowList.Opened | Messages.Opened) -> None:
        if isinstance(event, Messages.Opened) or event.rows is self.rows:
            self.action_inspect()

    async def on_unmount(self) -> None:
        """Fetch no more."""
        if self.view is not None:
            await self.view.close()

    # Views

    def _look_at(self, name: str) -> None:
        main = self.query_one("#main")
        if not main.query(f"#{name}"):
            makers = {"steps": StepsList, "waterfall": Waterfall, "chat": Transcript}
            made = makers[name](id=name)
            main.mount(made)
            made.call_after_refresh(self._begin, made)
        self._view_name = name
        for child in main.children:
            child.display = child.id == name
        self._inspecting(False)
        self._jumped = 0
        self._focus_main()
        self._titles()

    def _begin(self, made: StepsList | Waterfall | Transcript) -> None:
        if self.view is None:
            return
        if isinstance(made, Transcript):
            made.take_state(self.state, True)
        else:
            made.state = self.state
            made.set_filter(self._filter)
        made.show(self.view)
        self._focus_main()

    def _focus_main(self) -> None:
        for shown in self.query(f"#{self._view_name}"):
            chat = shown.query(Messages)
            (chat.first() if chat else shown).focus()

    def _inspecting(self, wanted: bool) -> None:
        self.set_class(wanted, "-inspecting")

    def set_filter(self, text: str) -> None:
        """Show only what a filter lets through."""
        self._filter = text.strip()
        self._jumped = 0
        for rows in self.query(RowList):
            if isinstance(rows, Timeline | StepsList | Waterfall):
                rows.set_filter(self._filter)
        picked = [word[6:] for word in self._filter.split() if word.startswith("actor:")]
        self._actors.picked = picked[0] if len(picked) == 1 else ""
        self._actors.renew()
        self.query_one("#search", Input).value = self._filter
        self.query_one("#search").set_class(bool(self._filter), "-open")
        self._titles()

    @on(ActorsPane.Picked)
    def _pick(self, event: ActorsPane.Picked) -> None:
        """Show only what an actor did, or all again."""
        words = [word for word in self._filter.split() if not word.startswith("actor:")]
        if self._actors.picked != event.actor:
            words.insert(0, f"actor:{event.actor}")
        if self._view_name == "chat":
            self._look_at("timeline")
        self.set_filter(" ".join(words))

    @on(Transcript.Told)
    def _go_on(self, event: Transcript.Told) -> None:
        self._start(event.text)

    @work
    async def _start(self, text: str) -> None:
        agent = self.state.run.agent
        started = await self._do(
            "start", self.conversation_id, text, agent, RunOptions(), done="the run goes on"
        )
        if started is None:
            self.query_one("#say", Input).value = text

    def refresh_soon(self) -> None:
        """Whoever was asked to do something drives the run from now on."""
        self._join(True)

    # What keys do

    def action_view(self) -> None:
        self._look_at(_VIEWS[(_VIEWS.index(self._view_name) + 1) % len(_VIEWS)])

    def action_timeline(self) -> None:
        self._look_at("timeline")

    def action_steps(self) -> None:
        self._look_at("steps")

    def action_chat(self) -> None:
        self._look_at("chat")

    def action_waterfall(self) -> None:
        self._look_at("waterfall")

    def action_follow(self) -> None:
        rows = self.rows
        if rows is not None:
            rows.follow = not rows.follow
        elif (messages := self.shown) is not None:
            messages.action_last()

    def action_inspect(self) -> None:
        if self._inspector.has_focus:
            self._inspecting(False)
            self._focus_main()
        else:
            self._inspecting(True)
            self._inspector.focus()

    async def action_leave(self) -> None:
        focused = self.focused
        if self.has_class("-inspecting") or isinstance(focused, Inspector | Input):
            self._inspecting(False)
            self._focus_main()
        elif self._filter:
            self.set_filter("")
        else:
            await self.ui.action_back()

    def action_filter(self) -> None:
        if self._view_name == "chat":
            self._look_at("timeline")
        search = self.query_one("#search", Input)
        search.add_class("-open")
        search.focus()

    @on(Input.Submitted, "#search")
    def _filtered(self, event: Input.Submitted) -> None:
        self.set_filter(event.value)
        self._focus_main()


def _below(rows: Rows, filtered: bool) -> list[str]:
    """How much isn't shown, and what there is to see of it."""
    parts = []
    if isinstance(rows, Waterfall):
        parts.append(rows.scale())
    if filtered:
        parts.append(f"{rows.count:,} fit")
    if rows.left_to_scan and (filtered or not isinstance(rows, Timeline)):
        parts.append(f"{rows.left_to_scan:,} older not looked at")
    new = rows.count - 1 - rows.cursor
    if not rows.follow and new > 0:
        parts.append(f"+{new:,} below, F follows")
    return parts
