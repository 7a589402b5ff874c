"""The process of an agent that a user wrote: its code, its tasks and the functions of its steps.

Its journal is the controller's. What the context asks of it goes there as a call, and comes back
once it is the agent's turn to know; `agent_processes.py` is the other end. Once that is gone, so
is this process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context as Variables
from contextvars import copy_context
from dataclasses import astuple
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
from axtui.model.codec import load_json
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


class _Host:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._agent: Agent
        # By key: what a step calls, and the context variables of who asked for it.
        self._functions: dict[str, tuple[Callable[[], Any], Variables]] = {}

    def handlers(self) -> Mapping[str, Handler]:
        return {"start": self.start, "run": self.run, "step": self.step, "quiet": self.quiet}

    async def start(self, params: Any, progress: Progress) -> Any:
        """Find the agent; gives back what it says of itself."""
        try:
            self._agent = load_agent(params["python"])
        except NotLoaded as error:
            raise Fault("usage", str(error)) from None
        return {"description": self._agent.description, "timeout": self._agent.timeout}

    async def run(self, params: Any, progress: Progress) -> Any:
        """Run the agent to its end."""
        scope = Scope(params["path"], params["agent"], params["exec_id"], params["time_us"])
        _scope.set(scope)
        context = Context(
            params["agent"],
            params["conversation"],
            params["input"],
            load_json(params["config"]),
            load_json(params["state"]) or {},
            params["workspace"],
            _Journal(self._peer, self._agent, self._functions, params),
        )
        try:
            value, state = await run_agent(self._agent, context)
            return {"value": kept(value), "state": state}
        except asyncio.CancelledError:
            raise
        except ContinueRun as left:
            return {"continue": kept(left.state)}
        except BaseException as error:
            raise _told(error) from None

    async def step(self, params: Any, progress: Progress) -> Any:
        """Call the function of a step, with the context variables that it was asked for with."""
        function, variables = self._functions[params["key"]]
        doing = _do(self._peer, function, params, progress)
        return await asyncio.create_task(doing, context=variables.copy())

    async def quiet(self, params: Any, progress: Progress) -> None:
        """Wait until what the agent was told has set off all that it does."""
        await replay.quiet(asyncio.get_running_loop())


async def _do(peer: Peer, function: Callable[[], Any], params: Any, progress: Progress) -> str:
    task = asyncio.current_task()
    assert task is not None
    deltas = Deltas(lambda channel, text: progress([channel, text]))
    controller = _Controller(peer, {"epoch": params["epoch"], "key": params["key"]})
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
        asked = {**self._step, "question": question, "choices": list(choices), "about": about}
        return str(await self._peer.call("elicit", asked))

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
            done = await self._peer.call("command", {**self._step, "wanted": wanted}, on_output)
        except Fault as fault:
            raise ToolError(str(fault)) from None
        return dict(done)


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
        self._epoch = params["epoch"]
        self._changes: dict[str, bool] = params["changes"]
        self.seed: str = params["seed"]

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
        found = await self._peer.call("history", {"epoch": self._epoch, "limit": limit})
        return [(role, text) for role, text in found]

    def patched(self, scope: Scope, name: str) -> bool:
        if not scope.may_change(self._changes):
            return False
        ordinal, branches = scope.place
        params = {
            "epoch": self._epoch,
            "path": scope.path,
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
        params = {
            "epoch": self._epoch,
            "key": request.key,
            "type": request.type,
            "name": request.name,
            "arguments": request.arguments,
            "time_us": scope.time_us,
            "effect": request.effect,
            "timeout": request.timeout,
            "retry": astuple(request.retry),
            "own": request.function is not None,
            "by_model": request.by_model,
            "body": request.body,
        }
        try:
            told = await self._peer.call("ask", params, settles=True)
        except Fault as fault:
            await self._fail(request, fault)
        scope.time_us = told["time_us"]
        return load_json(told["value"])

    async def _fail(self, request: Request, fault: Fault) -> NoReturn:
        match fault.code:
            case "step":
                request.scope.time_us = fault.details["time_us"]
                why = fault.details["why"]
                raise StepFailed(request.key, request.name, why, str(fault)) from None
            case "canceled" | "gone" | "stale":
                await too_late(request.scope.task)
        raise RuntimeError(str(fault)) from None


async def _leave() -> NoReturn:
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    """Serve the controller at the other end of standard input."""
    # What was said before a crash is not to be lost with it.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    serve(lambda peer: _Host(peer).handlers(), _leave)
