"""How an agent works on a task with a model: it answers, calls tools, and is told what came of it
and what people have said meanwhile, until it calls no more and nobody has said anything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from axtui.agent import Chat, Context, StepFailed
from axtui.runtime.agents.asking import asked
from axtui.runtime.agents.compaction import compacted, length
from axtui.runtime.agents.results import told

MAX_TURNS = 200
MAX_HISTORY = 1000
HISTORY_CHARS = 600_000
MIN_HISTORY_CHARS = 1000
_CUT_OFF = {"length": "model's limit", "filtered": "provider's filter"}
_OF_MODEL = ("temperature", "max_tokens")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
MAX_NAME = 64

Json = dict[str, Any]


class _Unfit(Exception):
    """A call that can't be made as the model wants it."""


async def work(ctx: Context, system: str) -> str:
    """The model's last word on `ctx.input`. Settings are in the run's configuration: `model`,
    `system_prompt` (in place of `system`), `max_steps` (turns before a person is asked whether to
    go on), `timeout` (seconds of one model call), `history_chars`, `temperature`, `max_tokens`."""
    settings: Json = ctx.config if isinstance(ctx.config, dict) else {}
    tools = await ctx.tools()
    offered = _named(ctx.agent_id, tools)
    for tool in tools:
        if "error" in tool:
            said = "" if tool.get("agent") else f"No tools of {tool['name']}: "
            await ctx.emit(f"{said}{tool['error']}", thought=True)
    chat = Chat(
        ctx,
        settings.get("model") or "default",
        system=_told(ctx, settings.get("system_prompt") or system),
        tools=[{**tool, "name": name} for name, tool in offered.items()],
        settings={name: settings[name] for name in _OF_MODEL if settings.get(name) is not None},
        timeout=settings.get("timeout"),
    )
    chat.messages = await _earlier(ctx)
    allowed = turns = settings.get("max_steps") or MAX_TURNS
    limit = settings.get("history_chars") or HISTORY_CHARS
    news = [_message("user", {"text": ctx.input})]
    while True:
        limit = await _shortened(ctx, chat, limit)
        news += await _heard(ctx)
        reply, limit = await _fitted(ctx, chat, news, limit)
        calls = [part["tool_call"] for part in reply["content"] if "tool_call" in part]
        text = "\n\n".join(part["text"] for part in reply["content"] if part.get("text"))
        await _think_aloud(ctx, reply["content"])
        if reply["finish"] in _CUT_OFF and not calls:
            text += f"\n[cut off by the {_CUT_OFF[reply['finish']]}]"
        heard = [] if calls else await _heard(ctx)
        if not calls and not heard:
            return text
        if text:
            await ctx.emit(text)
        turns -= 1
        if not turns:
            if not await ctx.approve(f"It took {allowed} turns so far. Let it go on?"):
                return f"Stopped after {allowed} turns."
            turns = allowed
        news = [await _results(ctx, offered, calls)] if calls else heard


async def _heard(ctx: Context) -> list[Json]:
    """What a person has said meanwhile."""
    return [_message("user", {"text": text}) for text in await ctx.told()]


async def _fitted(ctx: Context, chat: Chat, news: list[Json], limit: int) -> tuple[Json, int]:
    """The model's answer, and how long its history may be. How much a model takes is known only
    once it was too much for it: then the history is made short until it fits."""
    while True:
        try:
            return await asked(ctx, chat, news), limit
        except StepFailed as failed:
            if failed.code != "context_too_long" or not chat.messages or limit < MIN_HISTORY_CHARS:
                raise
        limit = await _shortened(ctx, chat, min(limit, length(chat.messages)) // 2)


async def _shortened(ctx: Context, chat: Chat, limit: int) -> int:
    """Make the history short, and give back how long it may be: less, if what was to be summed up
    is too long for the model itself."""
    while True:
        try:
            chat.messages = await compacted(ctx, chat, limit)
            return limit
        except StepFailed as failed:
            if failed.code != "context_too_long" or limit < MIN_HISTORY_CHARS:
                raise
            limit //= 2


def _named(own: str, tools: Sequence[Json]) -> dict[str, Json]:
    """The tools by names that every provider takes. No agent is offered itself."""
    offered: dict[str, Json] = {}
    for tool in tools:
        name = _UNFIT.sub("_", tool["name"].replace(".", "__"))[:MAX_NAME]
        if "error" not in tool and not (tool.get("agent") and tool["name"] == own):
            offered.setdefault(name, tool)
    return offered


def _told(ctx: Context, system: str) -> str:
    return f"{system}\n\nToday is {ctx.now():%A, %d %B %Y}. The workspace is {ctx.workspace}."


async def _earlier(ctx: Context) -> list[Json]:
    """What was said in earlier runs of the conversation."""
    return [_message(role, {"text": text}) for role, text in await ctx.history(MAX_HISTORY) if text]


async def _think_aloud(ctx: Context, content: Sequence[Json]) -> None:
    thoughts = "\n".join(part["thought"] for part in content if part.get("thought"))
    if thoughts:
        await ctx.emit(thoughts, thought=True)


async def _results(ctx: Context, offered: Mapping[str, Json], calls: Sequence[Json]) -> Json:
    """Do what the model asked for, all at once; what it is told of that."""
    done = [_done(ctx, offered, call) for call in calls]
    # One alone needs no line in which several wait until it is their turn to be heard of.
    outcomes = [await done[0]] if len(done) == 1 else await asyncio.gather(*done)
    return _message("tool", *told(outcomes))


async def _done(ctx: Context, offered: Mapping[str, Json], call: Json) -> tuple[Json, Any, bool]:
    """Do what the model asked for: the call, what came of it, and whether that is an error.
    Whatever goes wrong, the model is told, and can do better."""
    try:
        return call, await _act(ctx, offered, call), False
    except StepFailed as failed:
        return call, failed.message, True
    except _Unfit as unfit:
        return call, str(unfit), True


async def _act(ctx: Context, offered: Mapping[str, Json], call: Json) -> Any:
    name = call["name"]
    if "malformed" in call:
        raise _Unfit(f"The arguments are not a JSON object: {call['malformed'][:1000]}")
    if name not in offered:
        raise _Unfit(f"There is no tool {name!r}. There are: {', '.join(offered)}")
    tool = offered[name]
    if tool.get("agent"):
        input = call["arguments"].get("input")
        if not isinstance(input, str):
            raise _Unfit("An agent is told what to do in `input`, a text.")
        # What the model is set up with is nothing for others, which may be a stranger's.
        return await ctx.agent(tool["name"], input, ctx.config if tool.get("model") else None)
    value = await ctx.act(tool["name"], call["arguments"])
    if value is None:
        return "It was interrupted and skipped: nobody knows whether it took effect."
    return value


def _message(role: str, *parts: Json) -> Json:
    return {"role": role, "content": list(parts)}
