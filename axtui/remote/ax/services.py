"""What a server serves to clients of Google AX, by all the names that AX has had for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio

from axtui import rpc
from axtui.agent import ActorError
from axtui.ax import ax_pb2 as ax
from axtui.local import LocalClient
from axtui.remote.ax.fork import fork_point
from axtui.remote.ax.turn import Ended, turn
from axtui.remote.ax.view import OutOfRange
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import LeaseHeld, LogDamaged, LogError, Taken, UnknownConversation

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
ClientFor: TypeAlias = Callable[[Context], LocalClient]

_SERVED = ("ControllerService", "ExecutionService", "InteractionsService", "ConversationService")
# Their full names, for reflection.
AX_SERVICES = tuple(f"ax.{name}" for name in _SERVED)
_STATUS = {
    "usage": grpc.StatusCode.INVALID_ARGUMENT,
    "unknown": grpc.StatusCode.NOT_FOUND,
    "in_flight": grpc.StatusCode.FAILED_PRECONDITION,
    "state": grpc.StatusCode.FAILED_PRECONDITION,
    "held": grpc.StatusCode.UNAVAILABLE,
    "denied": grpc.StatusCode.PERMISSION_DENIED,
    "limit": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "version": grpc.StatusCode.FAILED_PRECONDITION,
    # How runs end.
    "failed": grpc.StatusCode.UNKNOWN,
    "canceled": grpc.StatusCode.CANCELLED,
    "paused": grpc.StatusCode.UNAVAILABLE,
}


def ax_services(client_for: ClientFor) -> tuple[grpc.GenericRpcHandler, ...]:
    """The services to add to a server of `grpc.aio`, in the event loop of the client's controller.

    `client_for` gives the client that acts for whoever makes a call.
    """
    execution = _Execution(client_for)
    served = (execution, execution, _Interactions(client_for), _Conversations(client_for))
    services = ax.DESCRIPTOR.services_by_name
    return tuple(
        rpc.service(services[name], implementation)
        for name, implementation in zip(_SERVED, served, strict=True)
    )


class _Execution:
    def __init__(self, client_for: ClientFor) -> None:
        self._client_for = client_for

    async def exec(
        self, request: ax.ExecRequest, context: Context
    ) -> AsyncGenerator[ax.ExecResponse, None]:
        async with _told(context), aclosing(turn(self._client_for(context), request)) as seen:
            async for seq, messages in seen:
                yield ax.ExecResponse(outputs=messages, seq=seq)


class _Interactions:
    def __init__(self, client_for: ClientFor) -> None:
        self._client_for = client_for

    async def create_interaction(
        self, request: ax.CreateInteractionRequest, context: Context
    ) -> AsyncGenerator[ax.CreateInteractionResponse, None]:
        asked = ax.ExecRequest(
            conversation_id=request.conversation_id,
            inputs=request.inputs,
            last_seq=request.last_step,
            agent_id=request.harness_id,
            agent_config=request.harness_config,
        )
        async with _told(context), aclosing(turn(self._client_for(context), asked)) as seen:
            async for step, messages in seen:
                yield ax.CreateInteractionResponse(outputs=messages, step=step)


class _Conversations:
    def __init__(self, client_for: ClientFor) -> None:
        self._client_for = client_for

    async def delete_conversation(
        self, request: ax.DeleteConversationRequest, context: Context
    ) -> ax.DeleteConversationResponse:
        async with _told(context):
            await self._client_for(context).delete(_named(request.conversation_id), "")
        return ax.DeleteConversationResponse()

    async def fork_conversation(
        self, request: ax.ForkConversationRequest, context: Context
    ) -> ax.ForkConversationResponse:
        client = self._client_for(context)
        async with _told(context):
            source = _named(request.src_conversation_id)
            seq = await fork_point(client, source, request.src_seq)
            made = await client.fork(source, seq, request.dest_conversation_id, None)
        return ax.ForkConversationResponse(conversation_id=made)


def _named(conversation_id: str) -> str:
    if not conversation_id:
        raise Refused("usage", "the conversation has no id")
    return conversation_id


@asynccontextmanager
async def _told(context: Context) -> AsyncIterator[None]:
    """Whatever is foreseen to go wrong becomes a status."""
    try:
        yield
    except (Refused, LogError) as error:
        hint = f"; {error.hint}" if error.hint else ""
        await context.abort(_status(error), f"{error}{hint}")
    except ActorError as error:
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
    except Ended as ended:
        await context.abort(_STATUS[ended.state], str(ended))
    except OutOfRange as error:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, str(error))


def _status(error: Refused | LogError) -> grpc.StatusCode:
    match error:
        case Refused():
            return _STATUS[error.code]
        case UnknownConversation():
            return grpc.StatusCode.NOT_FOUND
        case Taken():
            return grpc.StatusCode.ALREADY_EXISTS
        case LeaseHeld():
            return grpc.StatusCode.UNAVAILABLE
        case LogDamaged():
            return grpc.StatusCode.DATA_LOSS
    return grpc.StatusCode.INTERNAL
