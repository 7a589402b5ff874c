"""One open client for each provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import httpx2
from pydantic_ai.models import Model, create_async_httpx2_client
from pydantic_ai.profiles.openai import OpenAIModelProfile

from axtui.runtime.actors.models.providers import Endpoint

# The libraries want a key even where none is needed.
_NO_KEY = "no-key"
# Servers that offer chat completions differ in what they understand. This all of them do; and a
# model that is only kept from breaking a schema doesn't know it yet.
_COMMON: OpenAIModelProfile = {
    "openai_chat_supports_max_completion_tokens": False,
    "openai_chat_supports_multiple_system_messages": False,
    "openai_supports_strict_tool_definition": False,
    "native_output_requires_schema_in_instructions": True,
}
_streams: ContextVar[list[httpx2.Response]] = ContextVar("_streams")

_MakeModel = Callable[[str], Model]


class Clients:
    """The clients of all providers that were asked so far. They keep their connections."""

    def __init__(self) -> None:
        self._https: dict[str, httpx2.AsyncClient] = {}
        self._models: dict[str, tuple[Endpoint, _MakeModel]] = {}
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()

    async def model(self, endpoint: Endpoint, name: str) -> Model:
        """The model of that name, as pydantic-ai has it."""
        provider = endpoint.provider
        async with self._opening:
            if provider not in self._https:
                # The first time imports the provider's library: seconds, in which others go on.
                http = await asyncio.to_thread(create_async_httpx2_client)
                http.event_hooks["response"].append(_note_stream)
                self._https[provider] = await self._open.enter_async_context(http)
            known = self._models.get(provider)
            if known is None or known[0] != endpoint:
                # A model that is served on this machine moves whenever it is started.
                made = await asyncio.to_thread(_opened, endpoint, self._https[provider])
                known = self._models[provider] = endpoint, made
        return known[1](name)

    async def aclose(self) -> None:
        await self._open.aclose()


@asynccontextmanager
async def closing_streams() -> AsyncIterator[None]:
    """Close at the end all streams that the task has opened within.

    Google's library leaves that to the garbage collector if its reader stops in the middle, and
    until then the provider would go on to answer.
    """
    streams: list[httpx2.Response] = []
    token = _streams.set(streams)
    try:
        yield
    finally:
        _streams.reset(token)
        for stream in streams:
            await stream.aclose()


async def _note_stream(response: httpx2.Response) -> None:
    _streams.get().append(response)


def _opened(endpoint: Endpoint, http: httpx2.AsyncClient) -> _MakeModel:
    where: dict[str, Any] = {
        "api_key": endpoint.key or _NO_KEY,
        "base_url": endpoint.base_url or None,
        "http_client": http,
    }
    match endpoint.kind:
        case "gemini":
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            return partial(GoogleModel, provider=GoogleProvider(**where))
        case "vertex":
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google_cloud import GoogleCloudProvider

            if not endpoint.key:
                where |= {"project": endpoint.project, "location": endpoint.location}
            return partial(GoogleModel, provider=GoogleCloudProvider(**where))
        case "anthropic":
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            return partial(AnthropicModel, provider=AnthropicProvider(**where))
        case "responses":
            from pydantic_ai.models.openai import OpenAIResponsesModel
            from pydantic_ai.providers.openai import OpenAIProvider

            return partial(OpenAIResponsesModel, provider=OpenAIProvider(**where))
        case "ollama":
            from pydantic_ai.models.ollama import OllamaModel
            from pydantic_ai.providers.ollama import OllamaProvider

            return partial(OllamaModel, provider=OllamaProvider(**where))
        case "openai" | "local":
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

            provider = OpenAICompatibleProvider(endpoint.provider, profile=_COMMON, **where)
            return partial(OpenAIChatModel, provider=provider)
