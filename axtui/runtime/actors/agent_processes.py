"""The agents that users write: each runs outside of the controller, and asks its journal here.

A run has one process for each agent that is named with `python:` or `command:`, started when the
agent is called and ended with the run; `agent_host.py` is what runs in the former. Others are
served at an address. `agent_calls.py` has what they ask for.

When a process ends before its agent has, or a connection is lost, the run is driven anew, as after
a crash of the controller.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import axtui
from axtui.agent import ActorError, Agent, ContinueRun, Scope
from axtui.model.codec import dump_json, load_json
from axtui.runtime import replay
from axtui.runtime.actors.agent_calls import AgentCall, unkept
from axtui.runtime.actors.supervisor import Actor, Change, Spec
from axtui.runtime.actors.wire import Fault, Handler, Peer, Progress
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.config_values import MAX_SECONDS
from axtui.runtime.eventlog.base import LogError
from axtui.runtime.registry import Registered, not_loaded

if TYPE_CHECKING:
    from axtui.runtime.journal import Journal

# An agent that is canceled may take its time to clean up, if only it answers meanwhile.
HANG_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
_GLANCE_SECONDS = 2.0
# How long the other agents of a run wait for one that computes.
BUSY_SECONDS = 10.0
# Nothing counts that a process does once it is to end.
GRACE_SECONDS = 0.1
# Of the protocol.
VERSION = 1
# A file in the current folder must not stand in for what Python or axtui need to get going.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from axtui.runtime.actors.agent_host import main; del sys.path[0]; main()"
)
_ROOT = str(Path(axtui.__file__).parents[1])


class Home(Protocol):
    """Where an agent's calls are made."""

    @property
    def pid(self) -> int:
        """Of the process that is there for this run alone; 0 if there is none."""
        ...

    @property
    def why(self) -> str:
        """Why it was lost the last time."""
        ...

    @property
    def stderr(self) -> str:
        """The last of what the process wrote."""
        ...

    async def ready(self) -> Any:
        """Have it there; gives back what the agent says of itself. Raises Fault."""
        ...

    def use(self) -> AbstractAsyncContextManager[Peer]:
        """Where to make calls, there if need be. Raises Fault."""
        ...

    async def stop(self, why: str = ...) -> None:
        """Have it gone; it can be used again."""
        ...


class AgentProcesses:
    """The processes of one run's agents.

    `on_lost` is told of an agent whose process ended before it, or that can't be reached any more,
    as soon as that is noticed. `patience` is how long one that was never reached is tried, in
    seconds.
    """

    def __init__(self, redact: Callable[[str], str], patience: float | None = None) -> None:
        self.on_lost: Callable[[AgentConfig], None] = lambda agent: None
        self._redact = redact
        self._patience = PATIENCE_SECONDS if patience is None else patience
        self._starting = 0
        self._homes: dict[str, Home] = {}
        # By path. Whatever is asked has to name the epoch too, so that nothing of an earlier call
        # is taken for one of this.
        self._attached: dict[str, AgentCall] = {}
        # Who was told something since it was known to be quiet, and who didn't answer in time.
        self._told: set[Peer] = set()
        self._busy: set[Peer] = set()

    async def start(self, agent: Registered) -> Registered:
        """Have an agent ready, if it isn't in this process; gives it back with what it says of
        itself. Raises Refused, and ActorError if it can't be reached."""
        if isinstance(agent, Agent):
            return agent
        if agent.protocol != "axtui":
            from axtui.runtime.actors.ax import agent as ax_agent

            await ax_agent.check(agent)
            return agent
        home = self._home(agent)
        try:
            info = await self._ready(home)
        except Fault as fault:
            if fault.code == "unreachable":
                raise ActorError(fault.code, str(fault)) from None
            raise not_loaded(agent, home.why) from None
        match info:
            case {"description": str(description), "timeout": int() | float() | None as timeout}:
                if timeout is None or 0 < timeout <= MAX_SECONDS:
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
        home = self._home(agent)
        params = {
            "version": VERSION,
            "epoch": journal.epoch,
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
            await self._restarted(home)
            async with home.use() as peer:
                self._attached[scope.path] = AgentCall(agent, journal, scope, peer, self._told)
                try:
                    reply = await self._call(home, peer, params)
                finally:
                    self._attached.pop(scope.path, None)
        except Fault as fault:
            match fault.code:
                case "gone":
                    await _until_canceled()
                case "canceled":
                    raise asyncio.CancelledError from None
                case "unreachable" if params["changes"] or not scope.path:
                    journal.pause(fault)
                    await _until_canceled()
                case "start" | "failed":
                    fault = Fault("agent", str(fault), detail=home.stderr)
                    if params["changes"]:
                        # It did something before, so this can't be how its call ends.
                        journal.fail(fault)
            raise unkept(fault) from None
        if "continue_with" in reply:
            raise ContinueRun(load_json(reply["continue_with"]))
        return load_json(reply["value"]), str(reply["state"])

    def why(self, agent: AgentConfig) -> str:
        """How an agent was lost."""
        home = self._homes[agent.id]
        if agent.address:
            return f"the connection to {agent.id} at {agent.address} was lost ({home.why})"
        return f"the process of {agent.id} ended ({home.why})"

    async def close(self) -> None:
        """End them all."""
        await asyncio.gather(*(home.stop() for home in self._homes.values()))

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

    async def _ready(self, home: Home) -> Any:
        self._starting += 1
        try:
            return await home.ready()
        finally:
            self._starting -= 1

    async def _restarted(self, home: Home) -> None:
        while True:
            try:
                await self._ready(home)
                return
            except Fault as fault:
                # It may end while it starts as well as later.
                if fault.details.get("reason") != "gone":
                    raise

    def _home(self, agent: AgentConfig) -> Home:
        if agent.id not in self._homes:
            make: Callable[[AgentConfig], Home] = self._actor if agent.python else self._served
            self._homes[agent.id] = make(agent)
        return self._homes[agent.id]

    def _served(self, agent: AgentConfig) -> Home:
        # It needs gRPC, which takes its time to be imported.
        from axtui.runtime.actors.served_agents import ServedAgent

        return ServedAgent(agent, self._handlers(), self._redact, self._gone, self._patience)

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
        return Actor(spec, ignore, self._handlers(), self._redact, self._gone)

    def _handlers(self) -> dict[str, Handler]:
        async def asked(method: str, params: Any, progress: Progress) -> Any:
            attached = self._attached.get(params["path"])
            if attached is None or attached.name["epoch"] != params["epoch"]:
                raise Fault("stale", "this call of the agent is over")
            return await getattr(attached, method)(params, progress)

        names = ("ask", "history", "listen", "patched", "elicit", "command")
        return {name: partial(asked, name) for name in names}

    def _gone(self, peer: Peer) -> None:
        for attached in self._attached.values():
            if attached.peer is peer and peer.waits:
                self.on_lost(attached.agent)
                return

    async def _call(self, home: Home, peer: Peer, params: dict[str, Any]) -> Any:
        self._told.add(peer)
        calling = asyncio.create_task(peer.call("run", params, settles=True))
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            self._told.add(peer)
            calling.cancel()
            if not await _answers(peer):
                # The others that are under way there are lost; this one isn't wanted any more.
                self._attached.pop(params["path"], None)
                if home.pid:
                    await home.stop("it took no notice of being canceled")
                else:
                    peer.close()
            with suppress(Fault, asyncio.CancelledError):
                await calling
            raise


async def described(agent: Registered, redact: Callable[[str], str]) -> Registered:
    """An agent with what it says of itself, asked now. Raises Refused and ActorError, as `start`
    does."""
    processes = AgentProcesses(redact, _GLANCE_SECONDS)
    try:
        return await processes.start(agent)
    finally:
        await processes.close()


async def _until_canceled() -> NoReturn:
    """Wait for the driver, which has been told."""
    await asyncio.get_running_loop().create_future()
    raise asyncio.CancelledError


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


def ignore(change: Change) -> None:
    """What matters of it is noticed by whoever has called the agent."""
