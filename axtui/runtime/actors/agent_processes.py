"""The agents that users write: each runs in a process of its own, and asks its journal here.

A run has one process for each such agent, started when the agent is called and ended with the run.
In it are the agent's code and its context; see `agent_host.py`. What the agent asks for comes as a
call, `ask`, with the fields of a `Request`, and the journal does the rest, as for an agent of this
process. To do a step that is the agent's own, it calls back: `step`.

When a process ends before its agent has, the run is driven anew, as after a crash of the
controller.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import axtui
from axtui.agent import (
    Agent,
    Call,
    ContinueRun,
    Request,
    Retry,
    Scope,
    StepFailed,
    ToolError,
    call,
)
from axtui.model.codec import dump_json, load_json
from axtui.runtime import replay
from axtui.runtime.actors.supervisor import Actor, Change, Spec
from axtui.runtime.actors.wire import Fault, Peer, Progress
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.effects import NotKept
from axtui.runtime.eventlog.base import LogError
from axtui.runtime.registry import Registered, check_spoken, not_loaded

if TYPE_CHECKING:
    from axtui.runtime.journal import Journal

# An agent that is canceled may take its time to clean up, if only it answers meanwhile.
HANG_SECONDS = 1.0
# How long the other agents of a run wait for one that computes.
BUSY_SECONDS = 10.0
# Nothing counts that a process does once it is to end.
GRACE_SECONDS = 0.1
MAX_DELTA = 64 * 1024
MAX_CHANNEL = 32
_PATH = re.compile(r"(~[0-9]{1,9}/){0,100}")
_KEY = re.compile(_PATH.pattern + "[0-9]{1,9}")
# A file in the current folder must not stand in for what Python or axtui need to get going.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from axtui.runtime.actors.agent_host import main; del sys.path[0]; main()"
)
_ROOT = str(Path(axtui.__file__).parents[1])


@dataclass
class _Attached:
    """A call of an agent that is under way in its process."""

    agent_id: str
    journal: Journal
    scope: Scope
    peer: Peer
    asked: set[str] = field(default_factory=set)
    steps: dict[str, Call] = field(default_factory=dict)
    """What its functions that are being run may ask for, by the key of the step."""


class AgentProcesses:
    """The processes of one run's agents.

    `on_lost` is told the id of an agent whose process ended before it, as soon as that is noticed.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self.on_lost: Callable[[str], None] = lambda agent_id: None
        self._redact = redact
        self._starting = 0
        self._actors: dict[str, Actor] = {}
        # By epoch: whatever is asked has to name the one of its call, so that nothing of an earlier
        # one is taken for it.
        self._attached: dict[int, _Attached] = {}
        self._epochs = itertools.count(1)
        # Who was told something since it was known to be quiet, and who didn't answer in time.
        self._told: set[Peer] = set()
        self._busy: set[Peer] = set()

    async def start(self, agent: Registered) -> Registered:
        """Have an agent's process ready, if it has one; gives back the agent with what it says of
        itself. Raises Refused."""
        if isinstance(agent, Agent):
            return agent
        check_spoken(agent)
        try:
            info = (await self._ready(agent)).info
        except Fault:
            raise not_loaded(agent, self._actors[agent.id].why) from None
        match info:
            case {"description": str(description), "timeout": int() | float() | None as timeout}:
                return replace(
                    agent,
                    description=agent.description or description,
                    timeout=timeout if agent.timeout is None else agent.timeout,
                )
        raise not_loaded(agent, "its timeout is no number of seconds, or its description no text")

    async def run(
        self,
        agent: AgentConfig,
        journal: Journal,
        scope: Scope,
        input: str,
        config: Any,
        state: str,
    ) -> tuple[Any, str]:
        """What the agent returns, and its private state then. Raises what it raises."""
        check_spoken(agent)
        epoch = next(self._epochs)
        params = {
            "epoch": epoch,
            "agent": agent.id,
            "conversation": journal.conversation_id,
            "exec_id": scope.exec_id,
            "path": scope.path,
            "time_us": scope.time_us,
            "seed": journal.seed,
            "workspace": journal.workspace,
            "changes": journal.changes(scope.path),
            "input": input,
            "config": dump_json(config),
            "state": state,
        }
        try:
            actor = await self._restarted(agent)
            async with actor.use() as peer:
                self._attached[epoch] = _Attached(agent.id, journal, scope, peer)
                reply = await self._call(actor, peer, params)
        except Fault as fault:
            match fault.code:
                case "gone":
                    # The driver has been told, and cancels us.
                    await asyncio.get_running_loop().create_future()
                case "canceled":
                    raise asyncio.CancelledError from None
                case "start" | "failed":
                    stderr = self._actors[agent.id].stderr
                    fault = Fault("agent", str(fault), detail=stderr)
                    if params["changes"]:
                        # It did something before, so this can't be how its call ends.
                        journal.fail(fault)
            raise _unkept(fault) from None
        finally:
            self._attached.pop(epoch, None)
        if "continue" in reply:
            raise ContinueRun(load_json(reply["continue"]))
        return load_json(reply["value"]), str(reply["state"])

    def why(self, agent_id: str) -> str:
        """How the process of an agent ended."""
        return self._actors[agent_id].why

    async def close(self) -> None:
        """End them all."""
        await asyncio.gather(*(actor.stop() for actor in self._actors.values()))

    # For Replay

    @property
    def told(self) -> bool:
        """Whether any agent may be busy with what it was told."""
        return bool(self._unsettled())

    async def quiet(self) -> None:
        """Wait until what the agents were told has set off all that it does. One that computes is
        left alone after a while: it hears of things later, and none of the others is like it."""
        for _ in range(replay.TURNS):
            for attached in list(self._attached.values())[:1]:
                with suppress(LogError):
                    # What is to be told waits for this.
                    await attached.journal.committed()
            await replay.quiet(asyncio.get_running_loop())
            unsettled = self._unsettled()
            if not unsettled:
                return
            for peer in unsettled:
                self._told.discard(peer)
                await self._settled(peer)

    async def answer(self) -> bool:
        """Whether all agents have begun, and none of them computes."""
        answers = [await _answers(peer) for peer in self._peers()]
        return not self._starting and all(answers)

    async def _settled(self, peer: Peer) -> None:
        asking = asyncio.create_task(_is_quiet(peer))
        await asyncio.wait({asking}, timeout=BUSY_SECONDS)
        if not asking.done():
            self._busy.add(peer)
            asking.add_done_callback(lambda asking: self._busy.discard(peer))

    def _peers(self) -> list[Peer]:
        # Parents come before their children, to which what they do spreads.
        return list(dict.fromkeys(attached.peer for attached in self._attached.values()))

    def _unsettled(self) -> list[Peer]:
        return [peer for peer in self._peers() if peer in self._told - self._busy]

    # The processes

    async def _ready(self, agent: AgentConfig) -> Actor:
        if agent.id not in self._actors:
            self._actors[agent.id] = self._actor(agent)
        self._starting += 1
        try:
            async with self._actors[agent.id].use():
                return self._actors[agent.id]
        finally:
            self._starting -= 1

    async def _restarted(self, agent: AgentConfig) -> Actor:
        while True:
            try:
                return await self._ready(agent)
            except Fault as fault:
                # It may end while it starts as well as later.
                if fault.details.get("reason") != "gone":
                    raise

    def _actor(self, agent: AgentConfig) -> Actor:
        spec = Spec(
            agent.id,
            "agent",
            (sys.executable, "-P", "-c", _BOOT, _ROOT),
            {"python": agent.python},
            # It is the user's own program.
            dict(os.environ),
            grace=GRACE_SECONDS,
        )
        handlers = {
            "ask": self._ask,
            "history": self._history,
            "patched": self._patched,
            "elicit": self._elicit,
            "command": self._command,
        }
        gone = partial(self._gone, agent.id)
        return Actor(spec, _ignore, handlers, self._redact, gone)

    def _gone(self, agent_id: str) -> None:
        if any(attached.agent_id == agent_id for attached in self._attached.values()):
            self.on_lost(agent_id)

    async def _call(self, actor: Actor, peer: Peer, params: dict[str, Any]) -> Any:
        self._told.add(peer)
        calling = asyncio.create_task(peer.call("run", params, settles=True))
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            self._told.add(peer)
            calling.cancel()
            if not await _answers(peer):
                # The others that are under way there are lost; this one isn't wanted any more.
                self._attached.pop(params["epoch"], None)
                await actor.stop("it took no notice of being canceled")
            with suppress(Fault, asyncio.CancelledError):
                await calling
            raise

    # What the agents ask for

    async def _ask(self, params: Any, progress: Progress) -> Any:
        attached = self._find(params)
        scope = attached.scope
        scope = Scope("", scope.actor, scope.exec_id, int(params["time_us"]))
        request = Request(
            _own(attached, params["key"], _KEY),
            params["type"],
            params["name"],
            params["arguments"],
            scope,
            params["effect"],
            params["timeout"],
            Retry(*params["retry"]),
            by_model=params["by_model"],
            body=params["body"],
        )
        if request.key in attached.asked:
            raise Fault("key", f"{request.key} was asked for before")
        attached.asked.add(request.key)
        if params["own"]:
            request.function = partial(self._step, attached, params["epoch"], request.key)
        try:
            value = await _answer(attached.journal, request)
        except StepFailed as failed:
            await attached.journal.committed()
            time_us = scope.time_us
            raise Fault("step", failed.message, why=failed.code, time_us=time_us) from None
        else:
            # Whoever isn't in this process hears of nothing that isn't on disk.
            await attached.journal.committed()
            return {"value": dump_json(value), "time_us": scope.time_us}
        finally:
            self._told.add(attached.peer)

    async def _step(self, attached: _Attached, epoch: int, key: str) -> Any:
        this = attached.steps[key] = call()
        params = {
            "epoch": epoch,
            "key": key,
            "idempotency_key": this.idempotency_key,
            "attempt": this.attempt,
            "workspace": this.workspace,
        }

        def show(said: Any) -> None:
            channel, text = said
            this.delta(str(text)[:MAX_DELTA], str(channel)[:MAX_CHANNEL])

        try:
            result = await attached.peer.call("step", params, show)
        except Fault as fault:
            raise _unkept(fault) from None
        finally:
            attached.steps.pop(key, None)
        return load_json(result)

    async def _elicit(self, params: Any, progress: Progress) -> Any:
        this = self._step_of(params)
        return await this.ask(str(params["question"]), params["choices"], params["about"])

    async def _command(self, params: Any, progress: Progress) -> Any:
        this = self._step_of(params)
        try:
            return await this.environment.run(on_output=progress, **params["wanted"])
        except ToolError as error:
            raise Fault("tool", str(error)) from None

    def _step_of(self, params: Any) -> Call:
        try:
            return self._find(params).steps[params["key"]]
        except KeyError:
            raise Fault("stale", "this step is over") from None

    async def _history(self, params: Any, progress: Progress) -> Any:
        return await self._find(params).journal.history(int(params["limit"]))

    async def _patched(self, params: Any, progress: Progress) -> Any:
        attached = self._find(params)
        path = _own(attached, params["path"], _PATH)
        scope = Scope(path, attached.scope.actor, attached.scope.exec_id, 0)
        scope.place = int(params["ordinal"]), int(params["branches"])
        return attached.journal.patched(scope, str(params["name"]))

    def _find(self, params: Any) -> _Attached:
        try:
            return self._attached[params["epoch"]]
        except KeyError:
            raise Fault("stale", "this call of the agent is over") from None


def _own(attached: _Attached, place: str, shape: re.Pattern[str]) -> str:
    """A key or path that is one of the agent's own."""
    path = attached.scope.path
    if not place.startswith(path) or not shape.fullmatch(place, len(path)):
        raise Fault("key", f"{place!r} is not a place in this call of the agent")
    return place


async def _answer(journal: Journal, request: Request) -> Any:
    """What the SDK's `Context` asks of the journal for a request of this type."""
    arguments = load_json(request.arguments)
    match request.type:
        case "function" | "tool" | "model":
            return await journal.perform(request)
        case "agent":
            return await journal.call_agent(request, arguments["input"], arguments["config"])
        case "approval":
            return await journal.ask(request, request.name, ("approve", "deny"))
        case "question":
            return await journal.ask(request, request.name, arguments)
        case "timer":
            return await journal.sleep(request, arguments)
        case "message":
            return await journal.emit(request, *arguments)
    raise Fault("type", f"there is no {request.type!r} to be asked for")


async def _answers(peer: Peer) -> bool:
    """Whether a process that isn't quiet comes to be so, or ends, before it counts as hung."""
    try:
        async with asyncio.timeout(HANG_SECONDS):
            await _is_quiet(peer)
    except TimeoutError:
        return False
    return True


async def _is_quiet(peer: Peer) -> None:
    """Wait until a process is quiet, or gone."""
    with suppress(Fault):
        await peer.call("quiet", None)


def _unkept(fault: Fault) -> Exception:
    """What to raise of a fault in a process."""
    return NotKept(str(fault)) if fault.code in ("result", "size") else fault


def _ignore(change: Change) -> None:
    """What matters of it is noticed by whoever has called the agent."""
