"""Running what users wrote: agents, and the functions of steps, whatever kind they are."""

from __future__ import annotations

import asyncio
import inspect
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, NoReturn

from axtui.agent import (
    ActorError,
    Agent,
    Call,
    Context,
    ContinueRun,
    StepFailed,
    ToolError,
    _call,
)
from axtui.model.codec import dump_json
from axtui.runtime.actors.wire import Fault
from axtui.v1 import event_pb2 as pb

_MAX_TEXT = 1 << 16


class StepTimeout(Exception):
    """An attempt took longer than it may, so that nobody knows what it did."""


class NotKept(ValueError):
    """What was returned is nothing that a log can hold."""


async def run_agent(agent: Agent, context: Context) -> tuple[Any, str]:
    """What the agent returns, and its private state then. Raises what it raises."""
    try:
        value = await agent.function(context)
    except SystemExit as error:
        # It would end the event loop, and every other run with it.
        raise RuntimeError(f"the agent called sys.exit({error.code!r})") from error
    try:
        return value, dump_json(context.state)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"private state can't be kept: {error}") from None


async def too_late(task: asyncio.Task[Any]) -> NoReturn:
    """Cancel who still asks once its run is over; who takes no notice of it waits for ever."""
    if not task.cancelling():
        task.cancel()
    await asyncio.get_running_loop().create_future()
    raise asyncio.CancelledError


async def run_effect(
    function: Callable[[], Any], call: Call, timeout: float | None, task: asyncio.Task[Any]
) -> Any:
    """The value of `function()`: awaited in the loop if it is async, else made in a thread.

    Raises StepTimeout after `timeout` seconds, CancelledError if and only if somebody has canceled
    `task`, which is the one that calls, and whatever the function raises.
    """
    canceled = task.cancelling()
    token = _call.set(call)
    try:
        value = await (_run(function) if timeout is None else _in_time(function, timeout))
    except asyncio.CancelledError as error:
        if task.cancelling() > canceled:
            raise
        raise RuntimeError("the function was canceled from within") from error
    finally:
        _call.reset(token)
    if task.cancelling() > canceled:
        # The function took no notice of it; its caller has to.
        raise asyncio.CancelledError
    return value


async def _in_time(function: Callable[[], Any], timeout: float) -> Any:
    try:
        async with asyncio.timeout(timeout) as limit:
            return await _run(function)
    except TimeoutError:
        if limit.expired():
            raise StepTimeout(f"no outcome within {timeout:g} s") from None
        raise


async def _run(function: Callable[[], Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function()
    result = await _in_thread(function)
    return await result if inspect.isawaitable(result) else result


async def _in_thread(function: Callable[[], Any]) -> Any:
    """Like asyncio.to_thread, but a daemon: a function that hangs must not keep the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        elif isinstance(error, Exception | SystemExit) and not isinstance(error, StopIteration):
            done.set_exception(error)
        else:
            # Such as StopIteration or CancelledError, which would mean something to who awaits.
            done.set_exception(RuntimeError(f"the function raised {type(error).__name__}"))

    def run() -> None:
        result, error = None, None
        try:
            result = context.run(function)
        except BaseException as raised:
            error = raised
        # The loop may be gone by now, and everybody who waited with it.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="axtui-step", daemon=True).start()
    return await done


def is_unknown(error: BaseException) -> bool:
    """Whether nobody knows what the attempt did that failed with this."""
    return isinstance(error, StepTimeout) or (isinstance(error, ActorError) and error.unknown)


class Deltas:
    """Provisional text of one attempt; it may come from the thread of a function."""

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._show = show
        self._over = False

    def add(self, text: str, channel: str = "output") -> None:
        """Show some more."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if not self._over:
                self._loop.call_soon_threadsafe(self._add, text, channel)
        else:
            self._add(text, channel)

    def end(self) -> None:
        """Show nothing more."""
        self._over = True

    def _add(self, text: str, channel: str) -> None:
        if not self._over:
            self._show(channel, text)


def kept(value: Any) -> str:
    """A value as the log keeps it: JSON. Raises NotKept."""
    try:
        return dump_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotKept(str(error)) from None


def describe(error: BaseException) -> pb.Error:
    """An exception as a log keeps it once its secrets are taken out and its texts are cut, in this
    order: of a secret that is cut before, some would stay.
    """
    if isinstance(error, Fault):
        # It was described where it happened.
        detail = _clean(str(error.details.get("detail", "")))
        return pb.Error(code=error.code, message=_clean(str(error)), detail=detail)
    if isinstance(error, NotKept):
        message = _clean(f"it returned what the log can't hold: {error}")
        return pb.Error(code="result", message=message)
    if isinstance(error, ToolError):
        return pb.Error(code="tool", message=_clean(_text(error)))
    if isinstance(error, StepTimeout):
        return pb.Error(code="timeout", message=str(error))
    if isinstance(error, ActorError):
        return pb.Error(code=error.code, message=_clean(_text(error)))
    if isinstance(error, StepFailed):
        return pb.Error(code="step", message=_clean(str(error)))
    if isinstance(error, ContinueRun):
        return pb.Error(code="exception", message="only a run's own agent can use continue_with")
    trace = "".join(traceback.format_exception(error))
    return pb.Error(
        code="exception",
        message=_clean(f"{type(error).__name__}: {_text(error)}"),
        detail=_clean(trace[-_MAX_TEXT:]),
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(it can't say why)"


def _clean(text: str) -> str:
    return text[:_MAX_TEXT].encode(errors="replace").decode()
