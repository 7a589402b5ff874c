"""A run on a terminal: what was said and done scrolls by, what is going on stays below it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from axtui.cli.output import colored
from axtui.cli.render import TextRenderer
from axtui.cli.theme import load_styles
from axtui.client import Delta
from axtui.model.describe import Line, describe
from axtui.model.fold import status
from axtui.model.streams import Streams
from axtui.model.words import count, printable, took
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

_SHOWN_STEPS = 6
# Of what models are saying, by all of them together.
_SHOWN_LINES = 8
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MARKS = {"step.completed": ("✓ ", "completed"), "step.failed": ("✗ ", "failed")}


class LiveRenderer(TextRenderer):
    """Like the text, with what is going on below it for as long as it goes on."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self._styles = load_styles()
        self._console = Console(
            no_color=not colored(args.no_color), highlight=False, soft_wrap=True
        )
        self._live: Live | None = None
        self._asking = False
        self._streams = Streams()

    def event(self, event: pb.Event, state: st.State) -> None:
        """A message, or a step that ended."""
        if event.kind in ("step.completed", "step.failed"):
            ended = event.step_completed if event.kind == "step.completed" else event.step_failed
            self._streams.pop(ended.key, None)
        if event.kind not in _MARKS:
            super().event(event, state)
        elif self._args.verbose or event.kind == "step.failed":
            mark, style = _MARKS[event.kind]
            words = printable(f"{event.actor}: {describe(event).partition(' ')[2]}")
            self._console.print(
                Text.assemble((mark, self._styles[style]), (words, self._styles["quiet"]))
            )

    def delta(self, delta: Delta) -> None:
        """What a step puts out, until it has ended."""
        self._streams.take(delta)

    def progress(self, state: st.State) -> None:
        """What is going on, and for how long."""
        if self._asking or status(state) not in ("pending", "running"):
            self.pause()
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self._picture(state), refresh=True)

    def _picture(self, state: st.State) -> Text:
        self._streams.keep(state.open_steps)
        now = time.time_ns() // 1000
        frame = _FRAMES[int(time.monotonic() * 8) % len(_FRAMES)]
        steps = sorted(state.open_steps.values(), key=lambda step: step.started_seq)
        leaves = [step for step in steps if step.type != "agent"]
        quiet = self._styles["quiet"]
        picture = Text(no_wrap=True, overflow="ellipsis")
        shown = leaves[:_SHOWN_STEPS]
        saying = sum(step.type == "model" for step in shown)
        for step in shown:
            picture.append(f"{frame} ", self._styles["activity"])
            picture.append(_step_line(step, now))
            channels = self._streams[step.key].channels if step.key in self._streams else {}
            if step.type == "model":
                picture.append_text(self._saying(channels, _SHOWN_LINES // saying))
            else:
                last = channels.get("output", "").rstrip("\n").rpartition("\n")[2]
                picture.append(f"  {printable(last)}\n" if last else "\n", quiet)
        if len(leaves) > _SHOWN_STEPS:
            picture.append(f"  and {len(leaves) - _SHOWN_STEPS} more\n", quiet)
        total = took(now - state.run.started_us)
        picture.append(f"{state.run.agent} {total}, {count(state.run.steps, 'step')}", quiet)
        return picture

    def _saying(self, channels: Mapping[str, str], lines: int) -> Text:
        """The last lines of what a model says or, before that, thinks."""
        text, thought = channels.get("text", ""), channels.get("thought", "")
        said = Text("  Thinking\n" if thought and not text else "\n")
        words = Text(printable(text or thought).strip("\n"))
        if not words:
            return said
        for line in words.wrap(self._console, max(1, self._console.width - 2))[-lines:]:
            said.append("  ").append_text(line).append("\n")
        said.stylize("" if text else self._styles["quiet"])
        return said

    def pause(self) -> None:
        """Take what is going on off the screen."""
        # One that is started again would take what was printed meanwhile for its own.
        if self._live is not None:
            self._live.stop()
            self._live = None

    def details(self, lines: Sequence[Line]) -> None:
        """What is asked about, what would change in files in color."""
        if not sys.stderr.isatty():
            super().details(lines)
            return
        console = Console(
            stderr=True, no_color=self._console.no_color, highlight=False, soft_wrap=True
        )
        for line in lines:
            console.print(Text(f"  {printable(line.text)}", self._styles.get(line.style, "")))

    async def ask(self, question: st.Question) -> tuple[str, str] | None:
        """Ask with nothing moving below."""
        self._asking = True
        self.pause()
        try:
            return await super().ask(question)
        finally:
            self._asking = False


def _step_line(step: st.Step, now_us: int) -> str:
    again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
    waits = " waits to try again" if step.state == "retrying" else ""
    plain = step.type == "model" or step.preview in ("", "[]", "{}", "null")
    about = "" if plain else f" {step.preview}"
    time = took(now_us - step.started_us)
    return printable(f"{step.actor}: {step.name}{about}{again}{waits} {time}")
