"""How an agent asks a model, and what it does where there is no answer to be had."""

from __future__ import annotations

from typing import Any

from axtui.agent import Chat, Context, StepFailed
from axtui.runtime.agents.results import kinds, without_media

# Faults of a model that end once somebody has waited, paid, or set a key.
_PASSING = frozenset(
    {"auth", "empty", "failed", "gone", "malformed", "network", "no_key", "overloaded", "quota"}
    | {"rate_limited", "start", "timeout", "truncated", "unavailable"}
)

Json = dict[str, Any]


async def asked(ctx: Context, chat: Chat, news: list[Json]) -> Json:
    """The model's answer. Where it can't be had for a reason that may go away, even after the
    step's own attempts, a person is asked whether to go on trying: the work so far is worth it.

    Not every model takes every kind of media, and it is known only once one has refused. Then it
    goes on without: at first without those other than images, which fewer models take.
    """
    while True:
        try:
            return await chat.send(*news)
        except StepFailed as failed:
            shown = kinds([*chat.messages, *news])
            if failed.code == "invalid" and shown:
                refused = shown - {"image"} or shown
                chat.messages = [without_media(message, refused) for message in chat.messages]
                news = [without_media(message, refused) for message in news]
                what = " or ".join(sorted(refused))
                await ctx.emit(f"It goes on without {what}: {failed.message}", thought=True)
                continue
            if failed.code not in _PASSING:
                raise
            question = f"No model answers: {failed.message}. Try again?"
            if await ctx.ask(question, choices=("retry", "fail")) == "fail":
                raise
