"""How a run writes into its conversation, and reads back what it wrote."""

from __future__ import annotations

import asyncio
from typing import Any

from axtui.agent import Scope
from axtui.model.codec import dump_json, load_json
from axtui.model.events import Draft, Payload
from axtui.runtime.effects import describe
from axtui.runtime.eventlog.base import Commit, EventLog
from axtui.runtime.eventlog.conversation import Conversation
from axtui.runtime.redaction import Redactor
from axtui.v1 import event_pb2 as pb

MAX_AHEAD = 512
MAX_MESSAGE = 2000
MAX_DETAIL = 8000


class Recorder:
    """Appends what a run's agents do, until it is closed."""

    def __init__(self, log: EventLog, conversation: Conversation, redactor: Redactor) -> None:
        self.log = log
        self.conversation = conversation
        self.redactor = redactor
        self.closed = False

    def append(self, scope: Scope, payload: Payload) -> Commit:
        """Record something that happens in `scope`."""
        if self.closed:
            raise asyncio.CancelledError
        return self.conversation.append(Draft(payload, scope.exec_id, scope.actor))

    async def not_too_far_ahead(self) -> None:
        """A run that never has to wait for the disk still must not fill the memory."""
        conversation = self.conversation
        if conversation.head.seq - conversation.committed_seq > MAX_AHEAD:
            await self.committed()

    async def committed(self) -> None:
        """Wait until all that is in the log by now is on disk."""
        await self.conversation.last_commit

    def data(self, text: str) -> pb.Data:
        """`text` for an event of the next append, without the secrets in it. Raises ValueError if
        it is too long."""
        return self.conversation.data(self.redactor.text(text))

    def taken(self, value: Any) -> tuple[pb.Data, Any]:
        """A step's value as the log has it, and as the agent gets it, now as in a replay: without
        the secrets in it. Raises TypeError, ValueError or RecursionError for what isn't JSON.
        """
        said = dump_json(value)
        text = self.redactor.text(said)
        data = self.conversation.data(text)
        if text == said and type(value) in (str, int, float, bool, type(None)):
            return data, value
        return data, load_json(text)

    def error(self, error: BaseException) -> pb.Error:
        """An exception as the log keeps it."""
        described = describe(error)
        described.message = self.redactor.text(described.message)[:MAX_MESSAGE]
        described.detail = self.redactor.text(described.detail)[-MAX_DETAIL:]
        return described

    async def text(self, data: pb.Data) -> str:
        """What was stored, read from its blob if it is one."""
        if data.HasField("blob"):
            return (await self.log.blob(data.blob.digest)).decode()
        return data.text

    async def load(self, data: pb.Data) -> Any:
        """The JSON value that was stored."""
        return load_json(await self.text(data))
