"""What agents have said, what has become of a run, and what to type next."""

from __future__ import annotations

import argparse

from axtui.cli.common import server_of
from axtui.cli.control import attach_command, next_command, quoted, resume_command
from axtui.model.describe import about
from axtui.model.events import text_of
from axtui.model.fold import status
from axtui.model.words import took
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st


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
        elif part.HasField("text"):
            lines.append(who + text_of(part.text).removesuffix("\n"))
    return lines


def ending(args: argparse.Namespace, state: st.State, driven: bool = False) -> list[str]:
    """What to say of a run that one stops following, and what to type next; `driven` is one that
    goes on elsewhere.
    """
    run = state.run
    known = state.conversation_id
    command = attach_command(args, known) if driven else resume_command(args, known)
    match status(state):
        case "completed" | "idle":
            return []
        case "failed":
            return [f"axtui: the run failed: {run.error.message}"]
        case "canceled":
            return [f"axtui: the run was canceled{f': {run.reason}' if run.reason else ''}"]
        case "waiting":
            then = "  it can be answered in a terminal that follows it" if _is_ax(args) else "then"
            return [*_waiting(args, state), then, f"  {command}"]
        case "paused":
            why = f": {run.reason}" if run.cause == "unreachable" else ""
            first, command = (
                f"axtui: the run is paused{why}; it goes on with",
                resume_command(args, known),
            )
        case _ if driven:
            first = "axtui: the run goes on; to follow it"
        case _:
            first = "axtui: the run hasn't ended; it goes on with"
    return [first, f"  {command}"]


def _waiting(args: argparse.Namespace, state: st.State) -> list[str]:
    lines = []
    for question in sorted(state.questions.values(), key=lambda asked: asked.seq):
        lines.append(f"axtui: the run waits: {question.question}")
        lines += [f"  {line.text}" for line in about(question)]
        if not _is_ax(args):
            lines += [f"  {line}" for line in answers(args, state.conversation_id, question)]
    return lines


def _is_ax(args: argparse.Namespace) -> bool:
    """Whether the run is at a server of Google AX, where only who follows one can answer it."""
    return server_of(args).startswith("ax://")


def answers(args: argparse.Namespace, conversation_id: str, question: st.Question) -> list[str]:
    """What can be typed to answer a question."""
    if list(question.choices) == ["approve", "deny"]:
        options = ["", " --deny"]
    elif question.choices:
        options = [f" --choice {quoted(choice)}" for choice in question.choices]
    else:
        options = [" --text TEXT"]
    command = f"approve {quoted(conversation_id)} {question.id}"
    return [next_command(args, command + option) for option in options]


def summary(state: st.State) -> str:
    """The state of the last run, and for how long it has been."""
    run, now = state.run, status(state)
    if state.deleted_us:
        return f"{now}, deleted"
    if now in ("completed", "failed"):
        return f"{now} after {took(run.active_us)}"
    why = ": ".join(filter(None, (run.cause, run.reason)))
    return f"{now} ({why})" if why and now in ("paused", "canceled") else now
