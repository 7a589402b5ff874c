"""A controller on a temporary log, and what it takes to crash it at any event."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from axtui.agent import Agent
from axtui.model.codec import event_to_json, load_json
from axtui.model.events import Record, blobs_of
from axtui.model.fold import is_open, is_waiting
from axtui.runtime import driver
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.config import Config, Policy
from axtui.runtime.controller import Controller, RunOptions
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.registry import Registered, Registry
from axtui.runtime.verify import verify
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st
from tests.runtime.actors.agents_for_tests import CALLS

ID = "c"
# Where there is one, a file system in memory: these tests write thousands of logs.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class World:
    """One controller, its log and its agents. A copy of it is what a crash leaves behind."""

    def __init__(
        self,
        folder: Path,
        agents: Iterable[Registered],
        policy: Policy,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.agents = list(agents)
        self.policy = policy
        self.settings = settings or {}
        self.copies: list[World] = []
        self.log = SqliteLog.open_to_write(folder / "log.db")
        config = Config(data_dir=folder, policy=policy, **self.settings)
        self.controller = Controller(self.log, config, Registry(self.agents))

    async def start(
        self, agent: Registered | str, input: str = "", id: str = ID, **options: Any
    ) -> str:
        """Start a run; its exec_id."""
        name = agent if isinstance(agent, str) else agent.id
        options.setdefault("workspace", str(self.folder))
        accepted = await self.controller.start(id, input, name, RunOptions(**options), "tester")
        return accepted.exec_id

    async def resume(self, id: str = ID, **options: Any) -> st.State:
        return await self.controller.resume(id, RunOptions(**options), "tester")

    async def answer(
        self,
        choice: str,
        question: str = "",
        id: str = ID,
        *,
        always: bool = False,
        text: str = "",
        edit: dict[str, Any] | None = None,
    ) -> None:
        await self.controller.answer(id, question, choice, text, always, "tester", edit=edit)

    async def run(
        self, agent: Registered | str, input: str = "", id: str = ID, **options: Any
    ) -> Any:
        """Start a run, and give back its output once it has completed."""
        await self.start(agent, input, id, **options)
        return await self.output(id)

    async def output(self, id: str = ID) -> Any:
        """The output of the run in flight, once it has completed."""
        state = await self.ended(id)
        assert state.run.state == "completed", (state.run.error, state.run)
        output = state.run.output
        if output.HasField("blob"):
            return load_json((await self.log.blob(output.blob.digest)).decode())
        return load_json(output.text)

    async def error(self, id: str = ID) -> pb.Error:
        """The error of the run in flight, once it has failed."""
        state = await self.ended(id)
        assert state.run.state == "failed", state.run
        return state.run.error

    async def ended(self, id: str = ID) -> st.State:
        """The state once the run isn't driven any more."""
        task = self.controller.driven(id)
        if task is not None:
            async with asyncio.timeout(60):
                await asyncio.wait({task})
            task.result()
        return await self.log.state(id)

    async def until(self, test: Callable[[st.State], Any], id: str = ID) -> st.State:
        """The state as soon as it fits; every event is looked at."""
        conversation = await self.log.conversation(id)
        heard = asyncio.Event()

        def hear(event: pb.Event) -> None:
            heard.set()

        conversation.on_append.append(hear)
        try:
            async with asyncio.timeout(60):
                while not test(conversation.state):
                    heard.clear()
                    await heard.wait()
        finally:
            conversation.on_append.remove(hear)
        return conversation.state

    async def waiting(self, questions: int = 1, id: str = ID) -> list[st.Question]:
        """The open questions, once there are so many, nothing else goes on, and all of it is on
        disk."""
        state = await self.until(
            lambda state: len(state.questions) == questions and is_waiting(state), id
        )
        await self.settled(id)
        return sorted(state.questions.values(), key=lambda question: question.seq)

    async def records(self, id: str = ID) -> list[Record]:
        found: list[Record] = []
        while page := await self.log.read(id, after=len(found)):
            found += page
        return found

    async def events(self, id: str = ID, kind: str = "") -> list[dict[str, Any]]:
        """The committed events as JSON."""
        events = [event_to_json(record.event()) for record in await self.records(id)]
        return [event for event in events if event["kind"].startswith(kind)]

    async def kinds(self, id: str = ID) -> list[str]:
        return [record.kind for record in await self.records(id)]

    async def settled(self, id: str = ID) -> None:
        """Wait until all that was appended is on disk."""
        conversation = await self.log.conversation(id)
        async with aclosing(self.log.tail(id, conversation.committed_seq)) as pages:
            async for _ in pages:
                if conversation.committed_seq >= conversation.head.seq:
                    return

    async def copy(
        self,
        events: int | None = None,
        *,
        id: str = ID,
        agents: Iterable[Registered] | None = None,
        policy: Policy | None = None,
    ) -> World:
        """Another machine that has the first events of a conversation: what a crash leaves."""
        await self.settled(id)
        records = (await self.records(id))[:events]
        digests = {digest for record in records for digest in blobs_of(record.event())}
        blobs = [(digest, await self.log.blob(digest)) for digest in sorted(digests)]
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        agents = self.agents if agents is None else agents
        world = World(folder, agents, policy or self.policy, self.settings)
        self.copies.append(world)
        await world.log.restore(id, records, blobs)
        return world

    async def check(self, id: str = ID) -> None:
        """The log is sound and without gaps, and nothing is left open by a run that ended."""
        found = [found async for found in verify(self.log, id)]
        assert found == [id]
        state = await self.log.state(id)
        if not is_open(state):
            assert not state.open_steps
            assert not state.questions
        events = [record.event() for record in await self.records(id)]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        _no_outcome_twice(events)

    async def close(self) -> None:
        for world in self.copies:
            await world.close()
        async with asyncio.timeout(60):
            await self.controller.close("tester")


def _no_outcome_twice(events: list[pb.Event]) -> None:
    ended: set[str] = set()
    for event in events:
        if event.kind == "run.started":
            ended.clear()
        key = event.step_completed.key or event.message.key
        if event.kind == "step.failed" and event.step_failed.next == "end":
            key = event.step_failed.key
        if key:
            assert key not in ended, f"step {key} ended twice"
            ended.add(key)


MakeWorld = Callable[..., World]
Placed = Callable[[Agent], Registered]


class Calls:
    """What steps have noted in the workspace of a world, for which see `agents_for_tests.note`."""

    def __init__(self, world: World) -> None:
        self._path = world.folder / CALLS

    def __iter__(self) -> Iterator[str]:
        return iter(self._path.read_text().split() if self._path.exists() else [])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def in_process(agent: Agent, id: str = "") -> AgentConfig:
    """An agent of a module, to be run in a process of its own."""
    module = agent.function.__module__
    name = next(name for name, value in vars(sys.modules[module]).items() if value is agent)
    return AgentConfig(id or agent.id, f"{module}:{name}")


def serving(*modules: str, address: str = "localhost:0") -> tuple[str, ...]:
    """The command that serves the agents of modules."""
    return (sys.executable, "-m", "tests.runtime.actors.served", address, *modules)


@pytest.fixture(scope="session")
def served_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the agents for tests are served, by one process to all who want one."""
    address = f"unix:{tmp_path_factory.mktemp('served')}/agents"
    command = serving("tests.runtime.actors.agents_for_tests", address=address)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert address in process.stdout.readline()
            yield address
        finally:
            process.terminate()


@pytest.fixture(params=["inline", "process", "served"])
def placed(request: pytest.FixtureRequest) -> Placed:
    """Has an agent of a module run here, in a process of its own, or behind an address."""
    if request.param == "served":
        address = request.getfixturevalue("served_at")
        return lambda agent: AgentConfig(agent.id, address=address)
    return in_process if request.param == "process" else lambda agent: agent


@pytest.fixture
async def make_world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeWorld]:
    """Makes worlds of agents, and closes them all."""
    worlds: list[World] = []
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        numbers = itertools.count(1)

        def make(*agents: Registered, policy: Policy | None = None, **settings: Any) -> World:
            path = Path(folder) / f"world{next(numbers)}"
            path.mkdir()
            made = World(path, agents, policy or Policy(), settings)
            worlds.append(made)
            return worlds[-1]

        yield make
        # What hangs by now is meant to.
        monkeypatch.setattr(driver, "GRACE_SECONDS", 0.01)
        for world in worlds:
            await world.close()


Answer = Callable[[st.Question], str]
CrashEverywhere = Callable[..., Awaitable[int]]


async def drive_to_end(world: World, answer: Answer, id: str = ID) -> st.State:
    """Answer every question until the run has ended."""
    while True:
        task = world.controller.driven(id)
        if task is None:
            return await world.log.state(id)
        conversation = await world.log.conversation(id)
        waiting = asyncio.create_task(world.until(lambda state: state.questions, id))
        async with asyncio.timeout(60):
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await asyncio.wait({waiting})
        if task.done():
            continue
        for question in list(conversation.state.questions.values()):
            if question.id in conversation.state.questions:
                await world.answer(answer(question), question.id, id)


def _yes(question: st.Question) -> str:
    choices = list(question.choices)
    return choices[0] if choices else "an answer"


def outcomes(events: list[dict[str, Any]]) -> dict[str, Any]:
    """How each step ended."""
    found: dict[str, Any] = {}
    for event in events:
        data = event["data"]
        if event["kind"] == "step.completed":
            found[data["key"]] = data.get("result")
        elif event["kind"] == "step.failed" and data["next"] == "end":
            found[data["key"]] = data["error"]["code"]
    return found


@pytest.fixture(
    params=["some", pytest.param("all", marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def crash_everywhere(request: pytest.FixtureRequest) -> CrashEverywhere:
    """Runs an agent to its end, and then again after a crash at each event of that run. Where
    agents run elsewhere, `some` stands for a few of the events.

    `calls` has the idempotency keys that the agent's effects were called with.
    """

    async def crash(
        world: World,
        agent: Registered,
        input: str = "",
        *,
        calls: list[str] | Calls,
        answer: Answer = _yes,
        on_interrupted: str = "retry",
        same: bool = True,
        **options: Any,
    ) -> int:
        await world.start(agent, input, on_interrupted=on_interrupted, **options)
        state = await drive_to_end(world, answer)
        await world.check()
        events = await world.events()
        output = events[-1]["data"].get("output")
        ended = outcomes(events)
        here = all(isinstance(agent, Agent) for agent in world.agents)
        # The start of a process takes its time.
        every = 1 if here or request.param == "all" else max(2, len(events) // 3)
        places = range(2, len(events), every)
        for place in places:
            calls.clear()
            copy = await world.copy(place)
            await copy.resume()
            after = await drive_to_end(copy, answer)
            assert after.run.state == state.run.state, (place, after.run)
            await copy.check()
            redone = await copy.events()
            assert [e["seq"] for e in redone[:place]] == list(range(1, place + 1))
            finished = outcomes(events[:place])
            again = outcomes(redone)
            assert {key: again[key] for key in finished} == finished, place
            for key in calls:
                assert key.split("/", 2)[2] not in finished, f"{key} redone after {place}"
            if same:
                assert again == ended, place
                assert redone[-1]["data"].get("output") == output, place
            await copy.close()
            world.copies.remove(copy)
        return len(places)

    return crash
