"""The fold: state is what the events add up to, and nothing else.

`apply` never looks at a clock, never fails on an order of events it doesn't expect, and keeps the
state bounded however long the log is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from axtui.model.events import PAYLOAD_TYPES, message_text, text_of
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

FOLD_VERSION = 3
TERMINAL = frozenset({"completed", "failed", "canceled"})

MAX_OPEN_STEPS = 4096
MAX_QUESTIONS = 256
MAX_RULES = 256
MAX_ACTORS = 64
MAX_AGENT_STATES = 256
MAX_MESSAGES = 8
EXCERPT_CHARS = 400
TITLE_CHARS = 80
PREVIEW_CHARS = 60
MAX_INT = 2**63 - 1
# What a budget question is about, and the field that a grant raises.
_LIMITS = {"steps": "steps", "seconds": "active_us", "tokens": "tokens", "cost_usd": "cost_nusd"}


def fold(events: Iterable[pb.Event], state: st.State | None = None) -> st.State:
    """The state after `events`, from the beginning or on top of `state`, which stays as it is."""
    result = st.State(version=FOLD_VERSION)
    if state is not None:
        result.CopyFrom(state)
    for event in events:
        apply(result, event)
    return result


def apply(state: st.State, event: pb.Event) -> None:
    """Take one event into `state`, in place."""
    run, kind, time_us = state.run, event.kind, event.time_us
    if run.state == "running" and kind != "run.resumed" and not is_waiting(state):
        run.active_us = min(MAX_INT, run.active_us + max(0, time_us - state.time_us))
    state.seq = event.seq
    state.time_us = time_us
    if not state.created_us:
        state.created_us = time_us
        state.conversation_id = event.conversation_id
    if event.actor:
        _count_actor(state, event)
    handler = _HANDLERS.get(kind)
    if handler is not None:
        handler(state, event)
    elif kind not in PAYLOAD_TYPES:
        state.totals.unknown_events += 1


def is_open(state: st.State) -> bool:
    """Whether a run has been accepted and hasn't ended."""
    return bool(state.run.state) and state.run.state not in TERMINAL


def is_waiting(state: st.State) -> bool:
    """Whether nothing can go on before somebody answers."""
    if not state.questions:
        return False
    asked_about = {question.key for question in state.questions.values()}
    return all(
        step.type == "agent" or step.key in asked_about for step in state.open_steps.values()
    )


def agents_at_work(state: st.State) -> list[str]:
    """The ids of the open run's own agent, and of those that are called in it at the moment."""
    if not is_open(state):
        return []
    called = sorted({step.name for step in state.open_steps.values() if step.type == "agent"})
    return list(dict.fromkeys([state.run.agent, *called]))


def status(state: st.State) -> str:
    """The state of the conversation's run as people are told it; `idle` before the first run."""
    if not state.run.state:
        return "idle"
    if state.run.state in ("pending", "running") and is_waiting(state):
        return "waiting"
    return state.run.state


def _count_actor(state: st.State, event: pb.Event) -> None:
    actors, name = state.actors, event.actor
    if name not in actors:
        if len(actors) >= MAX_ACTORS:
            state.totals.other_actor_events += 1
            return
        actors[name].first_seq = event.seq
    actor = actors[name]
    actor.last_seq = event.seq
    actor.events += 1


def _run_started(state: st.State, event: pb.Event) -> None:
    started = event.run_started
    state.run.Clear()
    state.open_steps.clear()
    state.questions.clear()
    state.run.MergeFrom(
        st.Run(
            exec_id=event.exec_id,
            seed=event.exec_id,
            agent=started.agent,
            state="pending",
            started_seq=event.seq,
            started_us=event.time_us,
            limits=started.limits,
            allowance=started.limits,
            approve=started.approve,
            on_interrupted=started.on_interrupted,
            workspace=started.workspace,
            config=started.config,
        )
    )
    state.totals.runs += 1


def _run_paused(state: st.State, event: pb.Event) -> None:
    if is_open(state):
        state.run.state = "paused"
        state.run.cause = event.run_paused.cause
        state.run.reason = event.run_paused.reason


def _run_resumed(state: st.State, event: pb.Event) -> None:
    if is_open(state):
        resumed = event.run_resumed
        state.run.state = "running"
        state.run.cause = ""
        state.run.reason = ""
        state.run.approve = resumed.approve or state.run.approve
        state.run.on_interrupted = resumed.on_interrupted or state.run.on_interrupted


def _run_completed(state: st.State, event: pb.Event) -> None:
    _end(state, event, "completed")
    state.run.output.CopyFrom(event.run_completed.output)
    for agent in event.run_completed.agent_states:
        if agent in state.agent_states or len(state.agent_states) < MAX_AGENT_STATES:
            state.agent_states[agent] = event.seq


def _run_failed(state: st.State, event: pb.Event) -> None:
    _end(state, event, "failed")
    state.run.error.CopyFrom(event.run_failed.error)


def _run_canceled(state: st.State, event: pb.Event) -> None:
    _end(state, event, "canceled")
    state.run.cause = event.principal
    state.run.reason = event.run_canceled.reason


def _end(state: st.State, event: pb.Event, how: str) -> None:
    state.run.state = how
    state.run.ended_us = event.time_us
    state.open_steps.clear()
    state.questions.clear()


def _message(state: st.State, event: pb.Event) -> None:
    message = event.message
    if message.role != "user":
        _begin(state)
    state.totals.messages += 1
    if message.internal_only:
        return
    text = message_text(message)
    if not state.title and message.role == "user":
        state.title = " ".join(text[: TITLE_CHARS * 4].split())[:TITLE_CHARS]
    state.messages.append(
        st.Excerpt(
            seq=event.seq,
            role=message.role,
            actor=event.actor,
            text=text[:EXCERPT_CHARS],
            step=message.step if message.attempt else "",
        )
    )
    if len(state.messages) > MAX_MESSAGES:
        del state.messages[0]


def _begin(state: st.State) -> None:
    run = state.run
    if run.state == "pending":
        run.state = "running"


def _step_started(state: st.State, event: pb.Event) -> None:
    _begin(state)
    started, steps = event.step_started, state.open_steps
    key, attempt = started.key, started.attempt
    if attempt <= 1:
        state.run.steps += 1
        state.totals.steps += 1
    else:
        _supersede(state, key)
    if key not in steps and len(steps) >= MAX_OPEN_STEPS:
        return
    step = steps[key]
    step.Clear()
    step.key = key
    step.type = started.type
    step.name = started.name
    step.actor = event.actor
    step.attempt = attempt
    step.effect = started.effect
    step.started_seq = event.seq
    step.started_us = event.time_us
    step.due_us = started.due_us
    step.preview = text_of(started.arguments)[:PREVIEW_CHARS]
    step.state = "running"


def _supersede(state: st.State, key: str) -> None:
    """Drop what an earlier attempt of a step has said."""
    begun = state.run.started_seq
    kept = [said for said in state.messages if said.step != key or said.seq < begun]
    if len(kept) < len(state.messages):
        del state.messages[:]
        state.messages.extend(kept)


def _step_completed(state: st.State, event: pb.Event) -> None:
    _begin(state)
    completed = event.step_completed
    _close(state, completed.key)
    if completed.HasField("usage"):
        for total in (state.run.usage, state.totals.usage):
            _add_usage(total, completed.usage)


def _add_usage(total: pb.Usage, usage: pb.Usage) -> None:
    for field, value in usage.ListFields():
        setattr(total, field.name, bounded_sum(getattr(total, field.name), value))


def _close(state: st.State, key: str) -> None:
    steps = state.open_steps
    if key in steps:
        del steps[key]


def _step_failed(state: st.State, event: pb.Event) -> None:
    _begin(state)
    failed = event.step_failed
    state.totals.failed_steps += 1
    if failed.next not in ("retry", "decide"):
        _close(state, failed.key)
    elif failed.key in state.open_steps:
        step = state.open_steps[failed.key]
        step.state = "retrying" if failed.next == "retry" else "unknown"
        step.retry_at_us = failed.retry_at_us


def _approval_requested(state: st.State, event: pb.Event) -> None:
    _begin(state)
    asked = event.approval_requested
    state.totals.questions += 1
    if len(state.questions) >= MAX_QUESTIONS:
        return
    state.questions[asked.id].CopyFrom(
        st.Question(
            id=asked.id,
            key=asked.key,
            type=asked.type,
            question=asked.question,
            subject=asked.subject,
            detail=asked.detail,
            digest=asked.digest,
            choices=asked.choices,
            seq=event.seq,
            time_us=event.time_us,
            actor=event.actor,
            rule=asked.rule,
            diff=asked.diff if asked.HasField("diff") else None,
            editable=asked.editable,
        )
    )


def _approval_answered(state: st.State, event: pb.Event) -> None:
    answer = event.approval_answered
    question = state.questions.pop(answer.id, None)
    if question is None:
        return
    if question.type == "budget" and answer.choice == "more":
        _grant(state.run, question.subject)
    if answer.always:
        _add_rule(state, question, answer.choice, event.seq)


def _grant(run: st.Run, limit: str) -> None:
    name = _LIMITS.get(limit, "active_us")
    setattr(run.limits, name, bounded_sum(getattr(run.limits, name), getattr(run.allowance, name)))


def bounded_sum(one: int, other: int) -> int:
    """What both add up to, within what a field holds: no event may stop the fold."""
    return max(-MAX_INT, min(MAX_INT, one + other))


def _add_rule(state: st.State, question: st.Question, choice: str, seq: int) -> None:
    kept = [r for r in state.rules if (r.type, r.subject) != (question.type, question.subject)]
    kept.append(st.Rule(type=question.type, subject=question.subject, choice=choice, seq=seq))
    del state.rules[:]
    state.rules.extend(kept[-MAX_RULES:])


def _forked(state: st.State, event: pb.Event) -> None:
    forked = event.conversation_forked
    state.conversation_id = event.conversation_id
    state.parent_id = forked.source_id
    state.parent_seq = forked.source_seq
    state.deleted_us = 0
    if forked.workspace:
        state.run.told_workspace = state.run.told_workspace or state.run.workspace
        state.run.workspace = forked.workspace
    if is_open(state):
        state.run.state = "paused"
        state.run.cause = "fork"
        state.run.exec_id = forked.exec_id


def _deleted(state: st.State, event: pb.Event) -> None:
    state.deleted_us = event.time_us


_HANDLERS: dict[str, Callable[[st.State, pb.Event], None]] = {
    "run.started": _run_started,
    "run.paused": _run_paused,
    "run.resumed": _run_resumed,
    "run.completed": _run_completed,
    "run.failed": _run_failed,
    "run.canceled": _run_canceled,
    "message": _message,
    "step.started": _step_started,
    "step.completed": _step_completed,
    "step.failed": _step_failed,
    "approval.requested": _approval_requested,
    "approval.answered": _approval_answered,
    "conversation.forked": _forked,
    "conversation.deleted": _deleted,
}
