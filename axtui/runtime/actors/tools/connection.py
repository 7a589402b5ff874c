"""A server from when it was connected to until it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Protocol, cast, get_args

from mcp.client import Client, ClientRequestContext, IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestParams,
    ElicitResult,
    Implementation,
    InputRequest,
    InputRequiredResult,
    InputResponses,
    LoggingMessageNotificationParams,
    RequestParamsMeta,
    ToolListChangedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter, ValidationError

from axtui.runtime.actors.tools import http
from axtui.runtime.actors.tools.calls import NO_ANSWER, Ask, Call, OnProgress
from axtui.runtime.actors.tools.faults import Code, ToolFault
from axtui.runtime.actors.tools.listing import Listing, list_tools, shortened
from axtui.runtime.config import ToolServer

START_SECONDS = 60.0
LIST_SECONDS = 30.0
CLOSE_SECONDS = 20.0
MAX_ROUNDS = 10
MAX_MESSAGE = 4_000

_ROUND_SECONDS = 0.2
_LISTEN_SECONDS = 30.0
_ME = Implementation(name="axtui", version=version("axtui"))
# How the SDK begins what it says in the name of a server that has not answered.
_NO_ANSWER = ("SSE stream ", "Failed to parse ")
_RESULT: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    CallToolResult | InputRequiredResult
)


class Link(Protocol):
    """How a server is reached. `over` and `reason` tell when it no longer is, and why."""

    over: asyncio.Event
    reason: str

    def streams(self) -> AbstractAsyncContextManager[Any]: ...
    def last_words(self) -> str: ...


class Connection:
    """What can be done with a server while it is there."""

    client: Client
    listing: Listing

    def __init__(
        self, name: str, config: ToolServer, link: Link, on_change: Callable[[], None]
    ) -> None:
        self._name = name
        self._config = config
        self._link = link
        self._on_change = on_change
        self._calls: set[Call] = set()
        self._stale = False
        self._announced = False
        self._listing = asyncio.Lock()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lost = ""
        self.lost_at = 0.0
        self.proven = False
        """Whether it has done something for somebody."""

    @property
    def lost(self) -> str:
        """Why there is no server any more; nothing while there is."""
        return self._link.reason or self._lost or ("its connection broke" if self.lost_at else "")

    async def open(self) -> None:
        """Connect, and list the tools. Raises ToolFault."""
        self._task = asyncio.create_task(self._live())
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._settled.wait()
        except TimeoutError:
            slow = f"it wasn't ready within {START_SECONDS:g} s{self._link.last_words()}"
            raise ToolFault("timeout", slow) from None
        finally:
            if not self._settled.is_set():
                await self.close()
        if self.lost:
            raise ToolFault("unavailable", self.lost)

    async def close(self) -> None:
        """End it, and what it runs. Calls in flight are lost."""
        self._lost = self._lost or "it was stopped"
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)

    def about(self) -> dict[str, str]:
        """Who the server says that it is."""
        info = self.client.server_info
        instructions = self.client.instructions or ""
        return {
            "name": shortened(info.name) if info else "",
            "version": shortened(info.version) if info else "",
            "protocol": self.client.protocol_version,
            "instructions": shortened(instructions),
            "digest": self.listing.digest(instructions),
        }

    async def tools(self) -> Listing:
        """The tools, listed again if they have changed. Raises ToolFault."""
        async with self._listing:
            if self._stale:
                try:
                    async with self.request(LIST_SECONDS):
                        await self._list()
                except ToolFault as fault:
                    self._stale = True
                    if fault.code == "timeout":
                        self._lost = f"it didn't list its tools within {LIST_SECONDS:g} s"
                        self._link.over.set()
                    raise
        return self.listing

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        timeout: float | None,
        on_progress: OnProgress,
        ask: Ask,
        meta: dict[str, Any],
    ) -> CallToolResult:
        """What the tool gives back. Raises ToolFault.

        Canceled, it takes the request back at the server.
        """
        if self.lost:
            raise self._fault("unavailable", self.lost, False)
        async with self.request(timeout) as limit:
            call = Call(on_progress, ask, limit)
            self._calls.add(call)
            try:
                result = await self._rounds(call, tool, arguments, meta)
            finally:
                self._calls.discard(call)
                call.end()
        self.proven = True
        return result

    @asynccontextmanager
    async def request(self, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        """Around requests: whatever goes wrong with them is raised as a ToolFault."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                yield limit
        except TimeoutError:
            if not limit.expired():
                raise
            raise self._fault("timeout", f"no result within {seconds:g} s", True) from None
        except ValidationError:
            raise self._fault("malformed", "what it sent is no result", True) from None
        except MCPError as error:
            raise self._understood(error) from None

    async def _live(self) -> None:
        try:
            async with Client(
                self._link.streams(),
                client_info=_ME,
                cache=None,
                log_level="info",
                logging_callback=self._log,
                elicitation_callback=self._elicit,
                message_handler=self._hear,
            ) as self.client:
                await self._list()
                self._settled.set()
                listening = asyncio.create_task(self._listen())
                try:
                    await self._link.over.wait()
                finally:
                    listening.cancel()
                    self.lost_at = asyncio.get_running_loop().time()
        except Exception as error:
            # Whatever ends it, in whichever group of exceptions, the server is lost.
            self._lost = self._lost or _text(error)
        finally:
            self._settled.set()

    async def _list(self) -> None:
        self._stale = self._announced = False
        if self.client.server_capabilities.tools is None:
            self.listing = Listing({}, "")
        else:
            self.listing = await list_tools(self._name, self._config, self.client.list_tools)

    async def _listen(self) -> None:
        """Hear of changes from a server that only tells who asks; `_hear` gets them."""
        offered = self.client.server_capabilities.tools
        if self.client.protocol_version not in MODERN_PROTOCOL_VERSIONS or offered is None:
            return
        missed = False
        while offered.list_changed:
            with suppress(MCPError, SubscriptionLost):
                async with self.client.listen(tools_list_changed=True) as changes:
                    if missed:
                        self._change()
                    async for _ in changes:
                        pass
            self._stale = missed = True
            await asyncio.sleep(_LISTEN_SECONDS)

    async def _rounds(
        self, call: Call, tool: str, arguments: dict[str, Any], meta: dict[str, Any]
    ) -> CallToolResult:
        """Call, and call again with what the server asks for instead of giving a result.

        Not with `Client.call_tool`: that runs the server's own schema over its result, which with
        a hostile pattern never ends, and it can't tell whose question is whose.
        """
        answers: InputResponses | None = None
        state = None
        for _ in range(MAX_ROUNDS):
            params = CallToolRequestParams(
                name=tool,
                arguments=arguments,
                input_responses=answers,
                request_state=state,
                _meta=cast("RequestParamsMeta", meta),
            )
            result = await self.client.session.send_request(
                CallToolRequest(params=params), _RESULT, progress_callback=call.progress
            )
            if isinstance(result, CallToolResult):
                return result
            answers = await self._answers(call, result.input_requests or {})
            state = result.request_state
        raise self._fault("malformed", f"it asked {MAX_ROUNDS} times instead of ending", True)

    async def _answers(
        self, call: Call, requests: dict[str, InputRequest]
    ) -> InputResponses | None:
        if not requests:
            await asyncio.sleep(_ROUND_SECONDS)
            return None
        answers: InputResponses = {}
        for key, request in requests.items():
            if not isinstance(request, ElicitRequest):
                what = f"it asked for {request.method}, which nobody offers"
                raise self._fault("malformed", what, True)
            answers[key] = await call.answer(request.params)
        return answers

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._change()

    def _change(self) -> None:
        self._stale = True
        if not self._announced:
            self._announced = True
            self._on_change()

    async def _log(self, params: LoggingMessageNotificationParams) -> None:
        if call := self._only_call():
            call.log(params.level, params.data)

    async def _elicit(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        call = self._only_call()
        return NO_ANSWER if call is None else await call.answer(params)

    def _only_call(self) -> Call | None:
        """Whose call it must be, where the protocol doesn't say: nobody's if there are several."""
        return next(iter(self._calls)) if len(self._calls) == 1 else None

    def _understood(self, error: MCPError) -> ToolFault:
        if error.code == CONNECTION_CLOSED and self.lost:
            return self._fault("lost", self.lost, True)
        message = error.message[:MAX_MESSAGE]
        match error.data:
            case {http.FAULT: [code, bool(unknown)]} if code in get_args(Code):
                # Once it is back it may be another.
                self._stale = self._stale or code == "unavailable"
                return self._fault(code, message, unknown)
        if error.message.startswith(_NO_ANSWER):
            return self._fault("lost", message, True)
        if error.code == HEADER_MISMATCH:
            self._stale = True
        return self._fault("rejected", message, False)

    def _fault(self, code: Code, text: str, unknown: bool) -> ToolFault:
        return ToolFault(code, f"{self._name}: {text}", unknown=unknown)


def _text(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case ToolFault() | MCPError():
            return error.message[:MAX_MESSAGE]
        case OSError():
            return f"it can't be started: {error.strerror}: {error.filename}"
    return f"{type(error).__name__}: {error}"[:MAX_MESSAGE]
