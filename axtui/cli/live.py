"""A run on a terminal: what was said and done scrolls by, what is going on stays below it."""

from __future__ import annotations

import argparse
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from axtui.cli.output import colored, printable
from axtui.cli.render import TextRenderer
from axtui.cli.story import describe
from axtui.cli.theme import load_styles
from axtui.cli.words import count, took
from axtui.client import Delta
from axtui.model.fold import status
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

_SHOWN_STEPS = 6
_KEPT_CHARS = 400
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
        self._streams: dict[str, str] = {}

    def event(self, event: pb.Event, state: st.State) -> None:
        """A message, or a step that ended."""
        if event.kind in ("step.completed", "step.failed"):
            ended = event.step_completed if event.kind == "step.completed" else event.step_failed
            self._streams.pop(ended.key, None)
        if event.kind not in _MARKS:
            super().event(event, state)
        elif self._verbose or event.kind == "step.failed":
            mark, style = _MARKS[event.kind]
            words = printable(f"{event.actor}: {describe(event).partition(' ')[2]}")
            self._console.print(
                Text.assemble((mark, self._styles[style]), (words, self._styles["quiet"]))
            )

    def delta(self, delta: Delta) -> None:
        """The last line of what a step has put out so far."""
        text = self._streams.get(delta.step, "") + delta.text
        self._streams[delta.step] = text[-_KEPT_CHARS:]

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
        now = time.time_ns() // 1000
        frame = _FRAMES[int(time.monotonic() * 8) % len(_FRAMES)]
        steps = sorted(state.open_steps.values(), key=lambda step: step.started_seq)
        leaves = [step for step in steps if step.type != "agent"]
        quiet = self._styles["quiet"]
        picture = Text(no_wrap=True, overflow="ellipsis")
        for step in leaves[:_SHOWN_STEPS]:
            picture.append(f"{frame} ", self._styles["activity"])
            picture.append(_step_line(step, now))
            stream = self._streams.get(step.key, "").rstrip("\n").rpartition("\n")[2]
            picture.append(f"  {printable(stream)}\n" if stream else "\n", quiet)
        if len(leaves) > _SHOWN_STEPS:
            picture.append(f"  and {len(leaves) - _SHOWN_STEPS} more\n", quiet)
        total = took(now - state.run.started_us)
        picture.append(f"{state.run.agent} {total}, {count(state.run.steps, 'step')}", quiet)
        return picture

    def pause(self) -> None:
        """Take what is going on off the screen."""
        # One that is started again would take what was printed meanwhile for its own.
        if self._live is not None:
            self._live.stop()
            self._live = None

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
    about = f" {step.preview}" if step.preview not in ("", "[]", "{}", "null") else ""
    time = took(now_us - step.started_us)
    return printable(f"{step.actor}: {step.name}{about}{again}{waits} {time}")
