"""Making a long history short: a model sums up the older part, in a step of its own."""

from __future__ import annotations

from typing import Any

from axtui.agent import Chat, Context
from axtui.model.codec import dump_json
from axtui.runtime.agents.asking import asked
from axtui.runtime.agents.results import kinds, without_media

_KEPT = 0.25
_MEDIUM_CHARS = 6_000
_SUM_UP = """\
Sum up the conversation so far for whoever goes on with it and won't see it: the task, what was
found out, decided and done (with names, paths and numbers), what failed and why, what is left to
do. Nothing else."""


async def compacted(ctx: Context, chat: Chat, limit: int) -> list[dict[str, Any]]:
    """The messages of `chat`; above `limit` characters the older ones as a summary.

    What was left out is named in the transcript, and is in the log as before.
    """
    sizes = [_size(message) for message in chat.messages]
    if sum(sizes) <= limit:
        return chat.messages
    first = _first_kept(chat.messages, sizes, int(limit * _KEPT))
    if not first:
        return chat.messages
    older = chat.messages[:first]
    other = Chat(ctx, chat.model, system=_SUM_UP)
    text = "\n\n".join(_told(message) for message in older)
    if (left_out := len(text) - limit) > 0:
        text = f"[… {left_out:,} characters left out …]\n{text[-limit:]}"
    reply = await asked(ctx, other, [{"role": "user", "content": [{"text": text}]}])
    summary = "".join(part.get("text", "") for part in reply["content"])
    # A model may use up all that it may say with what it thinks. Runs of before went on without a
    # history then, and still do.
    if not summary.strip() and ctx.patched("the history where it isn't summed up"):
        await ctx.emit("The history grew too long, but the model didn't sum it up.", thought=True)
        return chat.messages
    await ctx.emit(
        f"The history grew too long: its first {first} messages are replaced by a summary.",
        thought=True,
    )
    said = f"Summary of the {first} messages before this one:\n{summary}"
    return [{"role": "user", "content": [{"text": said}]}, *chat.messages[first:]]


def length(messages: list[dict[str, Any]]) -> int:
    """Of messages together, in characters."""
    return sum(map(_size, messages))


def _told(message: dict[str, Any]) -> str:
    return f"{message['role']}: {dump_json(without_media(message, kinds([message]))['content'])}"


def _size(message: dict[str, Any]) -> int:
    """A message in characters. A medium costs a model what so many characters would, about; but
    the larger ones count for more, since a provider takes only so much in a request."""
    media = [part["media"]["data"] for part in message["content"] if "media" in part]
    return len(_told(message)) + sum(max(_MEDIUM_CHARS, len(data) // 25) for data in media)


def _first_kept(messages: list[dict[str, Any]], sizes: list[int], room: int) -> int:
    """Where the newer part begins: never between a call and its result, which may be said next."""
    first = len(messages)
    while first and room >= sizes[first - 1]:
        first -= 1
        room -= sizes[first]
    first = min(first, len(messages) - 1)
    while first and messages[first]["role"] == "tool":
        first -= 1
    return first
