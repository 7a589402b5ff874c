"""How a run looks while it is followed: JSON lines, plain text, or a live terminal."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from axtui.cli.common import colored, print_json, print_text
from axtui.cli.theme import load_styles
from axtui.model.codec import event_to_json, load_json
from axtui.model.events import text_of
from axtui.model.fold import status
from axtui.runtime.journal import Delta
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.cli.interrupt import Interrupt

_SHOWN_STEPS = 6


class Renderer(Protocol):
    """What following a run tells."""

    wants_text: bool
    """Whether long texts are to be fetched before they are shown."""

    def conversation(self, name: str) -> None: ...
    def event(self, event: pb.Event, state: st.State) -> None: ...
    def delta(self, delta: Delta) -> None: ...
    def progress(self, state: st.State) -> None: ...
    def note(self, text: str) -> None: ...
    def pause(self) -> None: ...
    def end(self, state: st.State) -> None: ...
    async def ask(self, question: st.Question) -> tuple[str, str]: ...
    async def ask_line(self, prompt: str, interrupt: Interrupt) -> str | None: ...


def make_renderer(args: argparse.Namespace) -> Renderer:
    """The renderer for an output: live only on a terminal."""
    if args.output == "json":
        return JsonRenderer()
    if sys.stdout.isatty():
        return LiveRenderer(args)
    return TextRenderer(args.verbose)


class JsonRenderer:
    """One JSON object a line."""

    wants_text = False

    def conversation(self, name: str) -> None:
        """Every event names its conversation."""

    def event(self, event: pb.Event, state: st.State) -> None:
        """The event."""
        print_json(event_to_json(event))

    def delta(self, delta: Delta) -> None:
        """Provisional text."""
        print_json(
            {
                "conversation_id": delta.conversation_id,
                "exec_id": delta.exec_id,
                "actor": delta.actor,
                "kind": "delta",
                "data": {
                    "step": delta.step,
                    "attempt": delta.attempt,
                    "channel": "output",
                    "offset": delta.offset,
                    "text": delta.text,
                },
            }
        )

    def progress(self, state: st.State) -> None:
        """Events tell it all."""

    def note(self, text: str) -> None:
        """Nothing but JSON goes to standard output."""

    def pause(self) -> None:
        """Nothing is drawn that would have to go."""

    def end(self, state: st.State) -> None:
        """The result."""
        run = state.run
        result: dict[str, Any] = {
            "kind": "result",
            "conversation_id": state.conversation_id,
            "exec_id": run.exec_id,
            "state": status(state),
            "last_seq": state.seq,
            "output": load_json(run.output.text),
            # No model has been asked yet that could have used any.
            "usage": {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0},
        }
        if run.error.code:
            result["error"] = {"code": run.error.code, "message": run.error.message}
        print_json(result)

    async def ask(self, question: st.Question) -> tuple[str, str]:
        """Programs are never asked."""
        raise NotImplementedError

    async def ask_line(self, prompt: str, interrupt: Interrupt) -> str | None:
        """Programs are never asked."""
        return None


class TextRenderer:
    """Plain lines: what the agents say, and at the end where the log ends."""

    wants_text = True

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose

    def conversation(self, name: str) -> None:
        """The id, first of all."""
        print_text(f"Conversation: {name}")

    def event(self, event: pb.Event, state: st.State) -> None:
        """A message; with -v everything else too, on stderr."""
        if event.kind == "message":
            for line in said(event):
                self.line(line)
        elif self._verbose:
            sys.stderr.write(f"{event.seq} {event.kind} {describe(event)}\n")

    def line(self, text: str) -> None:
        """Something that an agent said."""
        print_text(text)

    def delta(self, delta: Delta) -> None:
        """Provisional; the message follows."""

    def progress(self, state: st.State) -> None:
        """Nothing moves in a pipe."""

    def note(self, text: str) -> None:
        """A word beside the output."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def pause(self) -> None:
        """Nothing is drawn that would have to go."""

    def end(self, state: st.State) -> None:
        """Where the log ends, and what to type next where the run isn't over."""
        for line in ending(state):
            self.note(line)
        print_text(f"seq={state.seq}")

    async def ask(self, question: st.Question) -> tuple[str, str]:
        """The answer of the person at the terminal, asked until it is one."""
        print_text(question.question)
        if question.detail.text not in ("", "null", "[]"):
            print_text(f"  {text_of(question.detail)}")
        choices = list(question.choices)
        while True:
            answer = await read_line(f"[{'/'.join(choices)}] " if choices else "> ")
            if answer is None:
                await asyncio.Event().wait()
                raise AssertionError
            if not choices:
                return "", answer
            matches = [choice for choice in choices if choice.startswith(answer.strip().lower())]
            if answer.strip() and len(matches) == 1:
                return matches[0], ""

    async def ask_line(self, prompt: str, interrupt: Interrupt) -> str | None:
        """A line of input; None at its end, and when a signal comes."""
        reading = asyncio.ensure_future(read_line(prompt))
        stop = asyncio.ensure_future(interrupt.wait())
        await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        return reading.result() if reading.done() else None


class LiveRenderer(TextRenderer):
    """A terminal: what was said and done scrolls by, what is going on stays below it."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args.verbose)
        from rich.console import Console
        from rich.live import Live

        plain = not colored(args)
        self._styles = load_styles()
        self._console = Console(no_color=plain, highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._asking = False
        self._streams: dict[str, str] = {}

    def line(self, text: str) -> None:
        """Something that an agent said, above what is going on."""
        self._console.print(text, markup=False)

    def event(self, event: pb.Event, state: st.State) -> None:
        """A message, or a step that ended."""
        if event.kind in ("step.completed", "step.failed"):
            ended = event.step_completed if event.kind == "step.completed" else event.step_failed
            self._streams.pop(ended.key, None)
        mark = {"step.completed": ("✓ ", "completed"), "step.failed": ("✗ ", "failed")}.get(
            event.kind
        )
        if mark is None:
            super().event(event, state)
        elif self._verbose or event.kind == "step.failed":
            from rich.text import Text

            line = Text.assemble(
                (mark[0], self._styles[mark[1]]), (describe(event), self._styles["quiet"])
            )
            self._console.print(line)

    def delta(self, delta: Delta) -> None:
        """The last line of what a step has put out so far."""
        text = self._streams.get(delta.step, "") + delta.text
        self._streams[delta.step] = text[-400:]

    def progress(self, state: st.State) -> None:
        """What is going on, and for how long."""
        if self._asking or status(state) not in ("pending", "running"):
            self.pause()
            return
        if not self._live.is_started:
            self._live.start()
        self._live.update(self._picture(state), refresh=True)

    def _picture(self, state: st.State) -> Any:
        from rich.text import Text

        now = time.time_ns() // 1000
        frame = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(time.monotonic() * 8) % 10]
        steps = sorted(state.open_steps.values(), key=lambda step: step.started_seq)
        leaves = [step for step in steps if step.type != "agent"]
        picture = Text(no_wrap=True, overflow="ellipsis")
        for step in leaves[:_SHOWN_STEPS]:
            seconds = max(0, now - step.started_us) // 1_000_000
            again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
            again += " waits to try again" if step.state == "retrying" else ""
            picture.append(f"{frame} ", self._styles["activity"])
            picture.append(f"{step.actor}: {step.name}{again} {seconds}s")
            stream = self._streams.get(step.key, "").rstrip("\n").rpartition("\n")[2]
            picture.append(f"  {stream}\n" if stream else "\n", self._styles["quiet"])
        if len(leaves) > _SHOWN_STEPS:
            picture.append(f"  and {len(leaves) - _SHOWN_STEPS} more\n", self._styles["quiet"])
        total = max(0, now - state.run.started_us) // 1_000_000
        picture.append(
            f"{state.run.agent} running {total}s, {state.run.steps} steps", self._styles["quiet"]
        )
        return picture

    def pause(self) -> None:
        """Take what is going on off the screen."""
        if self._live.is_started:
            self._live.stop()

    async def ask(self, question: st.Question) -> tuple[str, str]:
        """Ask with nothing moving below."""
        self._asking = True
        self.pause()
        try:
            return await super().ask(question)
        finally:
            self._asking = False


def said(event: pb.Event) -> list[str]:
    """What a message of an agent reads like; nothing of what isn't meant to be seen."""
    message = event.message
    if message.role == "user" or message.internal_only:
        return []
    who = f"{event.actor}: " if "/" in event.exec_id else ""
    lines = []
    for part in message.content:
        if part.HasField("thought"):
            lines.append(f"{who}Thinking: {text_of(part.thought)}")
        else:
            lines.append(who + text_of(part.text).removesuffix("\n"))
    return lines


def describe(event: pb.Event) -> str:
    """An event in a few words."""
    if event.kind == "step.started":
        step = event.step_started
        return f"{step.key} {event.actor}: {step.name} {text_of(step.arguments)[:100]}"
    if event.kind == "step.completed":
        return f"{event.step_completed.key} {text_of(event.step_completed.result)[:120]}"
    if event.kind == "step.failed":
        failed = event.step_failed
        then = {"retry": ", is tried again", "decide": ", nobody knows its effect"}
        return f"{failed.key} {failed.error.message}{then.get(failed.next, '')}"
    if event.kind == "approval.requested":
        return event.approval_requested.question
    if event.kind == "approval.answered":
        answer = event.approval_answered
        return f"{answer.id} {answer.choice or answer.text} ({answer.rule or event.principal})"
    return event.actor or event.principal


def ending(state: st.State) -> list[str]:
    """What to say of a run that one stops following, and what to type next."""
    name = state.conversation_id
    run = state.run
    now = status(state)
    resume = f"axtui exec --conversation {name} --resume"
    if now == "failed":
        return [f"axtui: the run failed: {run.error.message}"]
    if now == "canceled":
        return [f"axtui: the run was canceled{f': {run.reason}' if run.reason else ''}"]
    if now == "paused":
        return ["axtui: the run is paused; it goes on with", f"  {resume}"]
    lines = []
    if now == "waiting":
        for question in sorted(state.questions.values(), key=lambda asked: asked.seq):
            lines.append(f"axtui: {question.question}")
            lines += [f"  axtui approve {name} {question.id}{how}" for how in _answers(question)]
        lines += ["then", f"  {resume}"]
    return lines


def _answers(question: st.Question) -> list[str]:
    if list(question.choices) == ["approve", "deny"]:
        return ["", " --deny"]
    if question.choices:
        return [f" --choice {choice}" for choice in question.choices]
    return [" --text TEXT"]


async def read_line(prompt: str) -> str | None:
    """A line from standard input, None at its end. The thread that waits for it is left behind
    if nobody wants it any more."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def settle(text: str) -> None:
        if not line.done():
            line.set_result(text)

    def read() -> None:
        text = sys.stdin.readline()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, text)

    sys.stdout.write(prompt)
    sys.stdout.flush()
    threading.Thread(target=read, name="axtui-input", daemon=True).start()
    text = await line
    return text.rstrip("\n") if text else None
