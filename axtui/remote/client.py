"""The client of a controller elsewhere. A connection that is lost is made again."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import grpc
import grpc.aio

from axtui import rpc
from axtui.model.codec import dump_json
from axtui.model.events import Record
from axtui.model.ids import new_id
from axtui.model.search import FOUND, MAX_FOUND, Hit
from axtui.model.summary import Listed
from axtui.model.tokens import Token
from axtui.remote import messages as msg
from axtui.remote.door import Holder
from axtui.remote.roles import LEAST, denial, suffices
from axtui.runtime.controller import Accepted, RunOptions
from axtui.runtime.errors import Refused, Unreachable, Warned
from axtui.runtime.eventlog.base import PAGE, UnknownConversation
from axtui.runtime.inventory import AgentInfo, Offered, ToolsInfo
from axtui.runtime.journal import Delta
from axtui.runtime.transfer import Imported
from axtui.runtime.verify import Fault
from axtui.v1 import service_pb2 as sv
from axtui.v1 import state_pb2 as st

# How long a server that was there may be away before it is given up.
PATIENCE_SECONDS = 600.0
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 3.0
_CALL_SECONDS = 300.0
_LOST = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
_BATCH = 1 << 20
_OURS = f"/{sv.DESCRIPTOR.services_by_name['Controller'].full_name}/"


class Dialing(Protocol):
    """How a server is reached, and what is said of where we are."""

    name: str
    was_there: bool
    configuration: bytes
    folder: str
    metadata: tuple[tuple[str, str], ...]

    async def dial(self) -> grpc.aio.Channel:
        """The channel to it, once there is somebody at the other end. Raises Unreachable."""
        ...

    async def why(self) -> Unreachable | None:
        """Why nobody answers, from another look; None if that tells nothing."""
        ...

    async def close(self) -> None:
        """Close the channel."""
        ...


class RemoteClient:
    """Raises Unreachable where there is no server, and what the server refuses with.

    What changes something carries a request id, so that it can be asked for again once an answer
    was lost. `connection` is empty as long as there is one, else why there isn't; `role` is what
    the server takes us for, known once it was asked what it refuses, and empty where all may do
    all.
    """

    hosts = False

    def __init__(self, server: Dialing) -> None:
        self._server = server
        self._stub: rpc.Stub
        self._lost = True
        self._was_there = server.was_there
        self._metadata = (("axtui-api", msg.API), *server.metadata)
        self._warnings: deque[str] = deque(maxlen=10)
        self.connection = self.role = ""

    # Runs

    async def start(
        self, conversation_id: str, input: str, agent: str, options: RunOptions
    ) -> Accepted:
        """Have a run accepted, and driven there."""
        request = sv.StartRequest(
            conversation_id=conversation_id,
            input=_text(input),
            agent=agent,
            options=self._options(options),
            request_id=new_id(),
            configuration=self._server.configuration,
        )
        reply = await self._call("start", request)
        return Accepted(conversation_id, reply.exec_id, reply.seq)

    async def resume(self, conversation_id: str, options: RunOptions) -> st.State:
        """Have an unfinished run go on, driven there."""
        request = sv.ResumeRequest(
            conversation_id=conversation_id,
            options=self._options(options),
            request_id=new_id(),
            configuration=self._server.configuration,
        )
        state: st.State = await self._call("resume", request)
        return state

    async def mark_resumed(self, conversation_id: str) -> st.State:
        """The same: there is somebody to drive it."""
        return await self.resume(conversation_id, RunOptions())

    async def pause(self, conversation_id: str, reason: str) -> None:
        """Begin no more steps in a run."""
        request = sv.StopRequest(
            conversation_id=conversation_id, reason=_text(reason), request_id=new_id()
        )
        await self._call("pause", request)

    async def cancel(self, conversation_id: str, reason: str) -> None:
        """End a run for good."""
        request = sv.StopRequest(
            conversation_id=conversation_id, reason=_text(reason), request_id=new_id()
        )
        await self._call("cancel", request)

    async def answer(
        self,
        conversation_id: str,
        question_id: str,
        choice: str,
        text: str = "",
        always: bool = False,
        edit: dict[str, Any] | None = None,
    ) -> st.State:
        """Answer an open question. `edit` has the arguments that are approved in the place of those
        asked about."""
        request = sv.AnswerRequest(
            conversation_id=conversation_id,
            question_id=question_id,
            choice=_text(choice),
            text=_text(text),
            always=always,
            edit="" if edit is None else dump_json(edit),
            request_id=new_id(),
        )
        state: st.State = await self._call("answer", request)
        return state

    async def tell(self, conversation_id: str, text: str, actor: str = "") -> None:
        """Say something to an agent while its run is open."""
        request = sv.TellRequest(
            conversation_id=conversation_id,
            text=_text(text),
            actor=_text(actor),
            request_id=new_id(),
        )
        await self._call("tell", request)

    async def fork(
        self, source_id: str, seq: int | None, new: str, edit: dict[str, Any] | None
    ) -> str:
        """Make a conversation of another's events up to `seq`; gives back its id."""
        name = new or new_id()
        request = sv.ForkRequest(
            source_id=source_id,
            seq=seq,
            conversation_id=name,
            edit="" if edit is None else dump_json(edit),
            request_id=new_id(),
        )
        await self._call("fork", request)
        return name

    async def delete(self, conversation_id: str, reason: str) -> None:
        """Hide a conversation."""
        request = sv.DeleteRequest(
            conversation_id=conversation_id, reason=_text(reason), request_id=new_id()
        )
        await self._call("delete", request)

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation for good."""
        lost = False

        def on_lost() -> None:
            nonlocal lost
            lost = True

        try:
            request = sv.PurgeRequest(conversation_id=conversation_id)
            await self._call("purge", request, on_lost)
        except UnknownConversation:
            if not lost:
                raise

    async def create_token(self, name: str, role: str, hash: bytes, expires_us: int) -> None:
        """Let somebody in."""
        request = sv.CreateTokenRequest(
            name=_text(name), role=role, hash=hash, expires_us=expires_us, request_id=new_id()
        )
        await self._call("create_token", request)

    async def revoke_token(self, name: str) -> None:
        """Let somebody in no more."""
        request = sv.RevokeTokenRequest(name=_text(name), request_id=new_id())
        await self._call("revoke_token", request)

    async def tokens(self) -> list[Token]:
        """Every token there has been, those of the configuration included."""
        reply = await self._call("list_tokens", sv.ListTokensRequest())
        return [*map(msg.token_of, reply.tokens)]

    async def restore(self, lines: Iterable[str]) -> Imported:
        """Store an exported conversation. Not tried again: what is stored is refused."""
        await self._connect()
        call = self._stub.restore(metadata=self._metadata)
        try:
            for batch in _batches(lines):
                await call.write(batch)
            await call.done_writing()
            reply = await call
        except grpc.aio.AioRpcError as error:
            raise await self._explain(await self._refusal(error)) from None
        except asyncio.InvalidStateError:
            # It was refused before we had said all.
            raise await self._explain(await self._refusal(await _ended(call))) from None
        finally:
            call.cancel()
        return Imported(reply.conversation_id, reply.events)

    # Looking

    async def find(self, conversation_id: str) -> Listed | None:
        """What a list says of a conversation, if there is one of that very id."""
        reply = await self._call("find", sv.ConversationName(conversation_id=conversation_id))
        return msg.listed_of(reply.listed) if reply.HasField("listed") else None

    async def resolve(self, name: str) -> Listed:
        """The conversation that a person means."""
        request = sv.ConversationName(conversation_id=name)
        return msg.listed_of(await self._call("resolve", request))

    async def conversations(
        self,
        *,
        states: Sequence[str] = (),
        agent: str = "",
        since_us: int = 0,
        deleted: bool = False,
        limit: int = PAGE,
    ) -> list[Listed]:
        """Conversations, the latest changed first: those that have changed at `since_us` or later,
        and those that are hidden only if wanted."""
        if not limit:
            return []
        request = sv.ListRequest(
            states=states, agent=agent, since_us=since_us, deleted=deleted, limit=limit
        )
        return [*map(msg.listed_of, (await self._call("list", request)).conversations)]

    async def prunable(self, before_us: int, states: Sequence[str]) -> list[Listed]:
        """Conversations whose run has ended, or that were deleted, and that are old enough."""
        request = sv.PrunableRequest(before_us=before_us, states=states)
        return [*map(msg.listed_of, (await self._call("prunable", request)).conversations)]

    async def state(self, conversation_id: str, seq: int | None = None) -> st.State:
        """The state of a conversation, after event `seq` if given."""
        request = sv.GetStateRequest(conversation_id=conversation_id, seq=seq)
        state: st.State = await self._call("get_state", request)
        return state

    async def read(
        self,
        conversation_id: str,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = PAGE,
        kinds: Sequence[str] = (),
        step: str = "",
        newest_first: bool = False,
    ) -> list[Record]:
        """A page of events."""
        request = sv.ReadRequest(
            conversation_id=conversation_id,
            after=after,
            before=before,
            limit=limit,
            kinds=kinds,
            step=step,
            newest_first=newest_first,
        )
        return msg.records_of(await self._call("read", request))

    async def search(
        self,
        text: str,
        *,
        conversation_id: str = "",
        limit: int = FOUND,
        tell: Callable[[int], None] | None = None,
    ) -> list[Hit]:
        """The newest events in which all words of `text` occur. `tell` hears how many events the
        server has to read first."""
        request = sv.SearchRequest(
            text=_text(text), conversation_id=conversation_id, limit=min(limit, MAX_FOUND)
        )
        while (reply := await self._call("search", request)).left:
            if tell is not None:
                tell(reply.left)
        return [*map(msg.hit_of, reply.hits)]

    async def blob(self, digest: bytes) -> bytes:
        """A blob by its SHA-256."""
        while True:
            parts: list[bytes] = []
            async for chunk in self._stream("get_blob", lambda: sv.GetBlobRequest(digest=digest)):
                if chunk is None:
                    break
                parts.append(chunk.data)
            else:
                return b"".join(parts)

    async def watch(self, conversation_id: str, after: int) -> AsyncIterator[list[Record | Delta]]:
        """Events after `after`, each once, as they are committed, and deltas between them; an
        empty list when the connection is lost, or there again."""

        def request() -> sv.WatchRequest:
            return sv.WatchRequest(conversation_id=conversation_id, after=after)

        async for made in self._stream("watch", request):
            if made is None:
                yield []
                continue
            records = msg.records_of(made)
            if records:
                after = records[-1].seq
            yield [*records, *(msg.delta_of(conversation_id, told) for told in made.deltas)]

    async def export(self, conversation_id: str) -> AsyncIterator[str]:
        """The lines of an export."""
        request = sv.ConversationName(conversation_id=conversation_id)
        async for part in self._once("export", request):
            for line in part.lines:
                yield line

    async def verify(self, conversation_id: str | None) -> AsyncIterator[Fault | str]:
        """Check conversations: the id of each that is sound, and every fault."""
        request = sv.ConversationName(conversation_id=conversation_id or "")
        async for found in self._once("verify", request):
            name = found.conversation_id
            yield Fault(name, found.seq, found.what) if found.what else name

    async def size(self) -> int:
        """Bytes that the store takes."""
        return int((await self._call("get_server", sv.GetServerRequest())).log_bytes)

    async def agents(self) -> list[AgentInfo]:
        """The agents that there are, and whether they can run."""
        reply = await self._call("list_agents", sv.ListAgentsRequest())
        return [*map(msg.agent_info_of, reply.agents)]

    async def tools(self, server: str = "") -> ToolsInfo:
        """The tools that a model would be offered, or those of one server."""
        request = sv.ListOfferedRequest(server=server)
        return msg.tools_of(await self._call("list_tools", request))

    async def log_in(self, server: str, show: Callable[[str], None]) -> None:
        """Refuses: the browser comes back to the machine that the servers of tools are reached
        from, and that is where the server is."""
        raise Refused("usage", "a log-in is for the machine of the server; type this there")

    async def resources(self, server: str = "") -> Offered:
        """The resources of the servers of tools, or of one."""
        request = sv.ListOfferedRequest(server=server)
        return msg.offered_of(await self._call("list_resources", request))

    async def prompts(self, server: str = "") -> Offered:
        """The prompts of the servers of tools, or of one."""
        request = sv.ListOfferedRequest(server=server)
        return msg.offered_of(await self._call("list_prompts", request))

    async def join(self, *, start: bool) -> bool:
        """Whether others drive what is started from here on: they do."""
        return True

    async def holder(self) -> Holder:
        """Who drives runs there."""
        server = await self._call("get_server", sv.GetServerRequest())
        driving, calls = frozenset(server.driving), dict(server.calls)
        return Holder(server.pid, server.since_us, driving, calls)

    async def refusals(self) -> Mapping[str, str]:
        """Methods that the server won't have called by us, each with why."""
        server = await self._call("get_server", sv.GetServerRequest())
        self.role = server.role
        return {
            rpc.snake(method.rpartition("/")[2]): denial(server.caller, server.role, method)
            for method, least in LEAST.items()
            if method.startswith(_OURS) and server.role and not suffices(server.role, least)
        }

    def take_warning(self) -> Warned | None:
        """What there is to be said of the connection; each thing once."""
        return Warned("connection", self._warnings.popleft()) if self._warnings else None

    async def suspend(self, reason: str, stopped: str = "") -> None:
        """Leave what runs alone: it isn't ours to pause."""

    async def close(self) -> None:
        """Hang up. Runs go on."""
        await self._server.close()

    # Below

    def _options(self, options: RunOptions) -> sv.RunOptions:
        made = msg.options(options)
        made.workspace = made.workspace or self._server.folder
        return made

    async def _call(
        self, method: str, request: Any, on_lost: Callable[[], None] = lambda: None
    ) -> Any:
        tries = _Tries(self)
        while True:
            try:
                await self._connect()
                reply = await getattr(self._stub, method)(
                    request, metadata=self._metadata, timeout=_CALL_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                await tries.failed(error)
                on_lost()
            else:
                self._connected()
                return reply

    async def _stream(self, method: str, request: Callable[[], Any]) -> AsyncIterator[Any]:
        """What comes of a call that is made again whenever the connection is lost, for what
        `request` then says; None each time that it is."""
        tries = _Tries(self)
        while True:
            call = None
            try:
                await self._connect()
                call = getattr(self._stub, method)(request(), metadata=self._metadata)
                async for reply in call:
                    self._connected()
                    tries = _Tries(self)
                    yield reply
                return
            except grpc.aio.AioRpcError as error:
                delay = await tries.delay(error)
            finally:
                # Whoever leaves early: gRPC would keep it for as long as the channel.
                if call is not None:
                    call.cancel()
            yield None
            await asyncio.sleep(delay)

    async def _once(self, method: str, request: Any) -> AsyncIterator[Any]:
        """What comes of a call that can't go on where it was cut off."""
        await self._connect()
        call = getattr(self._stub, method)(request, metadata=self._metadata)
        try:
            async for reply in call:
                yield reply
        except grpc.aio.AioRpcError as error:
            raise await self._explain(error) from None
        finally:
            call.cancel()

    async def _connect(self) -> None:
        if self._lost:
            channel = await self._server.dial()
            self._stub = rpc.Stub(channel, sv.DESCRIPTOR.services_by_name["Controller"])
            self._lost = False

    def _connected(self) -> None:
        self._was_there = True
        if self.connection:
            self.connection = ""
            self._warnings.append(f"{self._server.name} is there again")

    async def _refusal(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """Why an import has failed. What is refused before all was sent may end with an error of
        gRPC's own; asked with nothing to send, a server says why."""
        if error.code() == grpc.StatusCode.INTERNAL:
            try:
                await self._stub.restore(iter(()), metadata=self._metadata, timeout=_CALL_SECONDS)
            except grpc.aio.AioRpcError as again:
                if again.code() != grpc.StatusCode.INVALID_ARGUMENT:
                    return again
        return error

    def _told(self, error: grpc.aio.AioRpcError) -> Exception:
        """What to raise of a failed call, from what was said of it."""
        details = dict(error.trailing_metadata() or ())
        if problem := details.get("axtui-problem-bin"):
            return msg.error_of(sv.Problem.FromString(problem))
        if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Refused("limit", f"{self._server.name}: {error.details()}")
        return Unreachable(f"{self._server.name}: {error.details() or error.code().name}")

    async def _explain(self, error: grpc.aio.AioRpcError) -> Exception:
        """The same, of one that has failed for good: looks for why, where that isn't known."""
        told = self._told(error)
        if not isinstance(told, Unreachable):
            return told
        if error.code() == grpc.StatusCode.UNIMPLEMENTED:
            return await self._of_another_age()
        return await self._server.why() or told

    async def _of_another_age(self) -> Unreachable:
        hint = "install the same version of axtui on both sides"
        try:
            request = sv.GetServerRequest()
            found = await self._stub.get_server(request, metadata=self._metadata, timeout=5)
        except grpc.aio.AioRpcError:
            return Unreachable(f"{self._server.name} speaks gRPC, but is no server of axtui", hint)
        return Unreachable(
            f"{self._server.name} is a server of axtui {found.version}, which can't do this", hint
        )


class _Tries:
    """How often, and for how long, a call is made again."""

    def __init__(self, client: RemoteClient) -> None:
        self._client = client
        self._since = math.inf
        self._delay = _FIRST_DELAY

    async def failed(self, error: grpc.aio.AioRpcError) -> None:
        """Wait until it is time to try again. Raises what there is to be raised instead."""
        await asyncio.sleep(await self.delay(error))

    async def delay(self, error: grpc.aio.AioRpcError) -> float:
        """How long to wait before the next try."""
        client = self._client
        client._lost = True
        explained = client._told(error)
        gone = isinstance(explained, Unreachable) and error.code() in _LOST
        now = time.monotonic()
        # Since the first failure: before it, there may have been nothing to say for long.
        self._since = min(self._since, now)
        late = now - self._since > PATIENCE_SECONDS
        if not gone or late or not client._was_there:
            raise await client._explain(error) from None
        if not client.connection:
            client.connection = str(explained)
            client._warnings.append(f"the connection is lost, trying again ({explained})")
        self._delay = min(self._delay * 2, _LONGEST_DELAY)
        return self._delay * random.uniform(0.5, 1)


async def _ended(call: Any) -> grpc.aio.AioRpcError:
    """Why a call has ended."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("it has not failed")


def _batches(lines: Iterable[str]) -> Iterable[sv.Lines]:
    batch: list[str] = []
    size = 0
    for line in lines:
        batch.append(_text(line))
        size += len(line)
        if size > _BATCH:
            yield sv.Lines(lines=batch)
            batch, size = [], 0
    yield sv.Lines(lines=batch)


def _text(text: str) -> str:
    # What isn't UTF-8 on a command line arrives as lone surrogates, which no message holds.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("usage", f"{text[:40]!a} isn't valid Unicode") from None
    return text
