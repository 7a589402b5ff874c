"""Events and questions in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from axtui.model.codec import dump_json, load_json
from axtui.model.commands import command_of
from axtui.model.events import text_of
from axtui.model.words import used
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

_DIFF = {"+": "added", "-": "removed", "@": "place"}
_NEXT = {"retry": ", is tried again", "decide": ", nobody knows its effect"}


def describe(event: pb.Event) -> str:
    """An event in a few words."""
    return _step(event) or _run(event) or _other(event) or event.actor or event.principal


def _step(event: pb.Event) -> str:
    match event.kind:
        case "step.started":
            started = event.step_started
            again = f" (attempt {started.attempt})" if started.attempt > 1 else ""
            arguments = text_of(started.arguments)[:100]
            return f"{started.key} {event.actor}: {started.name}{again} {arguments}"
        case "step.completed":
            completed = event.step_completed
            result = "skipped" if completed.skipped else text_of(completed.result)[:120]
            usage = f" ({used(completed.usage)})" if completed.HasField("usage") else ""
            return f"{completed.key} {result}{usage}"
        case "step.failed":
            failed = event.step_failed
            return f"{failed.key} {failed.error.message}{_NEXT.get(failed.next, '')}"
    return ""


def _run(event: pb.Event) -> str:
    match event.kind:
        case "run.started":
            return _with(event.run_started.agent, "", event.principal)
        case "run.paused":
            return _with(event.run_paused.cause, event.run_paused.reason, event.principal)
        case "run.resumed":
            return _with(event.run_resumed.cause, "", event.principal)
        case "run.completed":
            return text_of(event.run_completed.output)[:120]
        case "run.failed":
            return event.run_failed.error.message
        case "run.canceled":
            return _with("", event.run_canceled.reason, event.principal)
    return ""


def _other(event: pb.Event) -> str:
    match event.kind:
        case "approval.requested":
            return f"{event.approval_requested.id} {event.approval_requested.question}"
        case "approval.answered":
            answer = event.approval_answered
            edited = f"edited: {text_of(answer.edited)[:100]}" if answer.HasField("edited") else ""
            words = ": ".join(filter(None, (answer.choice, answer.text, edited)))
            return _with(f"{answer.id} {words}", "", answer.rule or event.principal)
        case "conversation.forked":
            forked = event.conversation_forked
            return _with(f"from {forked.source_id}:{forked.source_seq}", "", event.principal)
        case "conversation.deleted":
            return _with("", event.conversation_deleted.reason, event.principal)
        case "conversation.purged":
            return _with(event.conversation_purged.conversation_id, "", event.principal)
        case "token.created":
            token = event.token_created
            return _with(f"{token.name}, {token.role}", "", event.principal)
        case "token.revoked":
            return _with(event.token_revoked.name, "", event.principal)
        case "note":
            return event.note.text or event.note.patch
        case "actor.started":
            started = event.actor_started
            return f"{started.actor}, pid {started.pid}"
        case "actor.stopped":
            return f"{event.actor_stopped.actor}: {event.actor_stopped.reason}"
        case "actor.failed":
            return f"{event.actor_failed.actor}: {event.actor_failed.reason}"
    return ""


def _with(what: str, reason: str, who: str) -> str:
    told = ": ".join(filter(None, (what, reason)))
    return f"{told} ({who})" if told and who else told or who


class Line(NamedTuple):
    """A line of text, and what a theme calls what it is."""

    text: str
    style: str = ""


def about(question: st.Question) -> list[Line]:
    """All that is asked about, as far as the question itself doesn't say it."""
    lines = [Line(text) for text in _details(question)]
    lines += [Line(text, _DIFF.get(text[:1], "")) for text in text_of(question.diff).splitlines()]
    if question.detail.HasField("blob") or question.diff.HasField("blob"):
        lines.append(Line("… `axtui show` has the whole of it"))
    if question.rule:
        lines.append(Line(f"asked because: {question.rule}"))
    return lines


def _details(question: st.Question) -> list[str]:
    detail = text_of(question.detail)
    if command := command_of(question.subject.partition("(")[0], detail):
        lines = [] if command.short and command.short in question.question else command.lines()
        return lines + _spelled_out(command.options)
    if detail in ("", "null", "[]", "{}") or detail in question.question:
        return []
    try:
        values = load_json(detail)
    except ValueError:
        # Only the beginning of what is kept elsewhere.
        return detail.splitlines()
    return _spelled_out(values) if isinstance(values, dict) else [detail]


def _spelled_out(values: Mapping[str, Any]) -> list[str]:
    """JSON values as a person reads them best: a line each, and texts as they are."""
    lines = []
    for name, value in values.items():
        first, *rest = (value if isinstance(value, str) else dump_json(value)).splitlines() or [""]
        lines += [f"{name}: {first}", *(f"  {line}" for line in rest)]
    return lines
