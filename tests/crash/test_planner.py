"""SIGKILL at every commit of a run with a model and tools: no finished turn or call is repeated.

Every boundary is tried with `pytest -m long tests/crash/test_planner.py`, some of them always.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import Pool
from .harness import Ended, Event, Job, Kill, Reference, Zygote, outcomes_of
from .planner_trial import ASKED, CALLS_OF_TURNS, TURNS, PlannerTrial, Provider, Warm, in_flight

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs subreapers of Linux")

SHORT_KILLS = 6
# Batches form as they come, so a command has a commit more or less than another time.
_MORE = 3
_ROUNDS = 4
_SIZE = 2


class Place(NamedTuple):
    """Where to kill: in which command of those that a run takes, and at which of its commits."""

    command: int
    kill: Kill
    round: int = 0

    def __str__(self) -> str:
        return f"command{self.command}-{self.kill.when}{self.kill.commit}-{self.round}"


class _Planners:
    """Processes for trials, and what they have in common."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.folder = folder
        self.provider = stack.enter_context(Provider(folder))
        places = [folder / f"zygote{number}" for number in range(_SIZE)]
        for place in places:
            place.mkdir()
        # All of them import at the same time.
        warm = [Warm(place, self.provider) for place in places]
        self._warm: dict[Zygote, Warm] = {}
        for place, one in zip(places, warm, strict=True):
            stack.enter_context(one)
            variables = {"CRASH_WARM_SOCKET": one.socket}
            self._warm[stack.enter_context(Zygote(place, variables))] = one
        self.pool = Pool(self._warm)

    def trial(self, zygote: Zygote, name: str) -> PlannerTrial:
        job = Job("planner", f"This is trial {name}.", None, "policy", "ask", ("warm",))
        return PlannerTrial(
            zygote, self.folder / name, job, name, provider=self.provider, warm=self._warm[zygote]
        )


@pytest.fixture(scope="module")
def planners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Planners]:
    with ExitStack() as stack:
        yield _Planners(stack, tmp_path_factory.mktemp("planners"))


class _Undisturbed(NamedTuple):
    """How it goes if nobody kills anything."""

    commands: list[Ended]
    events: list[Event]


@pytest.fixture(scope="module")
def undisturbed(planners: _Planners) -> _Undisturbed:
    def run(zygote: Zygote, name: str) -> _Undisturbed:
        trial = planners.trial(zygote, name)
        return _Undisturbed(trial.drive(), trial.events)

    [found] = planners.pool.map(run, ["undisturbed"])
    return found


def test_undisturbed(undisturbed: _Undisturbed) -> None:
    """What is killed below is what it is meant to be."""
    asked = [e["data"] for e in undisturbed.events if e["kind"] == "approval.requested"]
    assert [q["type"] for q in asked] == ["permission"] * ASKED
    assert [ended.status for ended in undisturbed.commands] == [3, 0, 3, 0, 0]
    steps = {e["data"]["key"]: e["data"] for e in undisturbed.events if e["kind"] == "step.started"}
    assert sum(step["type"] == "model" for step in steps.values()) == len(TURNS) == 5
    assert sum(step.get("by_model", False) for step in steps.values()) == CALLS_OF_TURNS == 12
    failed = [e["data"] for e in undisturbed.events if e["kind"] == "step.failed"]
    assert [(step["error"]["code"], step["next"]) for step in failed] == [("tool", "end")]
    output = undisturbed.commands[-1].lines[-1]
    assert (output["state"], output["output"]) == ("completed", "All of it is done.")


def _places(undisturbed: _Undisturbed) -> list[Place]:
    return [
        Place(number, Kill(when, commit))
        for number, ended in enumerate(undisturbed.commands)
        for commit in range(1, ended.commits + _MORE)
        for when in ("before", "after")
    ]


class _Death(NamedTuple):
    """What there was in the log when a command was killed."""

    place: Place
    events: list[Event]


def _kill_at(
    planners: _Planners, undisturbed: _Undisturbed, places: Sequence[Place]
) -> list[_Death]:
    """Kill a run at each of these places, and see it through to its end; those that were hit."""
    expected = Reference(outcomes_of(undisturbed.events), 0, 0)

    def one(zygote: Zygote, place: Place) -> _Death | None:
        trial = planners.trial(zygote, str(place))
        commands = trial.drive(place.command, place.kill)
        trial.check_outcome(expected)
        assert trial.kills == sum(ended.killed for ended in commands) <= 1
        return _Death(place, trial.at_death) if trial.kills else None

    return [death for death in planners.pool.map(one, places) if death]


def test_killed_at_some_commits(planners: _Planners, undisturbed: _Undisturbed) -> None:
    places = _places(undisturbed)
    chosen = places[:: len(places) // SHORT_KILLS]
    deaths = _kill_at(planners, undisturbed, chosen)
    assert len(deaths) >= SHORT_KILLS // 2


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_killed_at_every_commit(planners: _Planners, undisturbed: _Undisturbed) -> None:
    places = _places(undisturbed)
    deaths = _kill_at(planners, undisturbed, places)
    # What shares a commit with what is chance, so a few places may still be missing.
    for again in range(1, _ROUNDS):
        rest = {*_passed_over(places, deaths)}
        if _missed(undisturbed, deaths):
            rest |= {place for place in places if place.kill.when == "after"}
        deaths += _kill_at(planners, undisturbed, [p._replace(round=again) for p in sorted(rest)])
    assert not _passed_over(places, deaths)
    assert not _missed(undisturbed, deaths)
    for number, ended in enumerate(undisturbed.commands):
        for when in ("before", "after"):
            assert _last(deaths, number, when) >= ended.commits - _MORE
    last = {death.events[-1]["kind"] for death in deaths if death.events}
    assert {"approval.requested", "approval.answered", "step.completed"} <= last
    print(f"{len(deaths)} deaths")


def _passed_over(places: Sequence[Place], deaths: Sequence[_Death]) -> list[Place]:
    """Those where nobody died, though somebody got further."""
    hit = {death.place._replace(round=0) for death in deaths}
    return [
        place
        for place in places
        if place not in hit and place.kill.commit < _last(deaths, place.command, place.kill.when)
    ]


def _last(deaths: Sequence[_Death], command: int, when: str) -> int:
    """The last commit of a command at which somebody died."""
    died = [death.place for death in deaths]
    return max(
        (p.kill.commit for p in died if (p.command, p.kill.when) == (command, when)), default=0
    )


def _missed(undisturbed: _Undisturbed, deaths: list[_Death]) -> set[str]:
    """The steps in the middle of which nobody died, of those that can't just be repeated."""
    return {
        event["data"]["key"]
        for event in undisturbed.events
        if event["kind"] == "step.started" and not event["data"].get("effect")
    }.difference(*(in_flight(death.events) for death in deaths))
