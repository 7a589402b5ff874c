"""How a run looks while it is followed: JSON lines, plain text or, in `live`, a live terminal."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from axtui.cli.output import is_terminal, print_json, print_text, report, say
from axtui.cli.prompt import read_line
from axtui.cli.story import ending, said
from axtui.client import Delta, Warned
from axtui.model.codec import event_to_json, load_json
from axtui.model.describe import Line, about, describe
from axtui.model.fold import status
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.cli.interrupt import Interrupt


class Renderer(Protocol):
    """What following a run tells."""

    wants_text: bool
    """Whether long texts are to be fetched before they are shown."""

    def conversation(self, name: str) -> None: ...
    def event(self, event: pb.Event, state: st.State) -> None: ...
    def delta(self, delta: Delta) -> None: ...
    def progress(self, state: st.State) -> None: ...
    def note(self, text: str) -> None: ...
    def warning(self, warned: Warned) -> None: ...
    def pause(self) -> None: ...
    def end(self, state: st.State, output: str, driven: bool) -> None: ...
    async def ask(self, question: st.Question) -> tuple[str, str] | None: ...
    async def ask_line(self, prompt: str, interrupt: Interrupt) -> str | None: ...


def make_renderer(args: argparse.Namespace) -> Renderer:
    """The renderer for an output: live only on a terminal."""
    if args.output == "json":
        return JsonRenderer()
    if is_terminal():
        from axtui.cli.live import LiveRenderer

        return LiveRenderer(args)
    return TextRenderer(args)


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
        data = {
            "step": delta.step,
            "attempt": delta.attempt,
            "channel": delta.channel,
            "offset": delta.offset,
            "text": delta.text,
        }
        print_json(
            {
                "conversation_id": delta.conversation_id,
                "exec_id": delta.exec_id,
                "actor": delta.actor,
                "kind": "delta",
                "data": data,
            }
        )

    def progress(self, state: st.State) -> None:
        """Events tell it all."""

    def note(self, text: str) -> None:
        """Nothing but JSON is told."""

    def warning(self, warned: Warned) -> None:
        """On standard error, as errors are."""
        report(warned.code, warned.text, kind="warning", as_json=True)

    def pause(self) -> None:
        """Nothing is drawn that would have to go."""

    def end(self, state: st.State, output: str, driven: bool) -> None:
        """The result."""
        run = state.run
        result: dict[str, Any] = {
            "kind": "result",
            "conversation_id": state.conversation_id,
            "exec_id": run.exec_id,
            "state": status(state),
            "last_seq": state.seq,
            "output": load_json(output),
            "usage": {
                "input_tokens": run.usage.input_tokens,
                "output_tokens": run.usage.output_tokens,
                "cost_usd": None if run.usage.unpriced_calls else run.usage.cost_nusd / 1e9,
            },
        }
        if run.error.code:
            result["error"] = {"code": run.error.code, "message": run.error.message}
        print_json(result)

    async def ask(self, question: st.Question) -> tuple[str, str] | None:
        """Programs are never asked."""
        return None

    async def ask_line(self, prompt: str, interrupt: Interrupt) -> str | None:
        """Programs are never asked."""
        return None


class TextRenderer:
    """Lines of text: what the agents say, and at the end where the log ends."""

    wants_text = True

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args

    def conversation(self, name: str) -> None:
        """The id, first of all."""
        print_text(f"Conversation: {name}")

    def event(self, event: pb.Event, state: st.State) -> None:
        """A message; with -v everything else too, on standard error."""
        if event.kind == "message":
            for line in said(event):
                print_text(line)
        elif self._args.verbose:
            say(f"{event.seq} {event.kind} {describe(event)}")

    def delta(self, delta: Delta) -> None:
        """Provisional; the message follows."""

    def progress(self, state: st.State) -> None:
        """Nothing moves in a pipe."""

    def note(self, text: str) -> None:
        """A word beside the output."""
        say(text)

    def warning(self, warned: Warned) -> None:
        """What a person should know of."""
        report(warned.code, warned.text, kind="warning")

    def pause(self) -> None:
        """Nothing is drawn that would have to go."""

    def end(self, state: st.State, output: str, driven: bool) -> None:
        """Where the log ends, and what to type next where the run isn't over."""
        for line in ending(self._args, state, driven):
            self.note(line)
        print_text(f"seq={state.seq}")

    def details(self, lines: Sequence[Line]) -> None:
        """What is asked about."""
        for line in lines:
            say(f"  {line.text}")

    async def ask(self, question: st.Question) -> tuple[str, str] | None:
        """The answer of the person at the terminal, asked until it is one; None if he leaves."""
        say(question.question)
        self.details(about(question))
        choices = list(question.choices)
        while True:
            answer = await read_line(f"[{'/'.join(choices)}] " if choices else "> ")
            if answer is None:
                say("")
                return None
            if not choices:
                return "", answer
            given = answer.strip().lower()
            fits = [c for c in choices if c == given] or [
                c for c in choices if given and c.lower().startswith(given)
            ]
            if len(fits) == 1:
                return fits[0], ""
            say(f"  the answers are {', '.join(choices)}; Ctrl+D leaves the question open")

    async def ask_line(self, prompt: str, interrupt: Interrupt) -> str | None:
        """A line of input that isn't blank; None at the end, and when a signal comes."""
        while True:
            reading = asyncio.ensure_future(read_line(prompt))
            stop = asyncio.ensure_future(interrupt.wait())
            await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not reading.done():
                reading.cancel()
                return None
            line = reading.result()
            if line is None or line.strip():
                return line
