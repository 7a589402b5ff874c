"""Where the code of an agent that a user wrote is run: its tasks and the functions of its steps.

Its journal is the controller's. What the context asks of it goes there as a call, and comes back
once it is the agent's turn to know; `agent_processes.py` is the other end. `main` is the process
of one agent, gone once that end is; `agent_server.py` serves others over gRPC.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context as Variables
from contextvars import copy_context
from dataclasses import asdict
from functools import partial
from typing import Any, NoReturn

from axtui.agent import (
    Agent,
    Call,
    Context,
    ContinueRun,
    Request,
    Scope,
    StepFailed,
    ToolError,
    _scope,
)
from axtui.model.codec import dump_json, load_json
from axtui.runtime import replay
from axtui.runtime.actors.wire import Fault, Handler, Peer, Progress, serve
from axtui.runtime.effects import (
    Deltas,
    NotKept,
    describe,
    kept,
    run_agent,
    run_effect,
    too_late,
)
from axtui.runtime.loading import NotLoaded, load_agent


class Host:
    """Runs `agent` for the controller at the other end of `peer`."""

    agent: Agent

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        # By key: what a step calls, and the context variables of who asked for it.
        self._functions: dict[str, tuple[Callable[[], Any], Variables]] = {}
        self._doing = 0
        # Set while no step is being done.
        self.idle = asyncio.Event()
        self.idle.set()

    def handlers(self) -> dict[str, Handler]:
        """What the controller may call."""
        return {"run": self.run, "step": self.step, "quiet": self.quiet}

    async def run(self, params: Any, progress: Progress) -> Any:
        """Run the agent to its end."""
        scope = Scope(params["path"], params["agent"], params["exec_id"], params["time_us"])
        _scope.set(scope)
        journal = _Journal(self._peer, self.agent, self._functions, params)
        context = Context(
            params["agent"],
            params["conversation"],
            params["input"],
            load_json(params["config"]),
            load_json(params["state"]) or {},
            params["workspace"],
            journal,
        )
        try:
            value, state = await run_agent(self.agent, context)
            return {"value": kept(value), "state": state}
        except asyncio.CancelledError:
            raise
        except ContinueRun as left:
            return {"continue_with": kept(left.state)}
        except BaseException as error:
            raise _told(error) from None
        finally:
            journal.over = True

    async def step(self, params: Any, progress: Progress) -> Any:
        """Call the function of a step, with the context variables that it was asked for with."""
        function, variables = self._functions[params["key"]]
        doing = _do(self._peer, function, params, progress)
        self._doing += 1
        self.idle.clear()
        try:
            return {"value": await asyncio.create_task(doing, context=variables.copy())}
        finally:
            self._doing -= 1
            if not self._doing:
                self.idle.set()

    async def quiet(self, params: Any, progress: Progress) -> None:
        """Wait until what the agent was told has set off all that it does."""
        await self._peer.taken()
        await replay.quiet(asyncio.get_running_loop())


async def _do(peer: Peer, function: Callable[[], Any], params: Any, progress: Progress) -> str:
    task = asyncio.current_task()
    assert task is not None
    deltas = Deltas(lambda channel, text: progress({"channel": channel, "text": text}))
    controller = _Controller(peer, {**_call(params), "key": params["key"]})
    this = Call(
        idempotency_key=params["idempotency_key"],
        attempt=params["attempt"],
        workspace=params["workspace"],
        delta=deltas.add,
        ask=controller.ask,
        environment=controller,
    )
    try:
        return kept(await run_effect(function, this, None, task))
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        raise _told(error) from None
    finally:
        deltas.end()


class _Controller:
    """What the function of a step can ask of the controller."""

    def __init__(self, peer: Peer, step: dict[str, Any]) -> None:
        self._peer = peer
        self._step = step

    async def ask(self, question: str, choices: Sequence[str], about: Any) -> str:
        said = {"question": question, "choices": list(choices), "about": dump_json(about)}
        answer = await self._peer.call("elicit", {**self._step, **said})
        return str(answer["text"])

    async def run(
        self,
        command: str,
        *,
        workspace: str,
        timeout: float | None = None,
        on_output: Callable[[str], None] = lambda text: None,
        variables: Mapping[str, str] | None = None,
        readable: Sequence[str] = (),
    ) -> dict[str, Any]:
        wanted = {
            "command": command,
            "workspace": workspace,
            "timeout": timeout,
            "variables": dict(variables or {}),
            "readable": list(readable),
        }
        try:
            done = await self._peer.call(
                "command", {**self._step, **wanted}, lambda shown: on_output(shown["text"])
            )
        except Fault as fault:
            raise ToolError(str(fault)) from None
        return dict(done)


def _call(params: Any) -> dict[str, Any]:
    """What tells the calls of agents apart."""
    return {"epoch": params["epoch"], "path": params["path"]}


def _told(error: BaseException) -> Fault:
    if isinstance(error, NotKept):
        return Fault("result", str(error))
    described = describe(error)
    return Fault(described.code, described.message, detail=described.detail)


class _Journal:
    """What the context of one call of the agent stands on."""

    def __init__(
        self,
        peer: Peer,
        agent: Agent,
        functions: dict[str, tuple[Callable[[], Any], Variables]],
        params: Any,
    ) -> None:
        self._peer = peer
        self._brought = {
            "tool": {tool.name: tool for tool in agent.tools},
            "model": {model.name: model for model in agent.models},
        }
        self._functions = functions
        self._call = _call(params)
        self._changes: dict[str, bool] = params["changes"]
        self.seed: str = params["seed"]
        # Once the agent has returned, what it has left behind asks for nothing more: whether that
        # would arrive in time would differ from one time to the next.
        self.over = False

    async def perform(self, request: Request) -> Any:
        tool = self._brought.get(request.type, {}).get(request.name)
        if tool is not None:
            request.effect, request.timeout, request.retry = tool.effect, tool.timeout, tool.retry
            arguments = load_json(request.arguments) if request.body is None else request.body
            request.function = partial(tool.function, **arguments)
        if request.function is None:
            return await self._ask(request)
        self._functions[request.key] = request.function, copy_context()
        try:
            return await self._ask(request)
        finally:
            del self._functions[request.key]

    async def call_agent(self, request: Request, input: str, config: Any) -> Any:
        return await self._ask(request)

    async def ask(self, request: Request, question: str, choices: Sequence[str]) -> str:
        return str(await self._ask(request))

    async def sleep(self, request: Request, seconds: float) -> None:
        await self._ask(request)

    async def emit(self, request: Request, text: str, thought: bool, internal: bool) -> None:
        await self._ask(request)

    async def history(self, limit: int) -> list[tuple[str, str]]:
        found = await self._peer.call("history", {**self._call, "limit": limit})
        return [(said["role"], said["text"]) for said in found["messages"]]

    async def told(self, scope: Scope) -> list[str]:
        if self.over:
            await too_late(scope.task)
        place = {"line": scope.path, "ordinal": scope.place[0]}
        asking = asyncio.create_task(self._peer.call("listen", {**self._call, **place}))
        canceled = False
        while not asking.done():
            # Who gives up waits too: what is handed over has taken a key, whoever wants it.
            try:
                await asyncio.wait({asking})
            except asyncio.CancelledError:
                canceled = True
        heard = await _answer(scope, asking)
        if heard["texts"]:
            scope.next_key()
            scope.time_us = heard["time_us"]
        if canceled:
            raise asyncio.CancelledError
        return list(heard["texts"])

    def patched(self, scope: Scope, name: str) -> bool:
        if self.over or not scope.may_change(self._changes):
            return False
        ordinal, branches = scope.place
        params = {
            **self._call,
            "line": scope.path,
            "ordinal": ordinal,
            "branches": branches,
            "name": name,
        }
        # It comes before whatever is asked for next.
        self._peer.tell("patched", params)
        scope.next_key()
        return True

    async def _ask(self, request: Request) -> Any:
        scope = request.scope
        if self.over:
            await too_late(scope.task)
        params = {
            **self._call,
            "key": request.key,
            "type": request.type,
            "name": request.name,
            "arguments": request.arguments,
            "time_us": scope.time_us,
            "effect": request.effect,
            "timeout": request.timeout,
            "retry": asdict(request.retry),
            "own": request.function is not None,
            "by_model": request.by_model,
            "body": None if request.body is None else dump_json(request.body),
        }
        told = await _answer(scope, self._peer.call("ask", params, settles=True))
        scope.time_us = told["time_us"]
        if failed := told.get("failed"):
            raise StepFailed(request.key, request.name, failed["code"], failed["message"])
        return load_json(told["value"])


async def _answer(scope: Scope, call: Awaitable[Any]) -> Any:
    try:
        return await call
    except Fault as fault:
        if fault.code in ("canceled", "gone", "stale"):
            await too_late(scope.task)
        raise RuntimeError(str(fault)) from None


async def _leave() -> NoReturn:
    sys.stdout.flush()
    os._exit(0)


def _process(peer: Peer) -> Mapping[str, Handler]:
    host = Host(peer)

    async def start(params: Any, progress: Progress) -> Any:
        """Find the agent; gives back what it says of itself."""
        try:
            host.agent = load_agent(params["python"])
        except NotLoaded as error:
            raise Fault("usage", str(error)) from None
        return {"description": host.agent.description, "timeout": host.agent.timeout}

    return {"start": start, **host.handlers()}


def main() -> None:
    """Serve the controller at the other end of standard input."""
    # What was said before a crash is not to be lost with it.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    serve(_process, _leave)
