"""A conversation as a chat: who said what, and a line to go on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache, cached_property

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult, RenderResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Markdown, Static

from axtui.model.fold import agents_at_work
from axtui.model.words import count, one_line, printable
from axtui.ui.chat import Chat, Said
from axtui.ui.log_view import LogView
from axtui.ui.rows import offset
from axtui.v1 import state_pb2 as st
from axtui.widgets.bindings import bindings

_SECONDS = 0.1
_STREAMED_CHARS = 1200
# Bubbles, as long as the latest is looked at: each is laid out with every other that comes.
_MOST = 800
# What a text without any Markdown in it is parsed to.
_PLAIN = {"paragraph_open", "paragraph_close", "code_block", "inline", "text", "hardbreak"}


class Bubble(Widget):
    """One message. It is plain text of about the right height until it comes into sight; then it
    is set, if it is Markdown."""

    DEFAULT_CSS = """
    Bubble {
        height: auto; padding: 0 1; margin: 0 0 1 0; border-left: outer $panel;
        & > Markdown { padding: 0; margin: 0; background: transparent; }
        & > Markdown > MarkdownBlock:last-child { margin-bottom: 0; }
        &.-person { border-left: outer $primary; }
        &.-thought { color: $ax-dim; text-style: italic; }
        &.-current { border-left: outer $accent; background: $ax-cursor-blurred; }
    }
    """

    def __init__(self, said: Said, since_us: int) -> None:
        super().__init__()
        self.said = said
        self.set_class(said.is_person, "-person")
        self.set_class(said.thought, "-thought")
        self._head = f"{said.who}  {offset(since_us)}"
        self._unheard = False

    def render(self) -> RenderResult:
        """The text as it is."""
        if self._nodes:
            return ""
        thinking = "Thinking: " if self.said.thought else ""
        return Text.assemble(
            (self._head, "bold"),
            (self._mark(), "dim"),
            "\n",
            thinking,
            self.said.text,
            self._rest(),
        )

    @property
    def awake(self) -> bool:
        """Whether it is set."""
        return bool(self._nodes)

    @cached_property
    def is_markdown(self) -> bool:
        """Whether there is anything to be set. What isn't Markdown, such as what a program has put
        out, is shown as it is."""
        tokens = _parser().parse(self.said.text)
        parts = [part for token in tokens for part in (token, *(token.children or ()))]
        return not self.said.thought and any(part.type not in _PLAIN for part in parts)

    async def wake(self) -> None:
        """Set it; it stays as high as it is until that is done."""
        self.styles.height = self.outer_size.height
        head = Static(self._heading())
        # A link that a model has written is shown, not followed.
        text = Markdown(self.said.text + self._rest(), parser_factory=_parser, open_links=False)
        await self.mount(head, text)
        self.styles.height = "auto"

    async def sleep(self) -> None:
        """Be plain text again, of the same height."""
        if self.awake:
            self.styles.height = self.outer_size.height
            # To the end, though the chat may be left meanwhile, or the end of what goes would be
            # waited for by what has to end it.
            await asyncio.shield(self.remove_children()())

    def show_unheard(self, unheard: bool) -> None:
        """Say that whom it was said to hasn't heard it yet, or no more."""
        if unheard != self._unheard:
            self._unheard = unheard
            if self.awake:
                self.query_one(Static).update(self._heading())
            else:
                self.refresh()

    def _heading(self) -> Content:
        return Content.assemble((self._head, "bold"), (self._mark(), "dim"))

    def _mark(self) -> str:
        return "  not heard yet" if self._unheard else ""

    def _rest(self) -> str:
        return f"\n\n… and {count(self.said.more, 'character')} more" if self.said.more else ""


class Messages(VerticalScroll, can_focus=True):
    """The latest messages, and older ones once the first of them comes near. One is current."""

    BINDINGS = bindings("chat")

    class Moved(Message):
        """Another message is current."""

    class Opened(Message):
        """The current message is to be opened."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.state = st.State()
        self.can_be_told = False
        self._chat: Chat | None = None
        self._bubbles: list[Bubble] = []
        self._current: Bubble | None = None
        self._changed = asyncio.Event()

    def show(self, view: LogView) -> None:
        """Show a conversation from its latest message on."""
        self._chat = Chat(view, self._changed.set)
        self.anchor()
        self._keep_up()

    @property
    def seq(self) -> int:
        """The seq of the current message; 0 if there is none."""
        return self._current.said.seq if self._current else 0

    @property
    def problem(self) -> Exception | None:
        """Why no older ones can be shown."""
        return self._chat.problem if self._chat else None

    @property
    def follow(self) -> bool:
        """Whether the latest message is the current one."""
        return self._current is None or self._current is self._bubbles[-1]

    @work(exclusive=True, group="chat")
    async def _keep_up(self) -> None:
        assert self._chat is not None
        await self._chat.more()
        while True:
            if self._changed.is_set():
                self._changed.clear()
                await self._arrange()
            if self.display and self.size.height:
                await self._set_in_sight()
                if self._chat.left and self.scroll_y < self.size.height and not self.problem:
                    await self._chat.more()
                    continue
            await asyncio.sleep(_SECONDS)

    async def _arrange(self) -> None:
        """Have a bubble for each message."""
        assert self._chat is not None
        at_end = self.follow
        if at_end and self.is_vertical_scroll_end:
            self._chat.forget(_MOST)
        known = {bubble.said.seq: bubble for bubble in self._bubbles}
        wanted = {said.seq for said in self._chat.messages}
        gone = [bubble for seq, bubble in known.items() if seq not in wanted]
        if gone:
            await asyncio.shield(self.remove_children(gone)())
        first = next((b for b in self._bubbles if b.said.seq in wanted), None)
        fresh = [
            Bubble(said, said.time_us - self.state.created_us)
            for said in self._chat.messages
            if said.seq not in known
        ]
        older = [bubble for bubble in fresh if first and bubble.said.seq < first.said.seq]
        newer = fresh[len(older) :]
        height = self.virtual_size.height
        if older:
            await self.mount_all(older, before=first)
        if newer:
            await self.mount_all(newer)
        kept = [bubble for bubble in self._bubbles if bubble.said.seq in wanted]
        self._bubbles = [*older, *kept, *newer]
        for bubble in self._bubbles:
            bubble.show_unheard(self._chat.is_unheard(bubble.said))
        if self._bubbles and (at_end or self._current not in self._bubbles):
            self._choose(self._bubbles[-1])
        elif older:
            self.call_after_refresh(self._keep_place, height)

    def _keep_place(self, height: int) -> None:
        """What was in sight is further down by what has come before it."""
        more = self.virtual_size.height - height
        self.scroll_to(y=self.scroll_y + more, animate=False, immediate=True, force=True)

    async def _set_in_sight(self) -> None:
        """Set what is in sight, or nearly, as Markdown; nothing else is."""
        top, height = self.scroll_offset.y, self.size.height
        first = next((b for b in self._bubbles if b.virtual_region.bottom > top), None)
        place = first.virtual_region.y - top if first else 0
        changed = False
        for bubble in self._bubbles:
            region = bubble.virtual_region
            near = region.bottom > top - height and region.y < top + 2 * height
            if near and not bubble.awake and bubble.is_markdown:
                await bubble.wake()
                changed = True
            elif bubble.awake and not near:
                await bubble.sleep()
                changed = True
        if changed and first and not self.is_anchored:
            self.call_after_refresh(self._hold, first, place)

    def _hold(self, bubble: Bubble, place: int) -> None:
        """Have a bubble at the place where it was."""
        y = bubble.virtual_region.y - place
        if bubble.is_attached and y != self.scroll_offset.y:
            self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def on_resize(self, event: events.Resize) -> None:
        """Texts have other heights."""
        for bubble in self._bubbles:
            bubble.styles.height = "auto"

    def on_unmount(self) -> None:
        """Take no more."""
        if self._chat is not None:
            self._chat.close()

    def _choose(self, bubble: Bubble) -> None:
        if self._current is not None:
            self._current.remove_class("-current")
        self._current = bubble
        bubble.add_class("-current")
        self.post_message(self.Moved())

    def go_to_seq(self, seq: int) -> bool:
        """Make the last message up to an event current; whether it was found by now."""
        found = next((b for b in reversed(self._bubbles) if b.said.seq <= seq), None)
        if found is not None:
            self._choose(found)
            found.scroll_visible(animate=False)
        return found is not None

    # What keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """To write is greyed while nothing can be written."""
        return None if action == "write" and not self.can_be_told else True

    def action_write(self) -> None:
        self.screen.query_one("#say", Input).focus()

    def action_up(self) -> None:
        self._go(-1)

    def action_down(self) -> None:
        self._go(1)

    def action_page_up(self) -> None:
        self.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        self.scroll_page_down(animate=False)

    def action_first(self) -> None:
        if self._bubbles:
            self._choose(self._bubbles[0])
            self.scroll_home(animate=False)

    def action_last(self) -> None:
        if self._bubbles:
            self._choose(self._bubbles[-1])
            self.anchor()

    def action_open(self) -> None:
        self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        """The message under the mouse."""
        for bubble in self._bubbles:
            if bubble.region.contains(event.screen_x, event.screen_y):
                self._choose(bubble)

    def _go(self, step: int) -> None:
        """To the next message, or on in one that is longer than the screen."""
        if self._current is None:
            return
        top, height = self.scroll_offset.y, self.size.height
        region = self._current.virtual_region
        goes_on = region.bottom > top + height if step > 0 else region.y < top
        if goes_on and region.y < top + height and region.bottom > top:
            self.scroll_relative(y=2 * step, animate=False)
            return
        index = self._bubbles.index(self._current) + step
        if 0 <= index < len(self._bubbles):
            self._choose(self._bubbles[index])
            self._bubbles[index].scroll_visible(animate=False, top=step < 0)


class Transcript(Vertical):
    """The messages, what a model is just saying, and the line to write in."""

    DEFAULT_CSS = """
    Transcript {
        & > #streaming-said { height: auto; max-height: 8; color: $ax-dim; padding: 0 1; }
        & > #say { height: 1; border: none; padding: 0 1; background: $surface; }
    }
    """

    class Told(Message):
        """What an agent at work is to be told; without one, what the conversation goes on with."""

        def __init__(self, text: str, agent: str, line: Input) -> None:
            super().__init__()
            self.text, self.agent, self.line = text, agent, line

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._view: LogView | None = None
        self._agent = ""

    def compose(self) -> ComposeResult:
        """Messages, what is being said, the line."""
        yield Messages(id="messages")
        yield Static(id="streaming-said", markup=False)
        yield Input(id="say")

    def show(self, view: LogView) -> None:
        """Show a conversation."""
        self._view = view
        self.query_one(Messages).show(view)
        self.set_interval(_SECONDS, self._stream)

    def take_state(self, state: st.State, picked: str, why_not: Callable[[str], str]) -> None:
        """Whom something can be said to: the agent that is `picked` if it is at work, else the
        run's. `why_not` tells why whoever looks can't take an action."""
        messages, line = self.query_one(Messages), self.query_one("#say", Input)
        messages.state = state
        at_work = agents_at_work(state)
        self._agent = picked if picked in at_work else next(iter(at_work), "")
        reason = why_not("message" if at_work else "write")
        if not state.run.agent:
            reason = reason or "there is no agent to tell"
        whom = one_line(self._agent or state.run.agent)
        what = f"tell {whom}, which hears it at its next turn" if at_work else f"go on with {whom}"
        line.disabled = bool(reason)
        line.placeholder = reason or f"{what}; Enter sends, Esc leaves"
        if messages.can_be_told != (not reason):
            messages.can_be_told = not reason
            self.refresh_bindings()

    def write(self) -> None:
        """Give the line the focus."""
        self.query_one(Messages).action_write()

    def _stream(self) -> None:
        if self._view is None or not self.display:
            return
        texts = []
        for stream in self._view.streams.values():
            if text := stream.channels.get("text", "").strip():
                texts.append(f"{stream.actor}: {text[-_STREAMED_CHARS:]}")
        said = self.query_one("#streaming-said", Static)
        said.display = bool(texts)
        said.update(Text(printable("\n".join(texts)).expandtabs(4)))

    @on(Input.Submitted, "#say")
    def _say(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.post_message(self.Told(event.value, self._agent, event.input))
            event.input.clear()


@cache
def _parser() -> MarkdownIt:
    """Markdown whose lines end where they were ended, and whose underscores are parts of names."""
    parser = MarkdownIt("gfm-like")
    parser.core.ruler.push("as_written", _as_written)
    return parser


def _as_written(state: StateCore) -> None:
    for token in state.tokens:
        for part in token.children or ():
            if part.type == "softbreak":
                part.type = "hardbreak"
            elif part.markup in ("_", "__"):
                part.type, part.content = "text", part.markup
