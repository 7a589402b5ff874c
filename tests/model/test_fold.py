"""The fold: total, the same in one go or in parts, bounded, and blind to the clock."""

import time
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axtui.model import fold as fold_module
from axtui.model.events import PAYLOAD_TYPES, kind_of
from axtui.model.fold import (
    EXCERPT_CHARS,
    FOLD_VERSION,
    MAX_ACTORS,
    MAX_AGENT_STATES,
    MAX_MESSAGES,
    MAX_OPEN_STEPS,
    MAX_QUESTIONS,
    MAX_RULES,
    TITLE_CHARS,
    fold,
    is_open,
    is_waiting,
    status,
)
from axtui.model.summary import summarise
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2

from .strategies import events

_STATUSES = {"idle", "pending", "running", "waiting", "paused", "completed", "failed", "canceled"}


def log(*payloads, actor="", times=None, exec_id="x"):
    """Events of these payloads in a row."""
    seqs, clock = count(1), times or count(1_000_000, 1_000_000)
    result = []
    for payload, seq, now in zip(payloads, seqs, clock, strict=False):
        kind = kind_of(payload)
        event = pb.Event(conversation_id="c", seq=seq, time_us=now, kind=kind, actor=actor)
        event.exec_id = exec_id
        getattr(event, kind.replace(".", "_")).CopyFrom(payload)
        # An empty payload is one too.
        getattr(event, kind.replace(".", "_")).SetInParent()
        result.append(event)
    return result


def started(**limits):
    return pb.RunStarted(agent="writer", limits=pb.Limits(**limits))


def step(key, type="tool", **fields):
    return pb.StepStarted(key=key, type=type, attempt=1, **fields)


def asked(id="q", key="", type="question", **fields):
    return pb.ApprovalRequested(id=id, key=key, type=type, **fields)


@given(st.lists(events(), max_size=12))
def test_any_events_in_any_order_make_a_state(given_events):
    state = fold(given_events)
    assert status(state) in _STATUSES
    assert summarise(state).state == status(state)
    is_open(state)
    # It can be stored and told apart from no other.
    assert state_pb2.State.FromString(state.SerializeToString()) == state


@given(st.lists(events(), max_size=10), st.lists(events(), max_size=10))
def test_a_fold_goes_on_from_any_state(first, then):
    before = fold(first)
    kept = before.SerializeToString(deterministic=True)
    assert fold(first + then) == fold(then, before)
    assert before.SerializeToString(deterministic=True) == kept


def test_the_empty_fold_knows_its_version():
    assert fold([]) == state_pb2.State(version=FOLD_VERSION)


def test_no_event_makes_the_fold_look_at_a_clock(monkeypatch):
    every = log(started(), *(cls() for cls in PAYLOAD_TYPES.values()))

    def refuse(*_):
        raise AssertionError("the fold looked at a clock")

    with monkeypatch.context() as patch:
        for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "localtime"):
            patch.setattr(time, name, refuse)
        state = fold(every)
    assert state.seq == len(every)
    assert not hasattr(fold_module, "time")


def test_numbers_beyond_a_field_stop_at_its_end():
    most = 2**63 - 1
    granted = []
    for subject in ("steps", "seconds"):
        granted += [
            asked(type="budget", subject=subject),
            pb.ApprovalAnswered(id="q", choice="more"),
        ]
    state = fold(log(started(steps=most, active_us=most), *granted))
    assert state.run.limits.steps == state.run.limits.active_us == most
    worked = [started(), pb.Message(role="assistant"), pb.Note()]
    assert fold(log(*worked, times=[-most, -most, most])).run.active_us == most


def test_events_of_a_later_version_are_counted():
    event = pb.Event(conversation_id="c", seq=1, kind="run.teleported", time_us=5, actor="writer")
    state = fold([event])
    assert state.totals.unknown_events == 1
    assert state.seq == 1
    assert state.actors["writer"].events == 1


def test_an_erased_payload_still_counts_as_what_it_was():
    erased = [
        pb.Event(conversation_id="c", seq=n, kind=kind) for n, kind in enumerate(PAYLOAD_TYPES)
    ]
    assert fold(erased).totals.runs == 1


def test_a_later_attempt_supersedes_what_an_earlier_one_said():
    def said(text, attempt):
        content = [pb.Content(text=pb.Data(text=text))]
        return pb.Message(role="assistant", step="1", attempt=attempt, content=content)

    first = [started(), step("1"), said("a", 1)]
    second = [pb.StepStarted(key="1", attempt=2), said("b", 2)]
    assert [m.text for m in fold(log(*first)).messages] == ["a"]
    assert [m.text for m in fold(log(*first, *second)).messages] == ["b"]
    # The same key in a later run is another step.
    later = [*first, started(), step("1"), *second]
    assert [m.text for m in fold(log(*later)).messages] == ["a", "b"]


class TestBounds:
    def test_open_steps(self):
        state = fold(log(started(), *(step(str(n)) for n in range(MAX_OPEN_STEPS + 9))))
        assert len(state.open_steps) == MAX_OPEN_STEPS
        assert state.run.steps == MAX_OPEN_STEPS + 9

    def test_questions(self):
        state = fold(log(started(), *(asked(str(n)) for n in range(MAX_QUESTIONS + 9))))
        assert len(state.questions) == MAX_QUESTIONS
        assert state.totals.questions == MAX_QUESTIONS + 9
        assert summarise(state).waiting_for.endswith(f"(+{MAX_QUESTIONS - 1} more)")

    def test_rules_keep_the_latest(self):
        answers = []
        for n in range(MAX_RULES + 9):
            answers += [asked(subject=str(n)), pb.ApprovalAnswered(id="q", choice="y", always=True)]
        state = fold(log(started(), *answers))
        assert [rule.subject for rule in state.rules] == [str(n) for n in range(9, MAX_RULES + 9)]

    def test_a_rule_takes_the_place_of_the_one_about_the_same(self):
        answers = [
            (asked(subject="rm"), pb.ApprovalAnswered(id="q", choice=choice, always=True))
            for choice in ("yes", "no")
        ]
        state = fold(log(started(), *(event for pair in answers for event in pair)))
        assert [(rule.subject, rule.choice) for rule in state.rules] == [("rm", "no")]

    def test_actors(self):
        notes = []
        for n in range(MAX_ACTORS + 9):
            notes += log(pb.Note(), actor=f"actor {n}")
        state = fold(notes)
        assert len(state.actors) == MAX_ACTORS
        assert state.totals.other_actor_events == 9

    def test_agent_states(self):
        ends = [
            pb.RunCompleted(agent_states={str(n): pb.Data(text="1")})
            for n in range(MAX_AGENT_STATES + 9)
        ]
        state = fold(log(*ends, pb.RunCompleted(agent_states={"0": pb.Data(text="2")})))
        assert len(state.agent_states) == MAX_AGENT_STATES
        assert state.agent_states["0"] == MAX_AGENT_STATES + 10

    def test_messages_and_title(self):
        said = [
            pb.Message(role="user", content=[pb.Content(text=pb.Data(text=f"{n} " * 1000))])
            for n in range(MAX_MESSAGES + 3)
        ]
        state = fold(log(*said))
        assert [m.seq for m in state.messages] == list(range(4, MAX_MESSAGES + 4))
        assert all(len(m.text) == EXCERPT_CHARS for m in state.messages)
        assert len(state.title) <= TITLE_CHARS
        assert state.title.startswith("0 0 0")

    def test_what_is_for_the_agent_alone_is_no_excerpt(self):
        secret = pb.Message(
            role="user", internal_only=True, content=[pb.Content(text=pb.Data(text="secret"))]
        )
        state = fold(log(secret))
        assert not state.messages
        assert not state.title
        assert state.totals.messages == 1


class TestStatus:
    @pytest.mark.parametrize(
        ("payloads", "expected"),
        [
            ([], "idle"),
            ([pb.Note()], "idle"),
            ([started()], "pending"),
            ([started(), pb.Message(role="user")], "pending"),
            ([started(), pb.Message(role="assistant")], "running"),
            ([started(), step("1")], "running"),
            ([started(), step("1"), asked(key="1")], "waiting"),
            # Another step goes on meanwhile, an agent is only as busy as what is inside it.
            ([started(), step("1"), step("2"), asked(key="1")], "running"),
            ([started(), step("1", "agent"), asked(key="1/1")], "waiting"),
            ([started(), step("1", "agent"), step("1/1"), asked(key="1/2")], "running"),
            ([started(), step("1"), pb.StepFailed(key="1", next="decide")], "running"),
            (
                [started(), step("1"), pb.StepFailed(key="1", next="decide"), asked(key="1")],
                "waiting",
            ),
            # It is yet to be asked about.
            ([started(), step("1"), pb.StepFailed(key="1", next="decide"), asked()], "running"),
            ([started(), step("1"), pb.StepFailed(key="1", next="retry"), asked()], "running"),
            ([started(), asked(), pb.ApprovalAnswered(id="q")], "running"),
            ([started(), asked("a"), asked("b"), pb.ApprovalAnswered(id="a")], "waiting"),
            ([started(), asked(), pb.RunPaused()], "paused"),
            ([started(), asked(), pb.RunPaused(), pb.RunResumed()], "waiting"),
            ([started(), asked(), pb.RunCompleted()], "completed"),
            ([started(), pb.RunFailed()], "failed"),
            ([started(), pb.RunCanceled()], "canceled"),
            ([started(), pb.RunCompleted(), pb.RunPaused()], "completed"),
            ([started(), pb.RunCompleted(), pb.RunResumed()], "completed"),
            ([started(), pb.RunCompleted(), started()], "pending"),
            ([started(), step("1"), pb.ConversationForked(exec_id="y")], "paused"),
            ([started(), pb.RunCompleted(), pb.ConversationForked()], "completed"),
        ],
    )
    def test_by_example(self, payloads, expected):
        state = fold(log(*payloads))
        assert status(state) == expected
        assert summarise(state).state == expected
        assert is_waiting(state) or expected != "waiting"

    def test_an_end_closes_what_is_open(self):
        for end in (pb.RunCompleted(), pb.RunFailed(), pb.RunCanceled()):
            state = fold(log(started(), step("1"), asked(), end))
            assert not state.open_steps
            assert not state.questions
            assert not is_open(state)

    def test_only_running_time_counts(self):
        seconds = [1, 2, 4, 7, 20, 30, 31, 50, 52]
        payloads = [
            started(),
            pb.Message(role="assistant"),  # runs from 2
            asked(),  # 2 s, then it waits
            pb.ApprovalAnswered(id="q"),
            pb.RunPaused(),  # 13 s
            pb.RunResumed(),
            pb.Note(),  # 1 s
            pb.RunResumed(cause="recovered"),  # nobody was there
            pb.RunCompleted(),  # 2 s
        ]
        state = fold(log(*payloads, times=[s * 1_000_000 for s in seconds]))
        assert state.run.active_us == 18_000_000

    def test_a_budget_grows_by_what_it_was(self):
        answers = [
            asked(type="budget", subject="steps"),
            pb.ApprovalAnswered(id="q", choice="more"),
        ]
        state = fold(log(started(steps=5, active_us=7), *answers, *answers))
        assert (state.run.limits.steps, state.run.allowance.steps) == (15, 5)
        assert state.run.limits.active_us == 7

    def test_a_fork_is_a_conversation_of_its_own(self):
        events = log(started(), step("1"))
        fork = pb.Event(conversation_id="new", seq=3, kind="conversation.forked", time_us=9)
        fork.conversation_forked.MergeFrom(
            pb.ConversationForked(source_id="c", source_seq=2, exec_id="y")
        )
        state = fold([*events, fork])
        assert (state.conversation_id, state.parent_id, state.parent_seq) == ("new", "c", 2)
        assert (state.run.exec_id, state.run.seed) == ("y", "x")
        assert state.run.cause == "fork"
