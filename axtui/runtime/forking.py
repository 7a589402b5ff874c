"""Making a conversation out of the first events of another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from axtui.model.codec import CodecError, message_to_json, payload_from_json
from axtui.model.events import Draft, payload_of
from axtui.model.fold import is_open
from axtui.model.ids import new_id
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import EventLog
from axtui.runtime.eventlog.conversation import Conversation
from axtui.v1 import event_pb2 as pb

# Others only make sense together with events beside them.
EDITABLE = frozenset(
    {"message", "step.completed", "step.failed", "approval.answered", "run.completed"}
)


async def fork(
    log: EventLog,
    source_id: str,
    seq: int | None,
    new: str,
    edit: dict[str, Any] | None,
    principal: str,
    request_id: str,
    workspace: str = "",
) -> Conversation:
    """A new conversation that is the source up to `seq`, with event `seq` edited if wanted; it
    works in a `workspace` of its own, or else in the source's.

    An edited event comes in the place of the original, behind `conversation.forked`. Raises
    Refused where there is nothing to edit, or the edit doesn't fit.
    """
    state = await log.state(source_id, seq)
    at, source_run = state.seq, state.run.exec_id
    edited: Draft | None = None
    if edit is not None:
        if at < 2:
            raise Refused("usage", "the first event of a conversation can't be edited")
        edited = await _edited(log, source_id, at, edit)
        at -= 1
        state = await log.state(source_id, at)
    conversation = await log.fork(source_id, at, new)
    own_run = new_id() if is_open(state) else ""
    forked = pb.ConversationForked(
        source_id=source_id,
        source_seq=at,
        source_hash=conversation.head.hash,
        exec_id=own_run,
        workspace=workspace,
    )
    drafts = [Draft(forked, own_run, "", principal, request_id)]
    if edited is not None:
        # A nested agent's id begins with that of its run.
        within = edited.exec_id.removeprefix(source_run)
        here = own_run + within if own_run else edited.exec_id
        drafts.append(replace(edited, exec_id=here, principal=principal, edited_from=at + 1))
    await conversation.append(*drafts)
    return conversation


async def _edited(log: EventLog, source_id: str, seq: int, edit: dict[str, Any]) -> Draft:
    event = (await log.read(source_id, after=seq - 1, limit=1))[0].event()
    payload = payload_of(event)
    if payload is None or event.kind not in EDITABLE:
        raise Refused(
            "usage",
            f"event {seq} ({event.kind}) has nothing that can be edited",
            f"what can be is {', '.join(sorted(EDITABLE))}",
        )
    try:
        changed = payload_from_json(event.kind, {**message_to_json(payload), **edit})
    except CodecError as error:
        raise Refused("usage", f"--edit doesn't fit event {seq}: {error}") from None
    return Draft(changed, event.exec_id, event.actor)
