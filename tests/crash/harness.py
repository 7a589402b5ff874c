"""One job, killed and resumed until it is done, and what must hold all along."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

HERE = Path(__file__).parent
EFFECTS = "effects.txt"
Event = dict[str, Any]

_STATUS = {"completed": 0, "failed": 1, "waiting": 3, "paused": 3}
CONFIG = HERE / "agents.yaml"
BARE = HERE / "bare.yaml"


class Violation(AssertionError):
    """Something that a crash must never do."""


class Kill(NamedTuple):
    """When to kill an attempt: before, after or some time later than its n-th commit."""

    when: str = ""
    commit: int = 0
    delay: float = 0.0


class Ended(NamedTuple):
    """How an attempt ended, and what it said. A last line that was cut off isn't said."""

    status: int
    seconds: float
    commits: int
    lines: list[Event]
    stderr: str

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


class Zygote:
    """A warm process that runs command lines of axtui, see zygote.py. Not for two threads."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**clean_environment(), **(environment or {})},
            text=True,
        )

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(30)

    def run(
        self, argv: Sequence[str], cwd: Path, kill: Kill | None = None, meddle: Sequence[str] = ()
    ) -> Ended:
        """Run one command line to its end, or to that which `kill` makes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count += 1
        out, err = (self._folder / f"{self._count}.{kind}" for kind in ("out", "err"))
        # A child may be killed before it has opened them.
        out.touch()
        err.touch()
        request = {
            "argv": list(argv),
            "cwd": str(cwd),
            "stdout": str(out),
            "stderr": str(err),
            "kill": {} if kill is None else kill._asdict(),
            "meddle": list(meddle),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the warm process is gone; its last words are on stderr"
        answer = json.loads(line)
        ended = Ended(
            answer["status"],
            answer["seconds"],
            answer["commits"],
            lines_of(out.read_bytes()),
            err.read_text(),
        )
        if answer["outlived"]:
            raise Violation(f"{' '.join(argv)} is outlived by {answer['outlived']}")
        if answer["hangs"]:
            raise Violation(f"{' '.join(argv)} hangs")
        if "Traceback" in ended.stderr:
            raise Violation(f"{' '.join(argv)} ended with a traceback:\n{ended.stderr}")
        out.unlink()
        err.unlink()
        return ended


def clean_environment() -> dict[str, str]:
    """Ours, without what would change how axtui runs; the agents of the tests can be imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AXTUI_")}
    # The package under test is the one that the tests import, installed or not.
    import axtui

    paths = (str(HERE), str(Path(axtui.__file__).parents[1]))
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "NO_COLOR": "1"}


def lines_of(said: bytes) -> list[Event]:
    """The JSON lines that were printed in full."""
    return [json.loads(line) for line in said.split(b"\n")[:-1] if line.startswith(b"{")]


@dataclass(frozen=True)
class Job:
    """What is run, and under which policy."""

    agent: str
    input: str
    config: Any = None
    approve: str = "all"
    policy: str = "retry"
    meddle: tuple[str, ...] = ()
    # Its steps say of themselves that they may be repeated.
    idempotent: bool = False

    def argv(self) -> list[str]:
        """The options that start it."""
        config = [] if self.config is None else ["--agent-config", json.dumps(self.config)]
        return ["--agent", self.agent, *config, "--input", self.input, *self.policies()]

    def policies(self) -> list[str]:
        """The options that a resume takes too."""
        return ["--approve", self.approve, "--on-interrupted", self.policy]


_APPEND = f'printf "%s\\n" "$AXTUI_IDEMPOTENCY_KEY" >> {EFFECTS}'
SHELL = Job(
    "shell",
    "\n".join(
        (
            f"{_APPEND}; echo one",
            f"{_APPEND}",
            f"{_APPEND}; echo three",
            f"{_APPEND}; head -c 40000 /dev/zero | tr '\\0' x",
            f"sleep 0.01; {_APPEND}; echo five",
            f"echo six; {_APPEND}",
            f"{_APPEND}; echo seven; sleep 0.01",
            f"{_APPEND}; echo eight",
        )
    ),
)
IDEMPOTENT = replace(
    SHELL, config={"idempotent": True}, approve="policy", policy="ask", idempotent=True
)
DEMO = Job("demo", "go", {"speed": 0})
MIXED = Job("mixed", "go")
# The same with its agents in processes of their own.
APART = Job("apart", "go")
# The same with its agents served at an address.
SERVED = Job("served", "go")


@dataclass
class Reference:
    """How a job ends if nobody disturbs it."""

    outcomes: dict[str, Any]
    seconds: float
    commits: int


@dataclass
class Trial:
    """One conversation of a job in a data directory of its own."""

    zygote: Zygote
    folder: Path
    job: Job
    name: str = "conversation"
    config: Path = CONFIG
    kills: int = 0
    acknowledged: dict[int, Event] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    # How often a step had taken effect when its outcome was first seen.
    finished: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data = self.folder / "data"
        self.work = self.folder / "work"
        self.work.mkdir(parents=True, exist_ok=True)

    def command(self, name: str, *argv: str, kill: Kill | None = None) -> Ended:
        """Run a command line of axtui on this data directory."""
        common = ("--data-dir", str(self.data), "--config", str(self.config), "--output", "json")
        return self.zygote.run((name, *argv, *common), self.work, kill, self.job.meddle)

    def attempt(self, kill: Kill | None = None) -> Ended:
        """Start the job, or go on with it, and see whether all that must hold does."""
        argv = ["exec", "--conversation", self.name]
        if self.events:
            argv += ["--resume", *self.job.policies()]
        else:
            argv += self.job.argv()
        ended = self.command(*argv, kill=kill)
        self.note(ended)
        self.observe()
        state = ended.lines[-1].get("state", "") if ended.lines else ""
        if not ended.killed and _STATUS.get(state) != ended.status:
            raise Violation(f"status {ended.status} for {state}: {ended.stderr}")
        return ended

    def note(self, ended: Ended) -> None:
        """Remember what was acknowledged."""
        self.kills += ended.killed
        for line in ended.lines:
            if "seq" in line:
                self.acknowledge(line)

    def acknowledge(self, line: Event) -> None:
        """An event that was printed: from here on it must be in the log as it is."""
        if self.acknowledged.setdefault(line["seq"], line) != line:
            raise Violation(f"event {line['seq']} was told twice, differently")

    def finish(self, choice: str = "retry") -> Ended:
        """Resume until the run has ended, answering what it asks about interrupted steps."""
        for _ in range(30):
            ended = self.attempt()
            if ended.status != 3:
                self.check_sound()
                return ended
            self.answer(choice)
        raise Violation("the run doesn't come to an end")

    def answer(self, choice: str) -> None:
        """Answer every open question about an interrupted step."""
        for question in open_questions(self.events):
            if question["type"] != "interrupted":
                raise Violation(f"an unexpected question: {question}")
            ended = self.command("approve", self.name, question["id"], "--choice", choice)
            if ended.status:
                raise Violation(f"approve ended with {ended.status}: {ended.stderr}")

    def check_sound(self) -> None:
        """`verify` finds nothing."""
        ended = self.command("verify")
        if ended.status:
            raise Violation(f"verify ended with {ended.status}: {ended.lines} {ended.stderr}")

    def observe(self) -> None:
        """Read the log, and compare it with all that was told, seen and done before."""
        ended = self.command("events", self.name)
        if ended.status not in (0, 4):
            raise Violation(f"events ended with {ended.status}: {ended.stderr}")
        events = ended.lines
        if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
            raise Violation(f"seqs have gaps: {[event['seq'] for event in events]}")
        if events[: len(self.events)] != self.events:
            raise Violation("the log doesn't begin with what it was before")
        for seq, line in self.acknowledged.items():
            if seq > len(events) or events[seq - 1] != line:
                raise Violation(f"acknowledged event {seq} is lost or changed: {line}")
        self.events = events
        check_effects(events, self.effects(), self.finished)
        check_decisions(events, self.job)

    def effects(self) -> Counter[str]:
        """How often each step took effect, by its idempotency key."""
        try:
            text = (self.work / EFFECTS).read_text()
        except FileNotFoundError:
            return Counter()
        return Counter(text.split())

    def check_outcome(self, reference: Reference) -> None:
        """The run ended as one that nobody disturbed."""
        outcomes = outcomes_of(self.events)
        if outcomes != reference.outcomes:
            keys = outcomes.keys() | reference.outcomes.keys()
            wrong = {
                key: (outcomes.get(key), reference.outcomes.get(key))
                for key in keys
                if outcomes.get(key) != reference.outcomes.get(key)
            }
            raise Violation(f"another outcome than undisturbed: {wrong}")


def reference(zygote: Zygote, folder: Path, job: Job) -> Reference:
    """Run a job undisturbed."""
    trial = Trial(zygote, folder, job)
    ended = trial.attempt()
    trial.check_sound()
    assert ended.status == 0, ended
    return Reference(outcomes_of(trial.events), ended.seconds, ended.commits)


def outcomes_of(events: Sequence[Event]) -> dict[str, Any]:
    """What a run came to: outcomes and messages by key, output and private state."""
    outcomes: dict[str, Any] = {}
    for event in events:
        kind, data = event["kind"], event["data"]
        if kind == "step.completed":
            outcomes[data["key"]] = data.get("result"), data.get("skipped", False)
        elif kind == "step.failed" and data["next"] == "end":
            outcomes[data["key"]] = data["error"]
        elif kind == "message" and data["role"] == "assistant":
            outcomes[data.get("key", "final message")] = data["content"]
        elif kind in ("run.completed", "run.failed"):
            outcomes[kind] = data
    return outcomes


def open_questions(events: Sequence[Event]) -> list[Event]:
    """The questions that nobody has answered."""
    asked = {e["data"]["id"]: e["data"] for e in events if e["kind"] == "approval.requested"}
    for event in events:
        if event["kind"] == "approval.answered":
            del asked[event["data"]["id"]]
    return list(asked.values())


def check_effects(events: Sequence[Event], effects: Counter[str], finished: dict[str, int]) -> None:
    """Intents before effects, effects before outcomes, and no effect after its outcome."""
    started: Counter[str] = Counter()
    for event in events:
        kind, data = event["kind"], event["data"]
        if not kind.startswith("step."):
            continue
        root = event["exec_id"].partition("/")[0]
        key = f"{event['conversation_id']}/{root}/{data['key']}"
        if kind == "step.started":
            if key in finished and event["seq"] > finished_seq(events, data["key"]):
                raise Violation(f"step {key} began again after its outcome")
            started[key] += 1
        elif kind == "step.completed" or data["next"] == "end":
            count = finished.setdefault(key, effects[key])
            if effects[key] != count:
                raise Violation(f"finished step {key} was redone: {count} -> {effects[key]}")
    for key, count in effects.items():
        if count > started[key]:
            raise Violation(f"step {key} took effect {count} times, with {started[key]} intents")


def finished_seq(events: Sequence[Event], key: str) -> int:
    """Where the outcome of a step is."""
    seq: int = next(
        event["seq"]
        for event in events
        if event["data"].get("key") == key
        and (event["kind"] == "step.completed" or event["data"].get("next") == "end")
    )
    return seq


def check_decisions(events: Sequence[Event], job: Job) -> None:
    """A step that may have taken effect is only begun again where somebody or something said so."""
    last: dict[str, Event] = {}
    for event in events:
        kind, data = event["kind"], event["data"]
        key = data.get("key")
        if kind == "step.started":
            _check_again(event, last.get(key))
        if kind == "approval.requested" and data["type"] == "interrupted" and job.idempotent:
            raise Violation(f"an idempotent step asked: {event}")
        if kind == "approval.answered":
            asked = next(e for e in events if e["data"].get("id") == data["id"])
            if asked["data"]["type"] != "interrupted":
                continue
            key = asked["data"]["key"]
            if job.policy != "ask" and data["choice"] != job.policy:
                raise Violation(f"{key} was decided against the policy: {event}")
        if key and kind != "approval.requested":
            last[key] = event


def _check_again(started: Event, before: Event | None) -> None:
    data = started["data"]
    if before is None:
        if data["attempt"] != 1:
            raise Violation(f"the first attempt is number {data['attempt']}: {started}")
        return
    if before["kind"] == "step.started" and "attempt" in before["data"]:
        raise Violation(f"began again without a word on what became of it before: {started}")
    failed = before["kind"] == "step.failed"
    harmless = data.get("effect") in ("readonly", "idempotent")
    allowed = (
        before["data"].get("choice") == "retry"
        if before["kind"] == "approval.answered"
        else failed and (before["data"]["next"] == "retry" or harmless)
    )
    if not allowed:
        raise Violation(f"silently begun again after {before}: {started}")


def random_kill(chance: random.Random, reference: Reference) -> Kill:
    """A moment to kill at: anywhere in the time that a run takes, or close to a commit of it."""
    commit = chance.randint(1, max(1, reference.commits))
    sort = chance.choice(("start", "later", "later", "before", "after"))
    if sort == "start":
        return Kill("later", 0, chance.uniform(0, reference.seconds))
    if sort == "later":
        return Kill("later", commit, chance.uniform(0, 0.004))
    return Kill(sort, commit)
