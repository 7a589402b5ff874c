"""Every kind of provider, against the server of tests/providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from axtui.runtime.actors.models.faults import ModelFault
from axtui.runtime.actors.models.host import ModelHost
from axtui.runtime.config import ModelProvider, Models
from tests.providers import ProviderServer, environment

Json = dict[str, Any]

KEY = "key-of-another"
# One model of every kind of provider, and the API that it is called by.
KINDS = {
    "gemini:gemini-3.8-flash": "gemini",
    "vertex:gemini-3.8-flash": "gemini",
    "anthropic:claude-sonnet-5-5": "anthropic",
    "openai:gpt-6.1-terra": "responses",
    "ollama:qwen3": "chat",
    "vllm:llama-4": "chat",
}
# The same APIs at servers of one's own.
OTHERS = {
    "proxy:claude-haiku-5-5": "anthropic",
    "gateway:gemini-3.8-flash": "gemini",
    "vllm:qwen3": "chat",
}


def settings(url: str) -> Models:
    """What has to be configured for those that are not built in."""
    return Models(
        providers={
            "vertex": ModelProvider(base_url=url, key_env="OTHER_KEY"),
            "vllm": ModelProvider("openai", f"{url}/v1"),
            "proxy": ModelProvider("anthropic", url, "OTHER_KEY"),
            "gateway": ModelProvider("gemini", url, "OTHER_KEY"),
        }
    )


def user(*content: str | Json) -> Json:
    parts = [{"text": part} if isinstance(part, str) else part for part in content]
    return {"role": "user", "content": parts}


@dataclass
class Called:
    """A host whose providers are all one server."""

    server: ProviderServer
    host: ModelHost
    deltas: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, model: str, *messages: Json, **request: Any) -> Json:
        request = {"model": model, "messages": list(messages) or [user("hi")], **request}
        return await self.host.complete(request, lambda *delta: self.deltas.append(delta))

    async def fault(self, model: str, *messages: Json, **request: Any) -> ModelFault:
        with pytest.raises(ModelFault) as caught:
            await self(model, *messages, **request)
        fault = caught.value
        # What it arose from may hold a key, and would be logged with it.
        assert fault.__cause__ is None
        assert fault.__context__ is None or fault.__suppress_context__
        return fault

    def body(self, index: int = -1) -> Json:
        """The body of a request that the server got."""
        return self.server.requests[index]["body"]


Call = Callable[..., Any]


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> str:
    """The name of a model, of each kind of provider in turn."""
    return request.param


@pytest.fixture
async def call() -> AsyncIterator[Callable[..., Any]]:
    """Makes a host for a script: `await call(turn, turn, …)`."""
    opened: list[Called] = []

    async def make(*script: Json) -> Called:
        server = await ProviderServer(list(script)).__aenter__()
        environ = {**environment(server.url), "OTHER_KEY": KEY}
        opened.append(Called(server, ModelHost(settings(server.url), environ)))
        return opened[-1]

    yield make
    for called in opened:
        await called.host.aclose()
        await called.server.__aexit__()
