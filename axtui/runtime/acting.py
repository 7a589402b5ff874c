"""A controller in somebody's hands: what he has done is in the log under his name."""

from __future__ import annotations

from typing import Any

from axtui.model.ids import new_id
from axtui.runtime.controller import Accepted, Controller, RunOptions
from axtui.runtime.errors import Refused
from axtui.runtime.transfer import Imported
from axtui.v1 import state_pb2 as st

MAX_ID = 200


class Acting:
    """`request_id` is of one mutation, which is then done once however often it is asked for.
    Raises Refused for one that is too long to be kept."""

    def __init__(self, controller: Controller, principal: str, request_id: str = "") -> None:
        if len(request_id) > MAX_ID:
            raise Refused("usage", f"the id of a request has at most {MAX_ID} characters")
        self._controller = controller
        self._who = principal, request_id or new_id()

    async def start(
        self, conversation_id: str, input: str, agent: str, options: RunOptions
    ) -> Accepted:
        """Accept a run and drive it."""
        if await self._controller.log.find(conversation_id) is None:
            check_new_id(conversation_id)
        return await self._controller.start(conversation_id, input, agent, options, *self._who)

    async def resume(self, conversation_id: str, options: RunOptions) -> st.State:
        """Go on with an unfinished run, and drive it."""
        return await self._controller.resume(conversation_id, options, *self._who)

    async def mark_resumed(self, conversation_id: str) -> st.State:
        """Say that a run is to go on, and leave it to whoever drives it next."""
        return await self._controller.resume(conversation_id, RunOptions(), *self._who, drive=False)

    async def pause(self, conversation_id: str, reason: str) -> None:
        """Begin no more steps in a run."""
        await self._controller.pause(conversation_id, reason, *self._who)

    async def cancel(self, conversation_id: str, reason: str) -> None:
        """End a run for good."""
        await self._controller.cancel(conversation_id, reason, *self._who)

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
        return await self._controller.answer(
            conversation_id, question_id, choice, text, always, *self._who, edit
        )

    async def tell(self, conversation_id: str, text: str, actor: str = "") -> None:
        """Say something to an agent while its run is open."""
        await self._controller.tell(conversation_id, text, actor, *self._who)

    async def fork(
        self, source_id: str, seq: int | None, new: str, edit: dict[str, Any] | None
    ) -> str:
        """Make a conversation of another's events up to `seq`; gives back its id."""
        name = new or new_id()
        check_new_id(name)
        await self._controller.fork(source_id, seq, name, edit, *self._who)
        return name

    async def delete(self, conversation_id: str, reason: str) -> None:
        """Hide a conversation."""
        await self._controller.delete(conversation_id, reason, *self._who)

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation for good."""
        await self._controller.purge(conversation_id, self._who[0])

    async def restore(self, lines: Any) -> Imported:
        """Store an exported conversation."""
        return await self._controller.restore(lines, self._who[0])

    async def create_token(self, name: str, role: str, hash: bytes, expires_us: int) -> None:
        """Let somebody in."""
        await self._controller.tokens.create(name, role, hash, expires_us, *self._who)

    async def revoke_token(self, name: str) -> None:
        """Let somebody in no more."""
        await self._controller.tokens.revoke(name, *self._who)


def check_new_id(name: str) -> None:
    """Raise Refused for an id that can't be written on a command line, or is reserved."""
    bad = name.startswith(("$", "-")) or not name.isprintable() or set(name) & set(" :")
    if not name or bad:
        raise Refused(
            "usage",
            f"{name!r} can't be the id of a conversation",
            "it has no spaces and no colons, and doesn't begin with - or $",
        )
    if len(name) > MAX_ID:
        raise Refused("usage", f"an id has at most {MAX_ID} characters; this one has {len(name)}")
