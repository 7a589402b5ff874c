"""The controller: the only writer of its logs, and what drives runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from axtui.agent import ActorError
from axtui.model.codec import dump_json, load_json
from axtui.model.events import Draft, user_message
from axtui.model.fold import is_open, is_waiting
from axtui.model.ids import new_id
from axtui.runtime.actors.agent_processes import AgentProcesses
from axtui.runtime.actors.models.providers import DEFAULT_MODEL
from axtui.runtime.actors.roster import Roster
from axtui.runtime.agents import DEFAULT, WITH_MODEL
from axtui.runtime.config import Config
from axtui.runtime.driver import Driver, abandoned, interrupted
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import (
    ALL,
    CONTROL_LOG,
    EventLog,
    LogDamaged,
    LogError,
    Taken,
    UnknownConversation,
)
from axtui.runtime.eventlog.conversation import Conversation
from axtui.runtime.folders import folder_for_fork
from axtui.runtime.forking import fork
from axtui.runtime.inbox import listener
from axtui.runtime.journal import Delta, Services
from axtui.runtime.policy import rules_of
from axtui.runtime.questions import answer_to, open_question
from axtui.runtime.redaction import redactor
from axtui.runtime.registry import Registered, Registry
from axtui.runtime.tokens import Tokens
from axtui.runtime.toolbox import Toolbox
from axtui.runtime.transfer import Imported, import_lines
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

MAX_DELTAS = 1000
MAX_INPUT = 16 * 1024 * 1024
MAX_ANSWER = 1024 * 1024
MAX_TOLD = 1024 * 1024
MAX_REASON = 10_000
_APPROVE = ("", "policy", "ask", "all", "deny")
_ON_INTERRUPTED = ("", "ask", "retry", "skip", "fail")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is to be run. Empty words on a resume: as before. Raises Refused for others than
    there are."""

    config: Any = None
    approve: str = ""
    on_interrupted: str = ""
    workspace: str = ""

    def __post_init__(self) -> None:
        for word, known in ((self.approve, _APPROVE), (self.on_interrupted, _ON_INTERRUPTED)):
            if word not in known:
                raise Refused(
                    "usage", f"there is no {word[:80]!r}", f"there are {', '.join(known[1:])}"
                )


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that is in the log: from here on nothing loses it."""

    conversation_id: str
    exec_id: str
    seq: int


class Watcher:
    """Who watches a conversation, and what there is for him beside the log."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.deltas: deque[Delta] = deque(maxlen=MAX_DELTAS)
        self.error: BaseException | None = None

    def take_deltas(self) -> list[Delta]:
        """The deltas since the last call. Raises what the run's driver failed with."""
        if self.error is not None:
            raise self.error
        taken = list(self.deltas)
        self.deltas.clear()
        return taken


class Controller:
    """Writes an event log that was opened with the lease. Belongs to the running event loop."""

    def __init__(self, log: EventLog, config: Config, registry: Registry) -> None:
        self.log = log
        self._config = config
        self._registry = registry
        self._redactor = redactor(config, os.environ)
        self.roster = Roster(log, self._redactor.text)
        self.toolbox = Toolbox(config, registry, self.roster)
        self.tokens = Tokens(log, config)
        self._services = Services(
            log, registry, self.toolbox, rules_of(config), self._redactor, self._on_delta
        )
        self._driven: dict[str, tuple[Driver, asyncio.Task[None]]] = {}
        self._watchers: dict[str, set[Watcher]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def start(
        self,
        conversation_id: str,
        input: str,
        agent: str,
        options: RunOptions,
        principal: str,
        request_id: str = "",
    ) -> Accepted:
        """Accept a run and drive it. Raises Refused, or LogError if the log fails."""
        _refuse_unfit_id(conversation_id)
        _refuse_unfit(input, "the input", MAX_INPUT)
        async with self._lock(conversation_id):
            conversation = await self.log.conversation(conversation_id, create=True)
            done = await self._done_before(conversation, request_id, "run.started")
            if done is not None:
                await self._refuse_other(done, agent, self._redactor.text(input), request_id)
                return done
            state = conversation.state
            self._refuse_if_busy(state)
            wanted = self._registry.agent(agent or state.run.agent or DEFAULT)
            async with self._prepared(conversation, wanted) as (found, processes):
                started = self._run_started(conversation, found, options)
                exec_id = new_id()
                said = user_message("")
                said.content[0].text.CopyFrom(conversation.data(self._redactor.text(input)))
                commit = conversation.append(
                    Draft(started, exec_id, "", principal, request_id),
                    Draft(said, exec_id, "", principal),
                )
                await commit
                self._drive(conversation, processes)
        return Accepted(conversation_id, exec_id, commit.records[0].seq)

    async def resume(
        self,
        conversation_id: str,
        options: RunOptions,
        principal: str,
        request_id: str = "",
        *,
        drive: bool = True,
    ) -> st.State:
        """Let an unfinished run go on, and drive it unless `drive` is false.

        On a run in flight, or one that has ended, it does nothing. The state is as it is then.
        """
        async with self._lock(conversation_id):
            conversation = await self._existing(conversation_id)
            if await self._done_before(conversation, request_id, "run.resumed") is not None:
                return conversation.state
            if conversation.state.run.state == "paused":
                # Its steps in flight may still have a moment to end.
                await self._finished(conversation_id)
            if not is_open(conversation.state):
                return conversation.state
            if conversation_id in self._driven:
                if options.approve or options.on_interrupted:
                    raise Refused(
                        "in_flight",
                        f"the run of {conversation_id} is in flight, and keeps to what it was"
                        " started with",
                        f"`axtui approve {conversation_id}` answers what it asks; once it is"
                        " paused, it can be resumed otherwise",
                    )
                return conversation.state
            run = conversation.state.run
            agent = self._registry.agent(run.agent)
            if not drive:
                await conversation.append(
                    *_resumed(conversation.state, options, principal, request_id)
                )
                return conversation.state
            if run.agent in WITH_MODEL and run.config.HasField("text"):
                # To go on without its model would be to fail.
                self._check_model(load_json(run.config.text))
            async with self._prepared(conversation, agent) as (_, processes):
                await conversation.append(
                    *_resumed(conversation.state, options, principal, request_id)
                )
                self._drive(conversation, processes)
            return conversation.state

    async def pause(
        self, conversation_id: str, reason: str, principal: str, request_id: str = ""
    ) -> None:
        """Begin no more steps. Steps in flight may end."""
        _refuse_unfit(reason, "the reason", MAX_REASON)
        async with self._once(conversation_id, request_id, "run.paused") as conversation:
            if conversation is None:
                return
            exec_id = _open_run(conversation.state).exec_id
            if conversation.state.run.state == "paused":
                raise Refused("state", f"the run of {conversation_id} is paused already")
            paused = pb.RunPaused(cause="person", reason=self._redactor.text(reason))
            await conversation.append(Draft(paused, exec_id, "", principal, request_id))
        await self._finished(conversation_id)

    async def cancel(
        self, conversation_id: str, reason: str, principal: str, request_id: str = ""
    ) -> None:
        """End a run for good. What is in flight is stopped; nobody knows what became of it."""
        _refuse_unfit(reason, "the reason", MAX_REASON)
        async with self._once(conversation_id, request_id, "run.canceled") as conversation:
            if conversation is None:
                return
            state = conversation.state
            exec_id = _open_run(state).exec_id
            said = pb.RunCanceled(reason=self._redactor.text(reason))
            canceled = Draft(said, exec_id, "", principal, request_id)
            left = abandoned(state, "the run was canceled before it ended")
            await conversation.append(*left, canceled)
        await self._finished(conversation_id)

    async def answer(
        self,
        conversation_id: str,
        question_id: str,
        choice: str,
        text: str,
        always: bool,
        principal: str,
        request_id: str = "",
        edit: dict[str, Any] | None = None,
    ) -> st.State:
        """Answer a question; without an id, the only one there is. `edit` has the arguments that
        are approved in the place of those asked about. Raises Refused."""
        _refuse_unfit(text + choice, "the answer", MAX_ANSWER)
        arguments = "" if edit is None else self._edited(edit)
        async with self._once(conversation_id, request_id, "approval.answered") as conversation:
            if conversation is None:
                return await self.log.state(conversation_id)
            question = open_question(conversation.state, question_id)
            answered = answer_to(question, choice, text, always, bool(arguments))
            answered.text = self._redactor.text(answered.text)
            if arguments:
                answered.edited.CopyFrom(conversation.data(arguments))
            exec_id = conversation.state.run.exec_id
            await conversation.append(
                Draft(answered, exec_id, question.actor, principal, request_id)
            )
            return conversation.state

    async def tell(
        self, conversation_id: str, text: str, actor: str, principal: str, request_id: str = ""
    ) -> None:
        """Say something to an agent that is at work in the open run; without an id, to the run's
        own. It hears it when it next asks."""
        _refuse_unfit(text, "the message", MAX_TOLD)
        if not text.strip():
            raise Refused("usage", "there is nothing to tell: the message is empty")
        async with self._once(conversation_id, request_id, "message") as conversation:
            if conversation is None:
                return
            said = user_message("")
            said.to = listener(conversation.state, self._registry, actor)
            said.content[0].text.CopyFrom(conversation.data(self._redactor.text(text)))
            exec_id = conversation.state.run.exec_id
            await conversation.append(Draft(said, exec_id, "", principal, request_id))

    async def fork(
        self,
        source_id: str,
        seq: int | None,
        new: str,
        edit: dict[str, Any] | None,
        principal: str,
        request_id: str = "",
    ) -> Conversation:
        """A new conversation that is the source up to `seq`, with event `seq` edited if wanted.

        A run that is open there is paused in the fork.
        """
        _refuse_unfit_id(new)
        source = await self._existing(source_id)
        async with self._lock(new):
            if await self.log.find(new) is not None:
                done = await self.log.conversation(new)
                if await self._done_before(done, request_id, "conversation.forked") is not None:
                    return done
                raise Taken(new)
            edited = edit and self._redactor.value(edit)
            who, environment = (principal, request_id), self.toolbox.environment
            async with folder_for_fork(self._config, environment, source.state, new) as own:
                return await fork(self.log, source_id, seq, new, edited, *who, workspace=own)

    async def delete(
        self, conversation_id: str, reason: str, principal: str, request_id: str = ""
    ) -> None:
        """Hide a conversation; `purge` removes it for good."""
        _refuse_unfit(reason, "the reason", MAX_REASON)
        _refuse_control_log(conversation_id)
        async with self._once(conversation_id, request_id, "conversation.deleted") as conversation:
            if conversation is None:
                return
            self._refuse_if_driven(conversation_id)
            deleted = pb.ConversationDeleted(reason=self._redactor.text(reason))
            await conversation.append(Draft(deleted, "", "", principal, request_id))

    async def purge(self, conversation_id: str, principal: str) -> None:
        """Remove a conversation for good. The control log keeps that it was there, who and when."""
        _refuse_control_log(conversation_id)
        async with self._lock(conversation_id):
            conversation = await self._existing(conversation_id, deleted=True)
            self._refuse_if_driven(conversation_id)
            if is_open(conversation.state) and not conversation.state.deleted_us:
                raise Refused(
                    "state",
                    f"the run of {conversation_id} hasn't ended",
                    f"`axtui cancel {conversation_id}` ends it",
                )
            control = await self.log.conversation(CONTROL_LOG, create=True)
            purged = pb.ConversationPurged(
                conversation_id=conversation_id,
                head_seq=conversation.head.seq,
                head_hash=conversation.head.hash,
            )
            await control.append(Draft(purged, "", "", principal))
            await self.log.purge(conversation_id)

    async def restore(self, lines: Iterable[str], principal: str) -> Imported:
        """Store an exported conversation. A run that was under way is paused: where it comes from,
        somebody goes on with it, and what it does would be done twice."""
        stored = await import_lines(self.log, lines)
        async with self._lock(stored.conversation_id):
            conversation = await self.log.conversation(stored.conversation_id)
            state = conversation.state
            if should_run(state) and not is_waiting(state):
                paused = pb.RunPaused(cause="person", reason="it was imported")
                await conversation.append(Draft(paused, state.run.exec_id, "", principal))
        return stored

    @contextlib.contextmanager
    def watching(self, conversation_id: str) -> Iterator[Watcher]:
        """Hear of what isn't in a conversation's log: provisional text, and a driver's failure."""
        watcher = Watcher()
        watchers = self._watchers.setdefault(conversation_id, set())
        watchers.add(watcher)
        try:
            yield watcher
        finally:
            watchers.discard(watcher)
            if not watchers:
                self._watchers.pop(conversation_id, None)

    def driven(self, conversation_id: str) -> asyncio.Task[None] | None:
        """The task that drives a conversation's run, if this process does."""
        found = self._driven.get(conversation_id)
        return None if found is None else found[1]

    def driving(self) -> frozenset[str]:
        """The conversations whose runs this process drives."""
        return frozenset(self._driven)

    async def drive_all(self, principal: str) -> dict[str, Exception]:
        """Go on with every run that should be running: those whose controller is gone, and those
        that a shutdown has paused. Gives back why some can't, by conversation."""
        failed: dict[str, Exception] = {}
        open_states = ("pending", "running", "waiting", "paused")
        for listed in await self.log.conversations(states=open_states, limit=ALL):
            name = listed.summary.id
            try:
                if should_run(await self.log.state(name)):
                    await self.resume(name, RunOptions(), principal)
            except UnknownConversation:
                # A server has clients by now, one of which has removed it.
                continue
            except (Refused, ActorError, LogDamaged) as error:
                failed[name] = error
        return failed

    async def suspend(self, principal: str = "", reason: str = "", stopped: str = "") -> None:
        """Pause what runs, so that it goes on by itself later; the run of the conversation that a
        person has `stopped`, once somebody wants it. What waits just waits."""
        while self._driven:
            for name, (driver, _) in self._driven.items():
                cause = "person" if name == stopped else "shutdown"
                self._suspend(driver, principal, reason, cause)
            await asyncio.wait({task for _, task in self._driven.values()})

    async def close(self, principal: str = "") -> None:
        """Pause what runs, stop the actors, then close the log."""
        await self.suspend(principal)
        await self.roster.close()
        await self.log.close()

    # Below

    def _edited(self, arguments: dict[str, Any]) -> str:
        text = dump_json(arguments)
        _refuse_unfit(text, "what is edited", MAX_ANSWER)
        if self._redactor.text(text) != text or "[redacted:" in text:
            # It is done as the log has it, and that has no secrets.
            raise Refused("usage", "what is edited has a secret in it, or what was put for one")
        return text

    def _lock(self, conversation_id: str) -> asyncio.Lock:
        return self._locks.setdefault(conversation_id, asyncio.Lock())

    def _suspend(self, driver: Driver, principal: str, reason: str, cause: str) -> None:
        state = driver.conversation.state
        if state.run.state not in ("pending", "running"):
            return
        if is_waiting(state):
            driver.abort()
            return
        paused = pb.RunPaused(cause=cause, reason=reason)
        try:
            driver.conversation.append(Draft(paused, state.run.exec_id, "", principal))
        except LogError:
            driver.abort()

    @contextlib.asynccontextmanager
    async def _prepared(
        self, conversation: Conversation, agent: Registered
    ) -> AsyncIterator[tuple[Registered, AgentProcesses]]:
        """An agent that is going to run, with its process if it needs one; what is wrong with it
        is said before anything is written. Raises Refused."""
        processes = AgentProcesses(self._redactor.text)
        try:
            yield await processes.start(agent), processes
        finally:
            # Else they are the driver's to end.
            if self.driven(conversation.id) is None:
                await processes.close()

    def _drive(self, conversation: Conversation, processes: AgentProcesses) -> None:
        if conversation.state.run.state not in ("pending", "running"):
            # Somebody has stopped it since.
            return
        driver = Driver(self._services, conversation, processes)
        task = asyncio.create_task(driver.run(), name=f"run {conversation.id}")
        self._driven[conversation.id] = driver, task
        task.add_done_callback(partial(self._driver_done, conversation.id))

    def _driver_done(self, conversation_id: str, task: asyncio.Task[None]) -> None:
        self._driven.pop(conversation_id, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            for watcher in self._watchers.get(conversation_id, ()):
                watcher.error = error
                watcher.wake.set()

    async def _finished(self, conversation_id: str) -> None:
        task = self.driven(conversation_id)
        if task is not None:
            await asyncio.wait({task})

    def _on_delta(self, delta: Delta) -> None:
        for watcher in self._watchers.get(delta.conversation_id, ()):
            watcher.deltas.append(delta)
            watcher.wake.set()

    async def _existing(self, conversation_id: str, *, deleted: bool = False) -> Conversation:
        conversation = await self.log.conversation(conversation_id)
        if conversation.state.deleted_us and not deleted:
            raise Refused("unknown", f"conversation {conversation_id} was deleted")
        return conversation

    @contextlib.asynccontextmanager
    async def _once(
        self, conversation_id: str, request_id: str, kind: str
    ) -> AsyncIterator[Conversation | None]:
        """The conversation, nobody else's to change meanwhile; None if the request was served."""
        async with self._lock(conversation_id):
            conversation = await self.log.conversation(conversation_id)
            if await self._done_before(conversation, request_id, kind) is not None:
                yield None
            else:
                yield await self._existing(conversation_id)

    async def _done_before(
        self, conversation: Conversation, request_id: str, kind: str
    ) -> Accepted | None:
        """What a request has caused already, which is an event of that kind."""
        if not request_id or not conversation.head.seq:
            return None
        seq = await self.log.request_seq(conversation.id, request_id)
        if seq is None:
            return None
        record = (await self.log.read(conversation.id, after=seq - 1, limit=1))[0]
        if record.kind != kind:
            raise Refused("usage", f"request {request_id!r} has caused {record.kind} already")
        return Accepted(conversation.id, record.event().exec_id, seq)

    async def _refuse_other(self, done: Accepted, agent: str, input: str, request_id: str) -> None:
        """Raise Refused if what a request has started is another run than is wanted now."""
        page = await self.log.read(done.conversation_id, after=done.seq - 1, limit=2)
        started, said = (record.event() for record in page)
        text = said.message.content[0].text
        kept = text.blob.digest if text.HasField("blob") else sha256(text.text.encode()).digest()
        same = kept == sha256(input.encode()).digest()
        if not same or agent not in ("", started.run_started.agent):
            raise Refused("usage", f"request {request_id!r} has started another run already")

    def _refuse_if_driven(self, conversation_id: str) -> None:
        if conversation_id in self._driven:
            raise Refused(
                "in_flight",
                f"a run of {conversation_id} is in flight",
                f"`axtui cancel {conversation_id}` ends it",
            )

    def _refuse_if_busy(self, state: st.State) -> None:
        if state.deleted_us:
            raise Refused("unknown", f"conversation {state.conversation_id} was deleted")
        if is_open(state):
            name = state.conversation_id
            go_on = (
                f"`axtui attach {name}` follows it"
                if name in self._driven
                else f"`axtui exec --conversation {name} --resume` goes on with it"
            )
            raise Refused(
                "in_flight",
                f"conversation {name} has a run that hasn't ended",
                f"{go_on}, `axtui cancel {name}` ends it",
            )

    def _check_model(self, settings: dict[str, Any]) -> None:
        self.toolbox.check_model(str(settings.get("model") or DEFAULT_MODEL))

    def _run_started(
        self, conversation: Conversation, agent: Registered, options: RunOptions
    ) -> pb.RunStarted:
        settings = options.config
        if agent.id in WITH_MODEL:
            settings = planner_settings(self._config, settings)
            self._check_model(settings)
        budget = self._config.policy.budget
        workspace = (
            conversation.state.run.workspace
            or options.workspace
            or self._config.environment.workspace
            or str(Path.cwd())
        )
        return pb.RunStarted(
            agent=agent.id,
            config=conversation.data(self._redactor.text(dump_json(settings))),
            approve=options.approve or "policy",
            on_interrupted=options.on_interrupted or "ask",
            workspace=workspace,
            limits=pb.Limits(
                timeout_us=int((agent.timeout or 0) * 1e6),
                steps=budget.steps,
                active_us=int(budget.seconds * 1e6),
                tokens=budget.tokens,
                cost_nusd=int(budget.cost_usd * 1e9),
            ),
        )


def should_run(state: st.State) -> bool:
    """Whether whoever takes the lease is to go on with the run: it hasn't ended, and nobody has
    paused it but a shutdown."""
    run = state.run
    return is_open(state) and (run.state != "paused" or run.cause == "shutdown")


def planner_settings(config: Config, given: Any) -> Any:
    """What an agent with a model is set up with: the configuration's, and over it what is given."""
    if given is not None and not isinstance(given, dict):
        raise Refused("usage", "--agent-config of this agent is an object", "such as {}")
    return {**asdict(config.planner), **(given or {})}


def _resumed(state: st.State, options: RunOptions, principal: str, request_id: str) -> list[Draft]:
    """Events that say that a run goes on, and of what was in flight that nobody knows its end."""
    run = state.run
    cause = {"paused": "person"}.get(run.state, "recovered")
    if run.state == "paused" and run.cause == "shutdown":
        cause = "restarted"
    resumed = pb.RunResumed(
        cause=cause, approve=options.approve, on_interrupted=options.on_interrupted
    )
    left = interrupted(state, "its controller ended before the outcome was known")
    return [Draft(resumed, run.exec_id, "", principal, request_id), *left]


def _refuse_unfit_id(conversation_id: str) -> None:
    if conversation_id.startswith("$") or not conversation_id.isprintable() or not conversation_id:
        raise Refused("usage", f"{conversation_id!r} is no id for a conversation")


def _refuse_control_log(conversation_id: str) -> None:
    if conversation_id == CONTROL_LOG:
        raise Refused("denied", f"{CONTROL_LOG} tells what became of everything else")


def _refuse_unfit(text: str, what: str, most: int) -> None:
    if len(text) > most:
        raise Refused("usage", f"{what} is longer than {most:,} characters")
    # What isn't UTF-8 on a command line arrives as lone surrogates.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("usage", f"{what} isn't valid Unicode") from None


def _open_run(state: st.State) -> st.Run:
    if not is_open(state):
        last = state.run.state or "never started"
        raise Refused("state", f"there is no run to stop: the last one is {last}")
    return state.run
