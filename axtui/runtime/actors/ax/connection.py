"""Talking to an agent that speaks the protocol of Google AX, in either of its generations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, NamedTuple

import grpc
import grpc.aio

from axtui import rpc
from axtui.agent import ActorError
from axtui.ax import ax_pb2 as ax
from axtui.runtime.actors.served_agents import channel as channel_to
from axtui.runtime.config import Agent
from axtui.runtime.errors import Refused

CONNECT_SECONDS = 10.0
# What an agent has to end in once it was told to cancel; a run waits no longer for its own.
CANCEL_SECONDS = 0.2
_SERVICES = ax.DESCRIPTOR.services_by_name
# An agent that answers so has refused or failed. Whatever else cuts a stream leaves it open how far
# it came.
_KNOWN = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)


class Execution(NamedTuple):
    """What an agent is called with."""

    conversation_id: str
    exec_id: str
    config: bytes
    messages: list[ax.Message]


async def check(agent: Agent) -> None:
    """Raises ActorError if an agent can't be reached, and Refused if it says that it is ill."""
    async with _connected(agent) as channel:
        if agent.protocol != "ax":
            return
        stub = rpc.Stub(channel, _SERVICES["AgentService"])
        try:
            health = await stub.health_check(ax.HealthCheckRequest(), timeout=CONNECT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return
            raise _failure(agent, error) from None
    if not health.healthy:
        why = health.message[:500] or "it doesn't say why"
        raise Refused("state", f"agent {agent.id!r} at {agent.address} isn't healthy: {why}")


async def outputs(
    agent: Agent, execution: Execution, is_late: Callable[[], bool]
) -> AsyncGenerator[ax.Message, None]:
    """What an agent says, up to its end. Raises ActorError.

    Who stops before that has it canceled, because it `is_late` or because nobody wants it any more.
    """
    async with _connected(agent) as channel:
        if agent.protocol == "ax":
            responses = _from_agent(channel, agent, execution)
        else:
            responses = _from_harness(channel, agent, execution, is_late)
        try:
            async with aclosing(responses):
                async for messages in responses:
                    for message in messages:
                        yield message
        except grpc.aio.AioRpcError as error:
            raise _failure(agent, error) from None


@asynccontextmanager
async def _connected(agent: Agent) -> AsyncIterator[grpc.aio.Channel]:
    """A channel over which something can be sent; until then nothing was. Raises ActorError."""
    try:
        opened = channel_to(agent.address, agent.tls)
    except OSError as error:
        raise ActorError("unreachable", f"{error.filename}: {error.strerror}") from None
    async with opened as channel:
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                state = channel.get_state(try_to_connect=True)
                while state in (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING):
                    await channel.wait_for_state_change(state)
                    state = channel.get_state(try_to_connect=True)
        if channel.get_state() is not grpc.ChannelConnectivity.READY:
            raise ActorError(
                "unreachable",
                f"nobody answers for agent {agent.id!r} at {agent.address}",
                retryable=True,
            )
        yield channel


async def _from_agent(
    channel: grpc.aio.Channel, agent: Agent, execution: Execution
) -> AsyncGenerator[Sequence[ax.Message], None]:
    start = ax.AgentStart(
        agent_id=agent.id, agent_config=execution.config, messages=execution.messages
    )
    request = ax.AgentRequest(
        conversation_id=execution.conversation_id, exec_id=execution.exec_id, start=start
    )
    stub = rpc.Stub(channel, _SERVICES["AgentService"])
    async for response in stub.connect(request, metadata=_metadata(execution)):
        _check_echo(agent, "conversation", execution.conversation_id, response.conversation_id)
        _check_echo(agent, "execution", execution.exec_id, response.exec_id)
        if response.WhichOneof("type") == "end":
            return
        yield response.outputs.messages
    raise _without_end(agent)


async def _from_harness(
    channel: grpc.aio.Channel, agent: Agent, execution: Execution, is_late: Callable[[], bool]
) -> AsyncGenerator[Sequence[ax.Message], None]:
    stub = rpc.Stub(channel, _SERVICES["HarnessService"])
    stream = stub.connect(metadata=_metadata(execution))
    start = ax.HarnessStart(harness_config=execution.config, messages=execution.messages)
    known = execution.conversation_id
    await stream.write(ax.HarnessRequest(conversation_id=known, harness_id=agent.id, start=start))
    reading = asyncio.ensure_future(stream.read())
    has_ended = False
    try:
        # Whoever cancels a read itself cuts the stream, over which there is something to say first.
        while (response := await asyncio.shield(reading)) is not grpc.aio.EOF:
            _check_echo(agent, "conversation", known, response.conversation_id)
            if response.WhichOneof("type") == "end":
                has_ended = True
                _check_end(agent, response.end)
                return
            yield response.outputs.messages
            reading = asyncio.ensure_future(stream.read())
        has_ended = True
        raise _without_end(agent)
    finally:
        if not has_ended:
            reason = ax.CANCEL_REASON_TIMEOUT if is_late() else ax.CANCEL_REASON_USER_REQUESTED
            cancel = ax.HarnessCancel(reason=reason)
            told = ax.HarnessRequest(conversation_id=known, harness_id=agent.id, cancel=cancel)
            leaving = asyncio.ensure_future(_cancel(stream, reading, told))
            while not leaving.done():
                # A run that ends cancels what it does more than once.
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(leaving)
        reading.cancel()


async def _cancel(stream: Any, reading: Awaitable[Any], told: ax.HarnessRequest) -> None:
    """Tell a harness to stop, and give it a moment to end."""
    with suppress(TimeoutError, grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
        async with asyncio.timeout(CANCEL_SECONDS):
            await stream.write(told)
            await stream.done_writing()
            response = await asyncio.shield(reading)
            while response is not grpc.aio.EOF and response.WhichOneof("type") != "end":
                response = await stream.read()


def _metadata(execution: Execution) -> tuple[tuple[str, str], ...]:
    return (("execution-id", execution.exec_id),)


def _check_echo(agent: Agent, what: str, sent: str, echoed: str) -> None:
    if echoed != sent:
        raise ActorError(
            "protocol",
            f"{agent.id} answers for another {what}: {echoed[:200]!r} and not {sent!r}",
            unknown=True,
        )


def _check_end(agent: Agent, end: ax.HarnessEnd) -> None:
    why = end.error.description[:2000] or "it doesn't say why"
    if end.state == ax.STATE_CANCELED:
        raise ActorError("canceled", f"{agent.id} has canceled its execution: {why}")
    if end.state == ax.STATE_FAILED or end.HasField("error"):
        code = f" (code {end.error.code})" if end.error.code else ""
        raise ActorError("failed", f"{agent.id} has failed{code}: {why}")


def _without_end(agent: Agent) -> ActorError:
    return ActorError("lost", f"{agent.id} has stopped without an end", unknown=True)


def _failure(agent: Agent, error: grpc.aio.AioRpcError) -> ActorError:
    status = error.code()
    what = f"{agent.id} at {agent.address}: {status.name}: {(error.details() or '')[:2000]}"
    if status in _KNOWN:
        return ActorError("failed", what)
    return ActorError("lost", what, unknown=True)
