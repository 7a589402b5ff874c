"""Our service: a controller, to those who are let in."""

from __future__ import annotations

import inspect
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import wraps
from importlib.metadata import version
from itertools import islice
from typing import Any, TypeAlias

import grpc
import grpc.aio

from axtui.host import Host
from axtui.local import LocalClient
from axtui.model.records import pack, portions
from axtui.remote import messages as msg
from axtui.remote.feed import Feed
from axtui.remote.gate import caller
from axtui.remote.workspaces import workspace_for
from axtui.runtime.errors import NoModel, Refused
from axtui.runtime.eventlog.base import PAGE, UnknownConversation
from axtui.v1 import service_pb2 as sv
from axtui.v1 import state_pb2 as st

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

# Watchers share the time between two messages: sending one takes about a twentieth of this.
PAUSE_SECONDS = 0.002
MAX_PAUSE_SECONDS = 0.25
MAX_IMPORT = 1 << 30
MAX_LISTED = 10_000
# Words of one request that say what is looked for.
MAX_WORDS = 100
_CHUNK = 1 << 20


class Controller:
    """Serves `client`, in the process that holds the lease. `client_for` gives the client that acts
    for whoever makes a call, once for the request of an id."""

    def __init__(
        self, client: LocalClient, host: Host, client_for: Callable[[str], LocalClient]
    ) -> None:
        self._client = client
        self._host = host
        self._client_for = client_for
        self._feeds: dict[str, Feed] = {}
        self._watching = 0
        self._calls = 0
        self._last_call = time.monotonic()

    # Runs

    async def start(self, request: sv.StartRequest, context: Context) -> sv.StartReply:
        name = request.conversation_id
        options = msg.options_of(request.options)
        acting = self._client_for(request.request_id)
        with _our_keys():
            if self._is_neighbour(request.configuration, context):
                accepted = await acting.start(name, request.input, request.agent, options)
            else:
                async with workspace_for(self._client, name) as folder:
                    options = replace(options, workspace=folder)
                    accepted = await acting.start(name, request.input, request.agent, options)
        self._host.leave(name)
        return sv.StartReply(exec_id=accepted.exec_id, seq=accepted.seq)

    async def resume(self, request: sv.ResumeRequest, context: Context) -> st.State:
        self._is_neighbour(request.configuration, context)
        options = msg.options_of(request.options)
        acting = self._client_for(request.request_id)
        with _our_keys():
            state = await acting.resume(request.conversation_id, options)
        self._host.leave(request.conversation_id)
        return state

    async def pause(self, request: sv.StopRequest, context: Context) -> sv.Done:
        acting = self._client_for(request.request_id)
        await acting.pause(request.conversation_id, request.reason)
        return sv.Done()

    async def cancel(self, request: sv.StopRequest, context: Context) -> sv.Done:
        acting = self._client_for(request.request_id)
        await acting.cancel(request.conversation_id, request.reason)
        return sv.Done()

    async def answer(self, request: sv.AnswerRequest, context: Context) -> st.State:
        return await self._client_for(request.request_id).answer(
            request.conversation_id,
            request.question_id,
            request.choice,
            request.text,
            request.always,
            msg.object_of(request.edit, "the edit"),
        )

    async def tell(self, request: sv.TellRequest, context: Context) -> sv.Done:
        acting = self._client_for(request.request_id)
        await acting.tell(request.conversation_id, request.text, request.actor)
        return sv.Done()

    async def fork(self, request: sv.ForkRequest, context: Context) -> sv.ForkReply:
        seq = request.seq if request.HasField("seq") else None
        edit = msg.object_of(request.edit, "the edit")
        acting = self._client_for(request.request_id)
        name = await acting.fork(request.source_id, seq, request.conversation_id, edit)
        return sv.ForkReply(conversation_id=name)

    async def delete(self, request: sv.DeleteRequest, context: Context) -> sv.Done:
        acting = self._client_for(request.request_id)
        await acting.delete(request.conversation_id, request.reason)
        return sv.Done()

    async def purge(self, request: sv.PurgeRequest, context: Context) -> sv.Done:
        await self._client_for("").purge(request.conversation_id)
        return sv.Done()

    async def restore(self, requests: AsyncIterator[sv.Lines], context: Context) -> sv.RestoreReply:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            async for request in requests:
                file.write("".join(f"{line}\n" for line in request.lines))
                if file.tell() > MAX_IMPORT:
                    raise Refused("usage", f"an import has at most {MAX_IMPORT:,} bytes")
            file.seek(0)
            stored = await self._client_for("").restore(file)
        return sv.RestoreReply(conversation_id=stored.conversation_id, events=stored.events)

    async def create_token(self, request: sv.CreateTokenRequest, context: Context) -> sv.Done:
        acting = self._client_for(request.request_id)
        await acting.create_token(request.name, request.role, request.hash, request.expires_us)
        return sv.Done()

    async def revoke_token(self, request: sv.RevokeTokenRequest, context: Context) -> sv.Done:
        await self._client_for(request.request_id).revoke_token(request.name)
        return sv.Done()

    # Looking

    async def list_tokens(
        self, request: sv.ListTokensRequest, context: Context
    ) -> sv.ListTokensReply:
        return sv.ListTokensReply(tokens=map(msg.token, await self._client.tokens()))

    async def find(self, request: sv.ConversationName, context: Context) -> sv.FindReply:
        found = await self._client.find(request.conversation_id)
        return sv.FindReply(listed=msg.listed(found) if found else None)

    async def resolve(self, request: sv.ConversationName, context: Context) -> sv.Listed:
        return msg.listed(await self._client.resolve(request.conversation_id))

    async def list(self, request: sv.ListRequest, context: Context) -> sv.ListReply:
        if request.limit > MAX_LISTED:
            raise Refused("usage", f"a list has at most {MAX_LISTED:,} conversations")
        limit = request.limit if request.limit > 0 else PAGE
        found = await self._client.conversations(
            states=_few(request.states),
            agent=request.agent,
            since_us=request.since_us,
            deleted=request.deleted,
            limit=limit,
        )
        return sv.ListReply(conversations=map(msg.listed, found))

    async def prunable(self, request: sv.PrunableRequest, context: Context) -> sv.ListReply:
        found = await self._client.prunable(request.before_us, _few(request.states))
        return sv.ListReply(conversations=map(msg.listed, found[:MAX_LISTED]))

    async def get_state(self, request: sv.GetStateRequest, context: Context) -> st.State:
        seq = request.seq if request.HasField("seq") else None
        return await self._client.state(request.conversation_id, seq)

    async def read(self, request: sv.ReadRequest, context: Context) -> sv.Page:
        limit = min(request.limit, PAGE) if request.limit > 0 else PAGE
        records = await self._client.read(
            request.conversation_id,
            after=request.after,
            before=request.before if request.HasField("before") else None,
            limit=limit,
            kinds=_few(request.kinds),
            step=request.step,
            newest_first=request.newest_first,
        )
        return sv.Page(records=map(pack, islice(portions(records, msg.PAGE_BYTES), 1)))

    async def search(self, request: sv.SearchRequest, context: Context) -> sv.SearchReply:
        found = await self._client.search_on(request.text, request.conversation_id, request.limit)
        return sv.SearchReply(hits=map(msg.hit, found.hits), left=found.left)

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
        after = request.after
        try:
            async with aclosing(feed.watch(after)) as messages:
                async for data, last in messages:
                    yield data
                    after = last
        finally:
            self._watching -= 1
            if not feed.watchers and self._feeds.get(name) is feed:
                del self._feeds[name]
        words = f"the server shuts down; it goes on after event {after}"
        await context.abort(grpc.StatusCode.UNAVAILABLE, words)

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
        who = caller()
        return sv.Server(
            version=version("axtui"),
            pid=holder.pid,
            since_us=holder.since_us,
            log_bytes=await self._client.size(),
            driving=sorted(holder.driving),
            calls=holder.calls,
            caller=who.name,
            role=who.role,
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
        """The method, for clients of our version."""
        if inspect.isasyncgenfunction(method):

            @wraps(method)
            async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
                with self._serving():
                    _check_version(context)
                    async for reply in method(request, context):
                        yield reply

            return stream

        @wraps(method)
        async def unary(request: Any, context: Context) -> Any:
            with self._serving():
                _check_version(context)
                return await method(request, context)

        return unary

    def drain(self) -> None:
        """Let go of all who watch."""
        for feed in list(self._feeds.values()):
            feed.close()

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

    def _pause(self) -> float:
        return min(self._watching * PAUSE_SECONDS, MAX_PAUSE_SECONDS)

    def _is_neighbour(self, configuration: bytes, context: Context) -> bool:
        """Whether the caller is a process that could as well hold the lease itself. Raises Refused
        for one that would run something else than we do."""
        config = self._client.config
        if not configuration or not str(context.peer()).startswith("unix:"):
            return False
        if configuration != msg.digest(config):
            raise Refused(
                "held",
                f"process {os.getpid()} writes this log, and runs with another configuration "
                f"({config.path or 'the defaults'})",
                "wait for it or stop it, or use another --data-dir",
            )
        return True


@contextmanager
def _our_keys() -> Iterator[None]:
    """Say whose keys are missing: whoever asks may well have set them, in his own environment."""
    try:
        yield
    except NoModel as error:
        error.hint = (
            f"process {os.getpid()} drives the run, with the environment that it was started in"
        )
        raise


def _few(words: Sequence[str]) -> list[str]:
    if len(words) > MAX_WORDS:
        raise Refused("usage", f"at most {MAX_WORDS} states or kinds can be asked for")
    return list(words)


def _check_version(context: Context) -> None:
    spoken = dict(context.invocation_metadata() or ()).get("axtui-api", "")
    if spoken != msg.API:
        raise Refused(
            "version",
            f"the client speaks version {str(spoken)[:20]!r} of the protocol, the server, axtui "
            f"{version('axtui')}, {msg.API!r}",
            "install the same version of axtui on both sides",
        )
