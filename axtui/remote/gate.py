"""What every call to a server passes, whichever service it is for."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, nullcontext
from contextvars import ContextVar
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from axtui.agent import ActorError
from axtui.remote import messages as msg
from axtui.remote.access import Access, Caller, Context, Unauthenticated, host_of
from axtui.remote.limits import Limits
from axtui.remote.roles import denial, least_role, suffices
from axtui.remote.unharmed import unharmed
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import LogError

# How long a request may be on its way.
REQUEST_SECONDS = 120.0
_STATUS = {
    "usage": grpc.StatusCode.INVALID_ARGUMENT,
    "version": grpc.StatusCode.FAILED_PRECONDITION,
    "unknown": grpc.StatusCode.NOT_FOUND,
    "no_event": grpc.StatusCode.OUT_OF_RANGE,
    "taken": grpc.StatusCode.ALREADY_EXISTS,
    "denied": grpc.StatusCode.PERMISSION_DENIED,
    "limit": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "in_flight": grpc.StatusCode.FAILED_PRECONDITION,
    "held": grpc.StatusCode.FAILED_PRECONDITION,
    "state": grpc.StatusCode.FAILED_PRECONDITION,
    "damaged": grpc.StatusCode.DATA_LOSS,
}
_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Who makes the call that is being served."""
    return _caller.get()


class Gate(grpc.aio.ServerInterceptor):
    """Nothing is read of a call before it is known who makes it, that he may, and that it isn't too
    much. Without `limits` everybody may do as much as he likes.

    What a method raises is told to the client. Requests of a stream come to it by iteration alone.
    """

    def __init__(self, access: Access, limits: Limits | None, max_message: int) -> None:
        self._access = access
        self._limits = limits
        self._max_message = max_message

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """A handler that does what the real one does, once it is decided that it may."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = str(handler_call_details.method)

        # For gRPC all methods are streams of requests, since it reads other requests before it
        # calls anybody.
        async def gated(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
            try:
                admitted = self._admitted(method, context)
                _caller.set(admitted)
                with self._limits.call(admitted.client) if self._limits else nullcontext():
                    async with aclosing(self._replies(handler, requests, context)) as replies:
                        async for reply in replies:
                            if not admitted.is_valid():
                                raise Unauthenticated("you are let in no more", "")
                            yield reply
            except Exception as error:
                try:
                    await _refuse(context, error)
                except grpc.aio.InternalError:
                    # Whoever asked has gone just now, and can't be told any more.
                    raise asyncio.CancelledError from None

        return grpc.stream_stream_rpc_method_handler(
            gated,
            response_serializer=handler.response_serializer,
        )

    def _admitted(self, method: str, context: Context) -> Caller:
        least = least_role(method)
        try:
            found = self._access.caller(context)
        except Unauthenticated:
            if least:
                raise
            return Caller("", "", host_of(context))
        if not suffices(found.role, least):
            raise Refused(
                "denied",
                denial(found.name, found.role, method),
                "ask whoever runs the server for another token",
            )
        return found

    async def _replies(
        self, handler: Any, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncGenerator[Any, None]:
        given: Any = self._parsed(handler, requests)
        if not handler.request_streaming:
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    given = await anext(given, None)
            except TimeoutError:
                raise Refused("usage", "the request hasn't come in time") from None
            if given is None:
                raise Refused("usage", "there is no request in the call")
        ask = "stream" if handler.request_streaming else "unary"
        answer = "stream" if handler.response_streaming else "unary"
        method = getattr(handler, f"{ask}_{answer}")
        if not handler.response_streaming:
            yield await unharmed(method(given, context))
            return
        async with aclosing(method(given, context)) as replies:
            async for reply in replies:
                yield reply

    async def _parsed(self, handler: Any, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in requests:
            if len(data) > self._max_message:
                raise Refused(
                    "limit",
                    f"a message has at most {self._max_message:,} bytes, not {len(data):,}",
                    "the server's limit is server.limits.message",
                )
            try:
                yield handler.request_deserializer(data)
            except DecodeError:
                raise Refused("usage", "the request isn't what the method takes") from None


async def _refuse(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError | grpc.aio.InternalError):
        raise error
    if not isinstance(error, Refused | LogError | ActorError | OSError):
        # A mistake of ours: whoever runs the server has to see it, the client not.
        traceback.print_exception(error, file=sys.stderr)
        await context.abort(grpc.StatusCode.INTERNAL, "the server has failed")
    problem = msg.problem(error)
    details = (("axtui-problem-bin", problem.SerializeToString()),)
    status = _STATUS.get(problem.code, grpc.StatusCode.INTERNAL)
    if isinstance(error, Unauthenticated):
        status = grpc.StatusCode.UNAUTHENTICATED
    await context.abort(status, problem.message[:1000], details)
