"""The UI survives whatever is put into it. A seed that has failed is tried again with
`AXTUI_FUZZ_SEED=N pytest tests/ui/test_fuzz.py -k some`."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from axtui.model.events import Draft, user_message
from axtui.runtime.eventlog.conversation import Conversation
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.v1 import event_pb2 as pb

from .fuzzing import NASTY, Tried
from .harness import end_holder
from .histories import open_log
from .logs import one_run

HOSTILE = "".join(NASTY)
_AGENTS = ("asker", "chooser", "publisher", "writer", "unsure")
_LONG_SECONDS = 600
_SOME, _MANY = 100, 1000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A configuration and agents that ask; what drives their runs in the background ends with the
    test."""
    module = "asking_agents_of_the_fuzz"
    shutil.copy(Path(__file__).with_name("asking_agents.py"), tmp_path / f"{module}.py")
    agents = "".join(f'  - {{id: {name}, python: "{module}:{name}"}}\n' for name in _AGENTS)
    (tmp_path / "axtui.yaml").write_text(f"agents:\n{agents}")
    monkeypatch.chdir(tmp_path)
    for name in ("VISUAL", "EDITOR", "PAGER"):
        monkeypatch.setenv(name, "true")
    yield tmp_path
    for log in tmp_path.glob("*/log.db"):
        end_holder(log)


async def fill(data_dir: Path) -> None:
    """Runs of all states, and of much that is hard to show."""
    log = open_log(data_dir)

    async def made(name: str, *payloads: pb.Event | object, agent: str = "asker") -> Conversation:
        conversation = await log.conversation(name, create=True)
        started = pb.RunStarted(agent=agent, workspace="/tmp/漢字")
        drafts = [Draft(p, "run", agent) for p in (started, user_message(f"{name} go"), *payloads)]
        await conversation.append(*drafts)
        return conversation

    done = await log.conversation("done", create=True)
    await done.append(*one_run(60))
    for name, source, seq in (("fork", "done", 30), ("fork-of-fork", "fork", 20)):
        fork = await log.fork(source, seq, name)
        forked = pb.ConversationForked(source_id=source, source_seq=seq, exec_id="run")
        await fork.append(Draft(forked))
    await made("running", _step("1"), _step("1/a"), _step("1/a/~0/b"))
    await made("paused", pb.RunPaused(cause="person", reason=HOSTILE))
    await made("canceled", pb.RunCanceled(reason=HOSTILE))
    await made("failed", pb.RunFailed(error=pb.Error(code="x", message=HOSTILE, detail=HOSTILE)))
    await log.conversation("empty", create=True)
    await made(
        "hostile",
        user_message(HOSTILE),
        *(_said(text) for text in NASTY),
        pb.StepStarted(key="1", type="tool", name=HOSTILE, arguments=_data(HOSTILE), attempt=1),
        pb.StepCompleted(key="1", attempt=1, result=_data(HOSTILE)),
        pb.Note(text=HOSTILE, key=HOSTILE),
        agent=HOSTILE,
    )
    for name, text in (("long", HOSTILE * 4000), ("huge", "漢 word " * 400_000)):
        conversation = await made(name, _step("1"))
        ended = pb.StepCompleted(key="1", attempt=1, result=conversation.data(text))
        said = pb.Message(role="assistant", content=[pb.Content(text=conversation.data(text))])
        await conversation.append(Draft(ended, "run", "asker"), Draft(said, "run", "asker"))
    await _questions(log)
    await log.close()


async def _questions(log: SqliteLog) -> None:
    choices = {"approval": ["approve", "deny"], "question": [HOSTILE, "b"] * 8, "words": []}
    for kind, given in choices.items():
        conversation = await log.conversation(f"asks-{kind}", create=True)
        asked = pb.ApprovalRequested(
            id="q",
            key="1",
            type=kind,
            question=HOSTILE,
            subject=HOSTILE if kind == "approval" else "shell(rm)",
            detail=conversation.data(HOSTILE * (2000 if kind == "approval" else 1)),
            diff=_data("--- a\n+++ b\n@@ -1 +1 @@\n-漢字\n+\x1b[31m\n"),
            choices=given,
            rule="destructive",
        )
        started = pb.RunStarted(agent="asker")
        await conversation.append(*(Draft(p, "run", "asker") for p in (started, asked)))


def _data(text: str) -> pb.Data:
    return pb.Data(text=text)


def _step(key: str) -> pb.StepStarted:
    return pb.StepStarted(key=key, type="tool", name="漢字", arguments=_data("{}"), attempt=1)


def _said(text: str) -> pb.Message:
    return pb.Message(role="assistant", content=[pb.Content(text=_data(text))])


async def attempt(folder: Path, seed: int, inputs: int, batch: int) -> None:
    """Put so much into the UI on a log of its own, and look at what is drawn every so often."""
    await fill(folder / "data")
    tried = Tried(folder, seed)
    await tried.run(inputs, batch)
    assert not await tried.faults()


async def test_some(folder: Path) -> None:
    await attempt(folder, int(os.environ.get("AXTUI_FUZZ_SEED", "1")), _SOME, 20)


@pytest.mark.long
@pytest.mark.timeout(_LONG_SECONDS + 300)
async def test_many(folder: Path) -> None:
    end = time.monotonic() + _LONG_SECONDS
    while time.monotonic() < end:
        await attempt(folder, random.SystemRandom().randrange(1 << 32), _MANY, 6)
        end_holder(folder / "data" / "log.db")
        shutil.rmtree(folder / "data")
