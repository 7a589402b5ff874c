"""The UI for who has it read out: lines in their order, and a prompt. Nothing is drawn."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from axtui.cli.interrupt import Interrupt
from axtui.cli.list_command import state_text
from axtui.cli.output import print_text
from axtui.cli.render import TextRenderer
from axtui.cli.session import Session, follow
from axtui.client import LogError, Refused, RunOptions, Unreachable
from axtui.model.fold import is_open, status
from axtui.model.ids import new_id
from axtui.model.words import ago, count, one_line

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.summary import Listed

_SHOWN = 20
_PROMPT = "Number of a run to follow, n for a new run, r to read the list again, q to quit: "


async def run(client: Client, args: argparse.Namespace) -> int:
    """Read out the runs and do what is asked, until the person leaves or a signal comes."""
    renderer = TextRenderer(args)
    with Interrupt(args) as interrupt:
        listed = await _read_out(client)
        while (answer := await renderer.ask_line(_PROMPT, interrupt)) is not None:
            word = answer.strip().lower()
            try:
                if word in ("q", "quit"):
                    return 0
                if word in ("n", "new"):
                    await _start(client, args, renderer, interrupt)
                elif word.isascii() and word.isdigit() and 1 <= int(word) <= len(listed):
                    name = listed[int(word) - 1].summary.id
                    await _follow(Session(client, args, renderer, interrupt, name))
                elif word not in ("r", "read"):
                    print_text(f"There is no {word[:40]!r}.")
                    continue
            except (Refused, LogError, Unreachable) as error:
                print_text(f"Error: {error}")
                continue
            if interrupt.signal:
                break
            listed = await _read_out(client)
    return 128 + interrupt.signal if interrupt.signal else 0


async def _read_out(client: Client) -> list[Listed]:
    found = await client.conversations(limit=_SHOWN)
    holder, now = await client.holder(), time.time_ns() // 1000
    print_text(f"Runs: {len(found)}, the latest first." if found else "Runs: none.")
    for number, listed in enumerate(found, 1):
        summary = listed.summary
        about = one_line(summary.waiting_for or summary.title)
        parts = [
            f"State: {state_text(listed, holder)}",
            f"Agent: {one_line(summary.agent)}",
            count(listed.seq, "event"),
            f"changed {ago(listed.updated_us, now)} ago",
            *([f"About: {about}"] if about else []),
        ]
        print_text(f"{number}. {one_line(summary.id)}. {'. '.join(parts)}")
    return found


async def _start(
    client: Client, args: argparse.Namespace, renderer: TextRenderer, interrupt: Interrupt
) -> None:
    text = await renderer.ask_line("What is to be done: ", interrupt)
    if text is None:
        return
    # Somebody else drives it, so that it goes on when this ends.
    await client.join(start=True)
    name = new_id()
    await client.start(name, text, "", RunOptions())
    await _follow(Session(client, args, renderer, interrupt, name))


async def _follow(session: Session) -> None:
    client, name = session.client, session.conversation_id
    state = await client.state(name)
    if (
        is_open(state)
        and name not in (await client.holder()).driving
        and status(state) != "waiting"
    ):
        question = f"The run is {status(state)}, and nobody drives it. Resume it? y or n: "
        answer = await session.renderer.ask_line(question, session.interrupt)
        if answer is None or answer.strip().lower() not in ("y", "yes"):
            return
        await client.join(start=True)
        state = await client.resume(name, RunOptions())
    session.renderer.conversation(name)
    await follow(session, max(0, state.run.started_seq - 1))
