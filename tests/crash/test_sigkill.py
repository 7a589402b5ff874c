"""SIGKILL at every commit, and at any other moment: nothing told is lost, nothing done is redone.

`pytest -m long tests/crash` adds hundreds of random kills, and kills of the recovery itself.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .conftest import Pool
from .harness import (
    APART,
    CONFIG,
    DEMO,
    IDEMPOTENT,
    MIXED,
    SHELL,
    Ended,
    Job,
    Kill,
    Reference,
    Trial,
    Violation,
    Zygote,
    clean_environment,
    lines_of,
    random_kill,
    reference,
)

SEED = 20_250_801
JOBS = {
    "shell": SHELL,
    "idempotent": IDEMPOTENT,
    "demo": DEMO,
    "mixed": MIXED,
    "apart": APART,
}
SHORT_KILLS = 12
LONG_KILLS = 600
# Batches form as they come, so a run has a commit more or less than another one.
_MORE = 4
# How the recovery, too, is killed at each of its first commits.
_RECOVERY = 6

_Folder = Callable[[str], Path]


@pytest.fixture
def folder(tmp_path: Path) -> _Folder:
    """A folder of its own for each trial."""
    return lambda name: tmp_path / name


def _boundaries(undisturbed: Reference) -> list[Kill]:
    commits = range(1, undisturbed.commits + _MORE)
    return [Kill(when, commit) for when in ("before", "after") for commit in commits]


def _finish_as(undisturbed: Reference, trial: Trial, kills: Iterable[Kill]) -> Trial:
    for kill in kills:
        if not trial.attempt(kill).killed:
            break
    ended = trial.finish()
    if ended.status:
        raise Violation(f"the resumed run ended with {ended.status}: {ended.lines[-1:]}")
    trial.check_outcome(undisturbed)
    return trial


def _kill_everywhere(pool: Pool, folder: _Folder, job: Job) -> list[Trial]:
    [undisturbed] = pool.map(lambda z, job: reference(z, folder("reference"), job), [job])

    def one(zygote: Zygote, kill: Kill) -> Trial:
        trial = Trial(zygote, folder(f"{kill.when}{kill.commit}"), job)
        return _finish_as(undisturbed, trial, [kill])

    trials = pool.map(one, _boundaries(undisturbed))
    # Steps abreast share commits or not, as it happens. Only if the last kill came too late was
    # every commit tried.
    later = count(undisturbed.commits + _MORE)
    while trials[-1].kills:
        trials += pool.map(one, [Kill("after", next(later))])
    assert sum(trial.kills for trial in trials) >= undisturbed.commits
    return trials


@pytest.mark.parametrize("name", ["shell", "demo"])
def test_killed_at_every_commit(pool: Pool, folder: _Folder, name: str) -> None:
    _kill_everywhere(pool, folder, JOBS[name])


def test_idempotent_steps_are_retried_without_a_question(pool: Pool, folder: _Folder) -> None:
    trials = _kill_everywhere(pool, folder, IDEMPOTENT)
    retried = [e for t in trials for e in t.events if e["data"].get("attempt") == 2]
    assert retried
    assert not any(e["kind"] == "approval.requested" for t in trials for e in t.events)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", JOBS)
def test_recovery_killed_at_every_commit(
    pool: Pool, folder: _Folder, name: str, small: bool
) -> None:
    job = replace(JOBS[name], meddle=("small",) if small else ())
    [undisturbed] = pool.map(lambda z, job: reference(z, folder("reference"), job), [job])

    def one(zygote: Zygote, kills: Sequence[Kill]) -> Trial:
        place = folder("-".join(f"{kill.when}{kill.commit}" for kill in kills))
        return _finish_as(undisturbed, Trial(zygote, place, job), kills)

    again = [Kill(when, m) for when in ("before", "after") for m in range(1, _RECOVERY)]
    plans = [(kill, second) for kill in _boundaries(undisturbed) for second in again]
    trials = pool.map(one, plans)
    print(f"{name}: {sum(trial.kills for trial in trials)} kills, {len(trials)} trials")


# What is to become of interrupted steps


class _Policy(NamedTuple):
    policy: str
    choice: str


@pytest.mark.parametrize(
    "policy",
    [_Policy("skip", ""), _Policy("fail", ""), _Policy("ask", "retry"), _Policy("ask", "skip")],
    ids=lambda policy: "-".join(policy),
)
def test_interrupted_steps_follow_the_policy(pool: Pool, folder: _Folder, policy: _Policy) -> None:
    job = replace(SHELL, policy=policy.policy)
    # After this commit the intent of a step is in the log, and the step itself is yet to come.
    kills = [Kill("after", commit) for commit in range(6, 14)]
    choice = policy.choice or policy.policy

    def one(zygote: Zygote, kill: Kill) -> int:
        trial = Trial(zygote, folder(f"{kill.commit}"), job)
        trial.attempt(kill)
        asked = trial.attempt()
        left = {e["data"]["key"] for e in trial.events if e["data"].get("next") == "decide"}
        assert (asked.status == 3) == (policy.policy == "ask" and bool(left)), asked
        ended = trial.finish(choice) if asked.status == 3 else asked
        trial.check_sound()
        _check_decided(trial, left, choice, ended)
        return len(left)

    assert sum(pool.map(one, kills)) >= 4


def _check_decided(trial: Trial, left: set[str], choice: str, ended: Ended) -> None:
    assert ended.status == (1 if left and choice == "fail" else 0), ended
    completed = {e["data"]["key"]: e["data"] for e in trial.events if e["kind"] == "step.completed"}
    attempts = [e for e in trial.events if e["kind"] == "step.started"]
    for key in left:
        assert completed.get(key, {}).get("skipped", False) == (choice == "skip")
        assert (key in completed) == (choice != "fail")
    again = {e["data"]["key"] for e in attempts if e["data"]["attempt"] > 1}
    assert again == (left if choice == "retry" else set())
    effects = trial.effects()
    assert all(count == 1 for key, count in effects.items() if key.rpartition("/")[2] not in left)
    if choice != "fail":
        assert len(completed) == len(SHELL.input.splitlines())


# Any moment


class _Plan(NamedTuple):
    name: str
    number: int
    small: bool


def _random_kills(pool: Pool, folder: _Folder, wanted: int, seed: int) -> dict[str, int]:
    undisturbed = dict(
        pool.map(lambda z, n: (n, reference(z, folder(f"reference-{n}"), JOBS[n])), list(JOBS))
    )

    def one(zygote: Zygote, plan: _Plan) -> Trial:
        chance = random.Random(f"{seed} {plan}")
        job = replace(JOBS[plan.name], meddle=("small",) if plan.small else ())
        trial = Trial(zygote, folder(f"{plan.name}-{plan.number}"), job)
        aims = [random_kill(chance, undisturbed[plan.name]) for _ in range(chance.randint(1, 8))]
        return _finish_as(undisturbed[plan.name], trial, aims)

    kills: dict[str, int] = dict.fromkeys(JOBS, 0)
    number = 0
    # Some come too late, by chance all of those of one job.
    while sum(kills.values()) < wanted or not all(kills.values()):
        plans = [_Plan(name, number + n, n % 2 == 1) for n in range(2) for name in JOBS]
        number += 2
        for plan, trial in zip(plans, pool.map(one, plans), strict=True):
            kills[plan.name] += trial.kills
    return kills


def test_killed_at_random_moments(pool: Pool, folder: _Folder) -> None:
    _random_kills(pool, folder, SHORT_KILLS, SEED)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_at_hundreds_of_random_moments(pool: Pool, folder: _Folder) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    began = time.monotonic()
    kills = _random_kills(pool, folder, LONG_KILLS, seed)
    print(f"{sum(kills.values())} kills in {time.monotonic() - began:.0f} s: {kills}")
    assert sum(kills.values()) >= LONG_KILLS


# The program itself


def _program() -> list[str]:
    script = Path(sys.executable).with_name("axtui")
    return [str(script)] if script.exists() else [sys.executable, "-m", "axtui"]


class _RealTrial(Trial):
    """Attempts of the installed program, from its start to its end."""

    def command(self, name: str, *argv: str, kill: Kill | None = None) -> Ended:
        if kill is None:
            return super().command(name, *argv)
        common = ["--data-dir", str(self.data), "--config", str(CONFIG), "--output", "json"]
        process = subprocess.Popen(
            [*_program(), name, *argv, *common],
            cwd=self.work,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        began = time.monotonic()
        try:
            said, errors = process.communicate(timeout=kill.delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            said, errors = process.communicate()
            # A command that outlived its controller may yet have its effect.
            time.sleep(0.3)
        seconds = time.monotonic() - began
        return Ended(process.returncode, seconds, 0, lines_of(said), errors.decode())


@pytest.mark.parametrize(
    "wanted", [3, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_the_installed_program_is_killed(pool: Pool, folder: _Folder, wanted: int) -> None:
    [undisturbed] = pool.map(lambda z, job: reference(z, folder("reference"), job), [SHELL])
    began = time.monotonic()
    whole = _RealTrial(_nobody(), folder("whole"), SHELL)
    assert whole.command("exec", *SHELL.argv(), kill=Kill(delay=60)).status == 0
    seconds = time.monotonic() - began

    def one(zygote: Zygote, number: int) -> int:
        chance = random.Random(f"{SEED} {number}")
        trial = _RealTrial(zygote, folder(f"{number}"), SHELL)
        kills = [Kill(delay=chance.uniform(seconds / 4, seconds * 1.2)) for _ in range(3)]
        return _finish_as(undisturbed, trial, kills).kills

    total, number = 0, 0
    while total < wanted:
        total += sum(pool.map(one, range(number, number + 3)))
        number += 3


def _nobody() -> Any:
    """Stands for the zygote of a trial that needs none."""
    return None


# A harness that can't fail shows nothing


@pytest.mark.parametrize(
    ("mutant", "policy", "complaint"),
    [
        ("early", "retry", "acknowledged event"),
        ("eager", "retry", "took effect|acknowledged event"),
        ("forgetful", "retry", "after its outcome|redone"),
        ("amnesiac", "retry", "without a word|silently"),
        ("silent", "skip", "silently"),
    ],
)
def test_mutants_are_found(
    pool: Pool, folder: _Folder, mutant: str, policy: str, complaint: str
) -> None:
    job = replace(SHELL, policy=policy, meddle=(mutant,))

    def everywhere(zygote: Zygote, undisturbed: Reference) -> None:
        for commit in range(4, 16):
            for when in ("before", "after"):
                trial = Trial(zygote, folder(f"{when}{commit}"), job)
                _finish_as(undisturbed, trial, [Kill(when, commit)])

    [undisturbed] = pool.map(lambda z, job: reference(z, folder("reference"), job), [SHELL])
    with pytest.raises(Violation, match=complaint):
        pool.map(everywhere, [undisturbed])
