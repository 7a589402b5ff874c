"""The default agent at work for a scripted model, killed anywhere and resumed until it is done."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from .harness import (
    EFFECTS,
    HERE,
    Ended,
    Event,
    Kill,
    Trial,
    Violation,
    clean_environment,
    open_questions,
)
from .warm import REHEARSAL

# Files of counting_server.py, which takes a second to import.
CALLS = "calls.txt"
LOOKS = "looks.txt"

_KEY = f'printf "%s\\n" "$AXTUI_IDEMPOTENCY_KEY" >> {EFFECTS}'
_CONFIG = """\
models:
  default: local:scripted
  # Of all APIs, that whose library has the least to do.
  providers: {local: {kind: openai, base_url: %s/v1}}
tools:
  counting: {command: [%s, -I, -S, %s, %s, counting_server]}
policy:
  approve:
    counting.put: allow
    counting.note: allow
    counting.fail: allow
    write_file: allow
    shell(printf * >> effects.txt): allow
"""


def _call(tool: str, **arguments: str) -> Event:
    label = arguments.get("label", tool)
    return {"id": f"call_{label}", "name": tool, "arguments": arguments}


def _counting(tool: str, label: str) -> Event:
    return _call(f"counting__{tool}", label=label)


# Each turn is known by what only the results of the turn before it have in them.
TURNS: list[dict[str, Any]] = [
    {
        "thought": "First a look.",
        "text": "Looking around.",
        "calls": [
            _counting("look", "a1"),
            _counting("put", "a2"),
            _call("list_files", path="given"),
        ],
    },
    {
        "when": "did a2",
        "calls": [
            _call("shell", command=_KEY),
            _call("write_file", path="notes.txt", content="Some notes.\n"),
            _counting("fail", "b1"),
            _counting("look", "b2"),
        ],
    },
    {
        "when": "did b2",
        "text": "This has to be asked.",
        "calls": [_counting("destroy", "c1"), _counting("note", "c2"), _counting("look", "c3")],
    },
    {
        "when": "did c3",
        "calls": [_call("shell", command=f"echo did d1; {_KEY}"), _counting("put", "d2")],
    },
    {"when": "did d2", "text": ["All of it ", "is done."]},
]
CALLS_OF_TURNS = sum(len(turn.get("calls", ())) for turn in TURNS)
# What a person is asked about before it is done.
ASKED = 2


class Provider:
    """The provider's server as a process. All trials share it: it knows no trial from another."""

    def __init__(self, folder: Path) -> None:
        # The last turn first, as what is in the request of a turn is in those of the later ones.
        turns = [{"when": REHEARSAL, "text": "Ready."}, *reversed(TURNS)]
        script = [{**turn, "repeat": True} for turn in turns]
        (folder / "script").write_text(json.dumps(script))
        self._log = folder / "log"
        self._log.touch()
        self._read = 0
        self._lock = Lock()
        self._requests: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.providers", "script", "--log", "log"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Provider:
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def requests(self, name: str) -> Counter[int]:
        """How often each turn was asked for by the trial of that name."""
        with self._lock, self._log.open("rb") as file:
            file.seek(self._read)
            for line in file:
                self._read += len(line)
                request = json.loads(line)
                if "turn" in request:
                    assert request["turn"] is not None, f"no turn fits: {request['body']}"
                    told = json.dumps(request["body"])
                    asker = told.partition("This is trial ")[2].partition(".")[0]
                    self._requests[asker][len(TURNS) - request["turn"]] += 1
            return Counter(self._requests[name])


class Warm:
    """The process of warm.py, from which actors are forked."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        self.socket = str(folder / "warm")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "warm.py"), self.socket, provider.url],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Warm:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def wait(self) -> None:
        """Wait until all that was forked, and all that this has started, has ended."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
            end.connect(self.socket)
            end.sendall(b"null")
            assert end.recv(1) == b"0", "something outlived its controller for too long"


@dataclass
class PlannerTrial(Trial):
    """One conversation with the default agent."""

    provider: Provider | None = None
    warm: Warm | None = None
    # How often a readonly call was made when its outcome was first seen.
    looked: dict[str, int] = field(default_factory=dict)
    at_death: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.warm is not None
        assert self.provider is not None
        entry = HERE / "warm_entry.py"
        (self.work / "given").mkdir()
        (self.work / "given" / "plan.txt").touch()
        # Else a repeat would say something else than the first time.
        (self.work / "notes.txt").write_text("Old notes.\n")
        self.config = self.folder / "axtui.yaml"
        filled = (self.provider.url, sys.executable, entry, self.warm.socket)
        self.config.write_text(_CONFIG % filled)

    def command(self, name: str, *argv: str, kill: Kill | None = None) -> Ended:
        """Run a command line, and wait for all that it leaves behind."""
        assert self.warm is not None
        common = ("--data-dir", str(self.data), "--config", str(self.config), "--output", "json")
        try:
            return self.zygote.run((name, *argv, *common), self.work, kill, self.job.meddle)
        finally:
            self.warm.wait()

    def drive(self, index: int = -1, kill: Kill | None = None) -> list[Ended]:
        """Do the job, with a kill of command number `index`, and answer all that it asks.

        Gives back how each command ended.
        """
        commands: list[Ended] = []
        waits = False
        undecided: set[str] = set()
        while len(commands) < 30:
            now = kill if len(commands) == index else None
            asked = open_questions(self.events) if waits else []
            if asked:
                ended = self._answered(asked[0], now)
            else:
                ended = self.attempt(now)
                waits = ended.status == 3
            commands.append(ended)
            if ended.killed:
                self.at_death = self.events
            if asked:
                continue
            if ended.killed:
                undecided = in_flight(self.events)
            elif undecided:
                self._check_asks(undecided, ended)
                undecided = set()
            if ended.status == 0:
                self.check_sound()
                self._check_done()
                return commands
        raise Violation("the run doesn't come to an end")

    def effects(self) -> Counter[str]:
        """How often each step took effect, those included in which a model was asked."""
        effects = super().effects()
        assert self.provider is not None
        steps = model_steps(self.events)
        for turn, count in self.provider.requests(self.name).items():
            if turn >= len(steps):
                raise Violation(f"turn {turn} was asked for before that was in the log")
            effects[steps[turn]] += count
        return effects

    def observe(self) -> None:
        """Look at the calls that change nothing, too: their intent may come late."""
        super().observe()
        looks = self._looks()
        for event in self.events:
            if event["kind"] == "step.completed":
                key = idempotency_key(event)
                if self.looked.setdefault(key, looks[key]) != looks[key]:
                    raise Violation(f"finished step {key} was redone")
        permissions = Counter(
            event["data"]["key"]
            for event in self.events
            if event["kind"] == "approval.requested" and event["data"]["type"] == "permission"
        )
        if any(count > 1 for count in permissions.values()):
            raise Violation(f"what was asked is asked again: {permissions}")

    def _answered(self, question: Event, kill: Kill | None) -> Ended:
        choice = {"permission": "approve", "interrupted": "retry"}[question["type"]]
        ended = self.command("approve", self.name, question["id"], "--choice", choice, kill=kill)
        if ended.status and not ended.killed:
            raise Violation(f"approve ended with {ended.status}: {ended.stderr}")
        self.note(ended)
        self.observe()
        return ended

    def _check_asks(self, undecided: set[str], ended: Ended) -> None:
        asked = {q["key"] for q in open_questions(self.events) if q["type"] == "interrupted"}
        if ended.status != 3 or asked != undecided:
            raise Violation(f"{undecided} may have taken effect, and {asked} is asked: {ended}")

    def _check_done(self) -> None:
        labels = {
            call["arguments"].get("label") for turn in TURNS for call in turn.get("calls", ())
        }
        done = set((self.work / CALLS).read_text().split())
        if done != labels - {None}:
            raise Violation(f"{labels - done} was not done")
        if (self.work / "notes.txt").read_text() != "Some notes.\n":
            raise Violation("the file isn't what was to be written")

    def _looks(self) -> Counter[str]:
        try:
            return Counter((self.work / LOOKS).read_text().split())
        except FileNotFoundError:
            return Counter()


def idempotency_key(event: Event) -> str:
    """The key that the effects of an event's step are known by."""
    root = event["exec_id"].partition("/")[0]
    return f"{event['conversation_id']}/{root}/{event['data']['key']}"


def model_steps(events: list[Event]) -> list[str]:
    """The steps in which a model was asked, in their order."""
    return list(
        dict.fromkeys(
            idempotency_key(event)
            for event in events
            if event["kind"] == "step.started" and event["data"]["type"] == "model"
        )
    )


def in_flight(events: list[Event]) -> set[str]:
    """The steps that may have taken effect, and of which nobody knows how they ended."""
    found: set[str] = set()
    for event in events:
        data: Mapping[str, Any] = event["data"]
        if event["kind"] == "step.started" and not data.get("effect"):
            found.add(data["key"])
        elif event["kind"] in ("step.completed", "step.failed"):
            found.discard(data["key"])
    return found
