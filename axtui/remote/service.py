"""Our service: a controller, to those who are let in."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import grpc
import grpc.aio

from axtui.agent import ActorError
from axtui.host import Host
from axtui.local import LocalClient
from axtui.remote import messages as msg
from axtui.remote.feed import Feed
from axtui.remote.unharmed import unharmed
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import PAGE, LogError, UnknownConversation
from axtui.v1 import service_pb2 as sv
from axtui.v1 import state_pb2 as st

Context = grpc.aio.ServicerContext[Any, Any]

# Watchers share the time between two messages: sending one takes about a tenth of this.
PAUSE_SECONDS = 0.001
MAX_PAUSE_SECONDS = 0.25
MAX_IMPORT = 1 << 30
_CHUNK = 1 << 20
_STATUS = {
    "usage": grpc.StatusCode.INVALID_ARGUMENT,
    "unknown": grpc.StatusCode.NOT_FOUND,
    "taken": grpc.StatusCode.ALREADY_EXISTS,
    "denied": grpc.StatusCode.PERMISSION_DENIED,
    "in_flight": grpc.StatusCode.FAILED_PRECONDITION,
    "held": grpc.StatusCode.FAILED_PRECONDITION,
    "state": grpc.StatusCode.FAILED_PRECONDITION,
    "damaged": grpc.StatusCode.DATA_LOSS,
}


class Controller:
    """Serves `client`, in the process that holds the lease. `principal` says who has called."""

    def __init__(
        self, client: LocalClient, host: Host, principal: Callable[[Context], str]
    ) -> None:
        self._client = client
        self._host = host
        self._principal = principal
        self._feeds: dict[str, Feed] = {}
        self._watching = 0
        self._calls = 0
        self._last_call = time.monotonic()

    # Runs

    async def start(self, request: sv.StartRequest, context: Context) -> sv.StartReply:
        name = request.conversation_id
        options = msg.options_of(request.options)
        if _is_neighbour(context) and request.configuration:
            self._refuse_other(request.configuration)
        else:
            options = replace(options, workspace=workspace(self._client.config, name))
        accepted = await self._acting(context, request.request_id).start(
            name, request.input, request.agent, options
        )
        self._host.left_to_us.add(name)
        return sv.StartReply(exec_id=accepted.exec_id, seq=accepted.seq)

    async def resume(self, request: sv.ResumeRequest, context: Context) -> st.State:
        if _is_neighbour(context) and request.configuration:
            self._refuse_other(request.configuration)
        options = msg.options_of(request.options)
        acting = self._acting(context, request.request_id)
        state = await acting.resume(request.conversation_id, options)
        self._host.left_to_us.add(request.conversation_id)
        return state

    async def pause(self, request: sv.StopRequest, context: Context) -> sv.Done:
        acting = self._acting(context, request.request_id)
        await acting.pause(request.conversation_id, request.reason)
        return sv.Done()

    async def cancel(self, request: sv.StopRequest, context: Context) -> sv.Done:
        acting = self._acting(context, request.request_id)
        await acting.cancel(request.conversation_id, request.reason)
        return sv.Done()

    async def answer(self, request: sv.AnswerRequest, context: Context) -> st.State:
        return await self._acting(context, request.request_id).answer(
            request.conversation_id,
            request.question_id,
            request.choice,
            request.text,
            request.always,
        )

    async def fork(self, request: sv.ForkRequest, context: Context) -> sv.ForkReply:
        seq = request.seq if request.HasField("seq") else None
        edit = msg.json_of(request.edit, "the edit")
        if not isinstance(edit, dict | None):
            raise Refused("usage", "an edit is an object of an event's fields")
        acting = self._acting(context, request.request_id)
        name = await acting.fork(request.source_id, seq, request.conversation_id, edit)
        return sv.ForkReply(conversation_id=name)

    async def delete(self, request: sv.DeleteRequest, context: Context) -> sv.Done:
        acting = self._acting(context, request.request_id)
        await acting.delete(request.conversation_id, request.reason)
        return sv.Done()

    async def purge(self, request: sv.PurgeRequest, context: Context) -> sv.Done:
        await self._acting(context).purge(request.conversation_id)
        return sv.Done()

    async def restore(self, requests: AsyncIterator[sv.Lines], context: Context) -> sv.RestoreReply:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            async for request in requests:
                file.write("".join(f"{line}\n" for line in request.lines))
                if file.tell() > MAX_IMPORT:
                    raise Refused("usage", f"an import has at most {MAX_IMPORT:,} bytes")
            file.seek(0)
            stored = await self._acting(context).restore(file)
        return sv.RestoreReply(conversation_id=stored.conversation_id, events=stored.events)

    # Looking

    async def find(self, request: sv.ConversationName, context: Context) -> sv.FindReply:
        found = await self._client.find(request.conversation_id)
        return sv.FindReply(listed=msg.listed(found) if found else None)

    async def resolve(self, request: sv.ConversationName, context: Context) -> sv.Listed:
        return msg.listed(await self._client.resolve(request.conversation_id))

    async def list(self, request: sv.ListRequest, context: Context) -> sv.ListReply:
        found = await self._client.conversations(
            states=list(request.states), agent=request.agent, limit=request.limit or PAGE
        )
        return sv.ListReply(conversations=map(msg.listed, found))

    async def prunable(self, request: sv.PrunableRequest, context: Context) -> sv.ListReply:
        found = await self._client.prunable(request.before_us, list(request.states))
        return sv.ListReply(conversations=map(msg.listed, found))

    async def get_state(self, request: sv.GetStateRequest, context: Context) -> st.State:
        seq = request.seq if request.HasField("seq") else None
        return await self._client.state(request.conversation_id, seq)

    async def read(self, request: sv.ReadRequest, context: Context) -> sv.Page:
        limit = min(request.limit, PAGE) if request.limit > 0 else PAGE
        records = await self._client.read(
            request.conversation_id, after=request.after, limit=limit, kinds=list(request.kinds)
        )
        return msg.page(next(msg.portions(records), []))

    async def get_blob(self, request: sv.GetBlobRequest, context: Context) -> AsyncIterator[Any]:
        data = await self._client.blob(request.digest)
        for start in range(0, len(data), _CHUNK):
            yield sv.Chunk(data=data[start : start + _CHUNK])

    async def watch(self, request: sv.WatchRequest, context: Context) -> AsyncIterator[Any]:
        name = request.conversation_id
        if await self._client.find(name) is None:
            raise UnknownConversation(name)
        if name not in self._feeds:
            self._feeds[name] = Feed(self._host.controller, name, self._pause)
        feed = self._feeds[name]
        self._watching += 1
        try:
            async for data in feed.watch(request.after):
                yield data
        finally:
            self._watching -= 1
            if not feed.watchers:
                self._feeds.pop(name, None)

    async def export(self, request: sv.ConversationName, context: Context) -> AsyncIterator[Any]:
        lines: list[str] = []
        size = 0
        async for line in self._client.export(request.conversation_id):
            lines.append(line)
            size += len(line)
            if size > _CHUNK:
                yield sv.Lines(lines=lines)
                lines, size = [], 0
        yield sv.Lines(lines=lines)

    async def verify(self, request: sv.ConversationName, context: Context) -> AsyncIterator[Any]:
        async for found in self._client.verify(request.conversation_id or None):
            if isinstance(found, str):
                yield sv.Verified(conversation_id=found)
            else:
                yield sv.Verified(**found._asdict())

    async def get_server(self, request: sv.GetServerRequest, context: Context) -> sv.Server:
        holder = await self._client.holder()
        return sv.Server(
            version=version("axtui"),
            pid=holder.pid,
            since_us=holder.since_us,
            log_bytes=await self._client.size(),
            driving=sorted(holder.driving),
        )

    async def list_agents(
        self, request: sv.ListAgentsRequest, context: Context
    ) -> sv.ListAgentsReply:
        return sv.ListAgentsReply(agents=map(msg.agent_info, await self._client.agents()))

    async def list_tools(
        self, request: sv.ListOfferedRequest, context: Context
    ) -> sv.ListToolsReply:
        return msg.tools(await self._client.tools(request.server))

    async def list_resources(
        self, request: sv.ListOfferedRequest, context: Context
    ) -> sv.ListOfferedReply:
        return msg.offered(await self._client.resources(request.server))

    async def list_prompts(
        self, request: sv.ListOfferedRequest, context: Context
    ) -> sv.ListOfferedReply:
        return msg.offered(await self._client.prompts(request.server))

    def guarded(self, method: Any) -> Any:
        """The method, with what it raises told to the client."""
        if inspect.isasyncgenfunction(method):

            @wraps(method)
            async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
                with self._serving():
                    try:
                        _check_version(context)
                        async for reply in method(request, context):
                            yield reply
                    except Exception as error:
                        await _refuse(context, error)
                    if method.__name__ == "watch":
                        await context.abort(grpc.StatusCode.UNAVAILABLE, "the server shuts down")

            return stream

        @wraps(method)
        async def unary(request: Any, context: Context) -> Any:
            with self._serving():
                try:
                    _check_version(context)
                    return await unharmed(method(request, context))
                except Exception as error:
                    await _refuse(context, error)

        return unary

    def idle_seconds(self) -> float:
        """For how long nobody has asked for anything."""
        return 0.0 if self._calls else time.monotonic() - self._last_call

    # Below

    @contextmanager
    def _serving(self) -> Iterator[None]:
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._last_call = time.monotonic()

    def _acting(self, context: Context, request_id: str = "") -> LocalClient:
        return self._client.acting(self._principal(context), request_id)

    def _pause(self) -> float:
        return min(self._watching * PAUSE_SECONDS, MAX_PAUSE_SECONDS)

    def _refuse_other(self, configuration: bytes) -> None:
        config = self._client.config
        if configuration != msg.digest(config):
            raise Refused(
                "held",
                f"process {os.getpid()} writes this log, and runs with another configuration "
                f"({config.path or 'the defaults'})",
                "wait for it or stop it, or use another --data-dir",
            )


def workspace(config: Config, conversation_id: str) -> str:
    """The folder of a conversation's own that a server has for it."""
    beside = config.data_dir.with_name(f"{config.data_dir.name}-workspaces")
    folder = Path(config.environment.workspace or beside, quote(conversation_id, safe=""))
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _check_version(context: Context) -> None:
    spoken = dict(context.invocation_metadata() or ()).get("axtui-api", "")
    if spoken != msg.API:
        raise Refused(
            "usage",
            f"the client speaks version {spoken!r} of the protocol, this server {msg.API!r}",
            "install the same version of axtui on both sides",
        )


async def _refuse(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, Refused | LogError | ActorError | OSError):
        # A mistake of ours: whoever runs the server has to see it, the client not.
        traceback.print_exception(error, file=sys.stderr)
        await context.abort(grpc.StatusCode.INTERNAL, "the server has failed")
    problem = msg.problem(error)
    details = (("axtui-problem-bin", problem.SerializeToString()),)
    status = _STATUS.get(problem.code, grpc.StatusCode.INTERNAL)
    await context.abort(status, problem.message[:1000], details)


def _is_neighbour(context: Context) -> bool:
    return str(context.peer()).startswith("unix:")
