"""The client of a server of Google AX: its runs, as far as its protocol has what is asked for.

What it tells becomes events like ours, with its seqs, so that a run there is followed as one here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import grpc
import grpc.aio

from axtui import rpc
from axtui.ax import ax_pb2 as ax
from axtui.ax import content_pb2 as axc
from axtui.model.codec import dump_json
from axtui.model.events import Draft, Head, Payload, Record, seal
from axtui.model.fold import apply
from axtui.model.ids import new_id
from axtui.model.search import FOUND, Hit
from axtui.model.summary import Listed, summarise
from axtui.model.tokens import Token
from axtui.remote.dialing import OPTIONS
from axtui.remote.door import Holder
from axtui.runtime.actors.ax import content
from axtui.runtime.controller import Accepted, RunOptions
from axtui.runtime.errors import Refused, Unreachable, Warned
from axtui.runtime.eventlog.base import PAGE, LogError, Taken, UnknownConversation
from axtui.runtime.inventory import AgentInfo, Offered, ToolsInfo
from axtui.runtime.journal import Delta
from axtui.runtime.transfer import Imported
from axtui.runtime.verify import Fault
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

_MAX_SEQ = 2**31 - 1
_DECIDE = ("approve", "deny")
# What AX has nothing for at all: our methods, and what they are for.
_LACKS = {
    "mark_resumed": "`axtui resume`",
    "pause": "`axtui pause`",
    "cancel": "`axtui cancel`",
    "tell": "a message to an agent that is at work",
    "conversations": "a list of conversations",
    "prunable": "a list of conversations",
    "search": "a search",
    "blob": "a blob",
    "export": "an export",
    "restore": "an import",
    "verify": "`axtui verify`",
    "size": "the size of the log",
    "agents": "a list of agents",
    "tools": "a list of tools",
    "log_in": "log-ins at servers of tools",
    "resources": "a list of resources",
    "prompts": "a list of prompts",
    "create_token": "tokens",
    "revoke_token": "tokens",
    "tokens": "tokens",
}


class AxClient:
    """Raises Unreachable where there is no server, and Refused for what AX has nothing for."""

    # A run goes on there for as long as it is followed.
    hosts = True

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: grpc.aio.Channel | None = None
        self._turns: dict[str, _Turn] = {}

    async def start(
        self, conversation_id: str, input: str, agent: str, options: RunOptions
    ) -> Accepted:
        """Have a run started there: once it is watched, since it ends with whoever follows it."""
        if options.approve or options.on_interrupted:
            _refuse("--approve and --on-interrupted")
        config = b"" if options.config is None else dump_json(options.config).encode()
        turn = self._turns[conversation_id] = _Turn(
            ax.ExecRequest(
                conversation_id=conversation_id,
                inputs=[_said(content.text(input))],
                agent_id=agent,
                agent_config=config,
            )
        )
        return Accepted(conversation_id, turn.exec_id, 0)

    async def resume(self, conversation_id: str, options: RunOptions) -> st.State:
        """Have a run go on: once it is watched."""
        turn = _Turn(ax.ExecRequest(conversation_id=conversation_id))
        self._turns[conversation_id] = turn
        return turn.state

    async def mark_resumed(self, conversation_id: str) -> st.State:
        """Nobody but who follows it has it go on."""
        _refuse(_LACKS["mark_resumed"])

    async def pause(self, conversation_id: str, reason: str) -> None:
        """AX has nothing for it."""
        _refuse(_LACKS["pause"])

    async def cancel(self, conversation_id: str, reason: str) -> None:
        """AX has nothing for it."""
        _refuse(_LACKS["cancel"])

    async def answer(
        self,
        conversation_id: str,
        question_id: str,
        choice: str,
        text: str = "",
        always: bool = False,
        edit: dict[str, Any] | None = None,
    ) -> st.State:
        """Answer a confirmation of a run that is followed here."""
        turn = self._turns.get(conversation_id)
        if turn is None:
            _refuse("an answer to a run that isn't followed")
        if question_id not in turn.state.questions:
            raise Refused("unknown", f"no question {question_id!r} of {conversation_id} is known")
        if always:
            _refuse("--always")
        if edit is not None:
            _refuse("--edit")
        question = turn.state.questions[question_id].question
        said = content.confirmation(question_id, question, choice == _DECIDE[0])
        request = ax.ExecRequest(conversation_id=conversation_id, inputs=[_said(said)])
        turn.add(pb.ApprovalAnswered(id=question_id, choice=choice))
        await self._exec(turn, request)
        return turn.state

    async def tell(self, conversation_id: str, text: str, actor: str = "") -> None:
        """AX has nothing for it."""
        _refuse(_LACKS["tell"])

    async def fork(
        self, source_id: str, seq: int | None, new: str, edit: dict[str, Any] | None
    ) -> str:
        """Make a conversation of another's events up to `seq`; gives back its id."""
        if edit is not None:
            _refuse("--edit")
        request = ax.ForkConversationRequest(
            src_conversation_id=source_id, src_seq=seq or 0, dest_conversation_id=new or new_id()
        )
        try:
            reply = await self._conversations("fork_conversation", request, source_id)
        except Taken:
            raise Taken(request.dest_conversation_id) from None
        return str(reply.conversation_id)

    async def delete(self, conversation_id: str, reason: str) -> None:
        """Delete a conversation there, for good."""
        request = ax.DeleteConversationRequest(conversation_id=conversation_id)
        await self._conversations("delete_conversation", request, conversation_id)

    async def purge(self, conversation_id: str) -> None:
        """The same."""
        await self.delete(conversation_id, "")

    async def find(self, conversation_id: str) -> Listed | None:
        """What is there, if it is: AX doesn't tell beforehand."""
        return Listed(summarise(_running(conversation_id)), _MAX_SEQ, 0)

    async def resolve(self, name: str) -> Listed:
        """The conversation of that id, of which it isn't known whether there is one; none is what
        looks like a checkpoint."""
        if name.rpartition(":")[2].isdecimal() and ":" in name:
            raise UnknownConversation(name)
        return Listed(summarise(_running(name)), _MAX_SEQ, 0)

    async def conversations(
        self,
        *,
        states: Sequence[str] = (),
        agent: str = "",
        since_us: int = 0,
        deleted: bool = False,
        limit: int = PAGE,
    ) -> list[Listed]:
        """AX has no list."""
        _refuse(_LACKS["conversations"])

    async def prunable(self, before_us: int, states: Sequence[str]) -> list[Listed]:
        """AX has no list."""
        _refuse(_LACKS["prunable"])

    async def state(self, conversation_id: str, seq: int | None = None) -> st.State:
        """As far as it is known here, which is what was told of a run that is followed, and
        nothing of what was before `seq`."""
        turn = self._turns.get(conversation_id)
        if turn is None:
            return st.State(conversation_id=conversation_id)
        if seq is None:
            return turn.state
        state = _running(conversation_id)
        state.seq = 0 if seq == _MAX_SEQ else seq
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
        """Nothing beside what `watch` tells."""
        if conversation_id not in self._turns:
            _refuse("reading events without going on with their run")
        return []

    async def search(
        self,
        text: str,
        *,
        conversation_id: str = "",
        limit: int = FOUND,
        tell: Callable[[int], None] | None = None,
    ) -> list[Hit]:
        """AX has no such thing."""
        _refuse(_LACKS["search"])

    async def blob(self, digest: bytes) -> bytes:
        """AX has none."""
        _refuse(_LACKS["blob"])

    async def watch(self, conversation_id: str, after: int) -> AsyncIterator[list[Record | Delta]]:
        """What a run tells, and what was told after `after`."""
        if conversation_id not in self._turns:
            await self.resume(conversation_id, RunOptions())
        turn = self._turns[conversation_id]
        if not turn.records:
            turn.request.last_seq = 0 if after == _MAX_SEQ else after
            turn.begin()
            await self._exec(turn, turn.request)
        told = 0
        while True:
            page, told = turn.records[told:], len(turn.records)
            turn.wake.clear()
            yield [*page]
            if turn.error is not None:
                raise turn.error
            if not page:
                await turn.wake.wait()

    async def export(self, conversation_id: str) -> AsyncIterator[str]:
        """AX has no such thing."""
        _refuse(_LACKS["export"])
        yield ""

    async def restore(self, lines: Iterable[str]) -> Imported:
        """AX has no such thing."""
        _refuse(_LACKS["restore"])

    async def verify(self, conversation_id: str | None) -> AsyncIterator[Fault | str]:
        """AX has no such thing."""
        _refuse(_LACKS["verify"])
        yield ""

    async def size(self) -> int:
        """AX has no such thing."""
        _refuse(_LACKS["size"])

    async def agents(self) -> list[AgentInfo]:
        """AX has no such thing."""
        _refuse(_LACKS["agents"])

    async def tools(self, server: str = "") -> ToolsInfo:
        """AX has no such thing."""
        _refuse(_LACKS["tools"])

    async def log_in(self, server: str, show: Callable[[str], None]) -> None:
        """AX has no such thing."""
        _refuse(_LACKS["log_in"])

    async def resources(self, server: str = "") -> Offered:
        """AX has no such thing."""
        _refuse(_LACKS["resources"])

    async def prompts(self, server: str = "") -> Offered:
        """AX has no such thing."""
        _refuse(_LACKS["prompts"])

    async def create_token(self, name: str, role: str, hash: bytes, expires_us: int) -> None:
        """AX has no such thing."""
        _refuse(_LACKS["create_token"])

    async def revoke_token(self, name: str) -> None:
        """AX has no such thing."""
        _refuse(_LACKS["revoke_token"])

    async def tokens(self) -> list[Token]:
        """AX has no such thing."""
        _refuse(_LACKS["tokens"])

    async def join(self, *, start: bool) -> bool:
        """Whether others drive what is started from here on: they do, while it is followed."""
        if start:
            _refuse("--detach")
        return True

    async def holder(self) -> Holder:
        """AX doesn't tell; what is followed here is driven there."""
        return Holder(driving=frozenset(self._turns))

    async def refusals(self) -> Mapping[str, str]:
        """What AX has nothing for."""
        return {method: _nothing_for(what) for method, what in _LACKS.items()}

    def take_warning(self) -> Warned | None:
        """There is none."""
        return None

    async def suspend(self, reason: str, stopped: str = "") -> None:
        """Leave what runs alone: it isn't ours to pause."""

    async def close(self) -> None:
        """Hang up."""
        for turn in self._turns.values():
            turn.close()
        if self._channel is not None:
            await self._channel.close()

    # Below

    def _stub(self, service: str) -> rpc.Stub:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._address, OPTIONS)
        return rpc.Stub(self._channel, ax.DESCRIPTOR.services_by_name[service])

    async def _exec(self, turn: _Turn, request: ax.ExecRequest) -> None:
        """Begin a call, once it isn't refused at once."""
        call = self._stub("ControllerService").exec(request)
        await call.initial_metadata()
        if call.done() and (await call.code()) is not grpc.StatusCode.OK:
            raise self._explain(await call.code(), await call.details(), turn.id)
        turn.follow(call, self._explain)

    async def _conversations(self, method: str, request: Any, known: str) -> Any:
        try:
            return await getattr(self._stub("ConversationService"), method)(request)
        except grpc.aio.AioRpcError as error:
            raise self._explain(error.code(), error.details(), known) from None

    def _explain(self, status: grpc.StatusCode, details: str | None, known: str) -> Exception:
        said = f"{self._address}: {details or status.name}"
        match status:
            case grpc.StatusCode.NOT_FOUND:
                return UnknownConversation(known)
            case grpc.StatusCode.ALREADY_EXISTS:
                return Taken(known)
            case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.OUT_OF_RANGE:
                return Refused("usage", said)
            case grpc.StatusCode.FAILED_PRECONDITION | grpc.StatusCode.ABORTED:
                return Refused("state", said)
            case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
                return Refused("denied", said)
            case grpc.StatusCode.UNIMPLEMENTED:
                return Unreachable(f"{self._address} is no server of Google AX")
            case grpc.StatusCode.UNAVAILABLE:
                return Unreachable(said)
        return LogError(said)


class _Turn:
    """A run that is followed: what it told, as events."""

    def __init__(self, request: ax.ExecRequest) -> None:
        self.id = request.conversation_id
        self.request = request
        self.exec_id = new_id()
        self.records: list[Record] = []
        self.state = _running(self.id)
        self.wake = asyncio.Event()
        self.error: Exception | None = None
        self._reading: asyncio.Task[None] | None = None
        self._text = ""

    def begin(self) -> None:
        """It is asked for."""
        self.state.seq = self.request.last_seq
        self.add(pb.RunStarted(agent=self.request.agent_id, config=pb.Data(text="null")))

    def follow(self, call: Any, explain: Any) -> None:
        """Take what a call brings."""
        self._reading = asyncio.create_task(self._read(call, explain))

    def close(self) -> None:
        """Take nothing more."""
        if self._reading is not None:
            self._reading.cancel()

    def add(self, payload: Payload, seq: int = 0) -> None:
        """Something has happened, at that seq or where the last thing was."""
        seq = seq or self.state.seq
        draft = Draft(payload, self.exec_id)
        record, event = seal(draft, self.id, Head(seq - 1), time.time_ns() // 1000)
        apply(self.state, event)
        self.records.append(record)
        self.wake.set()

    async def _read(self, call: Any, explain: Any) -> None:
        try:
            async for response in call:
                for message in response.outputs:
                    self._take(message, response.seq)
                self.state.seq = max(self.state.seq, response.seq)
            if not self.state.questions:
                output = pb.Data(text=dump_json(self._text))
                self.add(pb.RunCompleted(output=output))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.CANCELLED:
                self.add(pb.RunCanceled(reason=error.details() or ""))
            elif error.code() is grpc.StatusCode.UNKNOWN:
                # So AX tells of all that goes wrong with a run.
                told = pb.Error(code="ax", message=error.details() or "it doesn't say why")
                self.add(pb.RunFailed(error=told))
            else:
                self.error = explain(error.code(), error.details(), self.id)
                self.wake.set()

    def _take(self, message: ax.Message, seq: int) -> None:
        part = message.content
        asked = part.confirmation
        kind = part.WhichOneof("type")
        if message.internal_only or kind in (None, "text_delta", "thought_summary_delta"):
            return
        if kind == "confirmation" and not asked.WhichOneof("decision"):
            question = asked.question
            approval = pb.ApprovalRequested(id=asked.id, type="approval", question=question)
            approval.choices.extend(_DECIDE)
            self.add(approval, seq)
            return
        role = "user" if message.role == "user" else "assistant"
        if kind == "text" and role == "assistant":
            self._text = part.text.text
        kept = content.from_ax(part, lambda text: pb.Data(text=text))
        self.add(pb.Message(role=role, content=[kept]), seq)


def _running(conversation_id: str) -> st.State:
    state = st.State(conversation_id=conversation_id)
    state.run.state = "running"
    return state


def _said(part: axc.Content) -> ax.Message:
    return ax.Message(role="user", content=part)


def _refuse(what: str) -> NoReturn:
    raise Refused("usage", _nothing_for(what), "a server of axtui has")


def _nothing_for(what: str) -> str:
    return f"Google AX has nothing for {what}"
