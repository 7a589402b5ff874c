"""Calls models of all providers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import Any, cast

from pydantic_ai import messages as ai
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from axtui.runtime.actors.models import providers
from axtui.runtime.actors.models.clients import Clients, closing_streams
from axtui.runtime.actors.models.errors import to_fault
from axtui.runtime.actors.models.faults import FaultCode, ModelFault
from axtui.runtime.actors.models.messages import Json, from_response, to_history, usage
from axtui.runtime.actors.models.prices import cost_usd
from axtui.runtime.actors.models.providers import Endpoint
from axtui.runtime.config import Models

MAX_REPLY_CHARACTERS = 8_000_000

OnDelta = Callable[[str, str], None]

_SETTINGS = {"temperature", "max_tokens", "thinking"}
_FINISHES = {"length": "length", "content_filter": "filtered"}


class ModelHost:
    """Calls models; one client for each provider is kept open until `aclose`.

    `environ` is where keys are looked for.
    """

    def __init__(self, settings: Models, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._secrets = providers.secrets(environ, settings)
        self._clients = Clients()

    async def complete(self, request: Json, on_delta: OnDelta) -> Json:
        """Have a model answer.

        The request: `model` ("provider:name"), `system`, `messages` (see messages.py), `tools`
        (each with `name`, `description` and `schema`), `schema` (the JSON schema that the text of
        the answer has to fit, or None), `settings` (temperature, max_tokens, thinking: true, false
        or an effort such as "low"), `timeout` (seconds for this call, or None) and `served` (of a
        model that runs on this machine, where: `base_url` and `key`). All but `model` and
        `messages` may be missing.

        `on_delta` gets each piece of "text" or "thought" as it comes; it must not raise.

        The reply: `content` (parts), `finish` (stop, tool_calls, length or filtered), `usage`
        (empty if the provider told none), `cost_usd` (None if not known), `model` (as the provider
        calls it), `provider`. Raises ModelFault for everything that is no answer.
        """
        request = _encodable(request)
        name = request["model"]
        endpoint = providers.endpoint(name, self._environ, self._settings)
        if served := request.get("served"):
            endpoint = replace(endpoint, **served)
        with self._told(endpoint, "invalid"):
            model = await self._clients.model(endpoint, name.partition(":")[2])
        timeout = request.get("timeout")
        try:
            async with asyncio.timeout(timeout):
                response = await self._answer(request, endpoint, model, on_delta)
        except TimeoutError:
            raise ModelFault("timeout", f"{name} didn't finish within {timeout:g} s") from None
        reply = _reply(response, endpoint.provider)
        return {**reply, "cost_usd": 0.0} if served else reply

    async def aclose(self) -> None:
        """Close all connections."""
        await self._clients.aclose()

    async def _answer(
        self, request: Json, endpoint: Endpoint, model: Model, on_delta: OnDelta
    ) -> ai.ModelResponse:
        history = to_history(request["messages"], model, endpoint.provider)
        settings = _settings(request.get("settings") or {}, endpoint)
        characters = 0
        async with closing_streams(), AsyncExitStack() as stack:
            with self._told(endpoint, "invalid"):
                stream = await stack.enter_async_context(
                    model_request_stream(
                        model,
                        history,
                        model_settings=settings,
                        model_request_parameters=_parameters(request, model),
                    )
                )
            events = aiter(stream)
            while True:
                with self._told(endpoint, "malformed"):
                    event = await anext(events, None)
                if event is None:
                    return stream.get()
                channel, text = _delta(event)
                characters += len(text)
                if characters > MAX_REPLY_CHARACTERS:
                    too_long = f"the answer is longer than {MAX_REPLY_CHARACTERS} characters"
                    raise ModelFault("malformed", f"{endpoint.provider}: {too_long}")
                if channel and text:
                    on_delta(channel, text)

    @contextmanager
    def _told(self, endpoint: Endpoint, otherwise: FaultCode) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # What was raised may hold the key it was sent with, so nothing is chained to the fault.
            raise to_fault(error, endpoint, self._secrets, otherwise) from None


def _encodable(request: Json) -> Json:
    """The request with a `?` for each lone surrogate, as in the names of some files: no UTF-8 can
    hold it, and so most providers' libraries can't send it."""
    text = json.dumps(request, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return cast(Json, json.loads(text.encode(errors="replace")))
    return request


def _settings(wanted: Json, endpoint: Endpoint) -> ModelSettings:
    if unknown := wanted.keys() - _SETTINGS:
        raise ModelFault("invalid", f"no such setting of a model: {', '.join(sorted(unknown))}")
    settings: Json = {name: value for name, value in wanted.items() if value is not None}
    # Retries are attempts of a step, and recorded as such.
    settings["max_retries"] = 0
    # An agent sends its conversation again with each step: most of it is then read from a cache.
    settings["cache"] = True
    if endpoint.kind == "responses":
        # What is needed of an answer is in our log, so OpenAI need not keep it.
        settings["openai_store"] = False
        if settings.get("thinking"):
            settings["openai_reasoning_summary"] = "auto"
    return cast(ModelSettings, settings)


def _parameters(request: Json, model: Model) -> ModelRequestParameters:
    tools = [
        ToolDefinition(
            name=tool["name"],
            parameters_json_schema=tool["schema"],
            description=tool.get("description") or None,
        )
        for tool in request.get("tools") or ()
    ]
    system = request.get("system")
    parameters = ModelRequestParameters(
        function_tools=tools,
        instruction_parts=[ai.InstructionPart(content=system)] if system else None,
    )
    if schema := request.get("schema"):
        parameters.output_object = OutputObjectDefinition(json_schema=schema)
        parameters.output_mode = "native" if _holds_schemas(model, bool(tools)) else "prompted"
    return parameters


def _holds_schemas(model: Model, with_tools: bool) -> bool:
    """Whether the provider itself sees to it that an answer fits a schema."""
    profile: Mapping[str, Any] = model.profile
    if with_tools and not profile.get("google_supports_tool_combination", True):
        return False
    return bool(profile.get("supports_json_schema_output"))


def _delta(event: ai.ModelResponseStreamEvent) -> tuple[str, str]:
    """The channel and the text that an event adds; the channel is empty if nobody is shown it."""
    match event:
        case ai.PartStartEvent(part=ai.TextPart(content=text)):
            return "text", text
        case ai.PartStartEvent(part=ai.ThinkingPart(content=text)):
            return "thought", text
        case ai.PartDeltaEvent(delta=ai.TextPartDelta(content_delta=text)):
            return "text", text
        case ai.PartDeltaEvent(delta=ai.ThinkingPartDelta(content_delta=str(text))):
            return "thought", text
        case ai.PartDeltaEvent(delta=ai.ToolCallPartDelta(args_delta=str(text))):
            return "", text
        case ai.PartStartEvent(part=ai.ToolCallPart(args=arguments)):
            return "", str(arguments)
        case ai.PartStartEvent(part=ai.FilePart(content=file)):
            return "", file.base64
    return "", ""


def _reply(response: ai.ModelResponse, provider: str) -> Json:
    finish, content = _finish(response, provider), from_response(response, provider)
    calls = any("tool_call" in part for part in content)
    if calls and finish == "stop":
        finish = "tool_calls"
    if not calls and not any(part.get("text", "").strip() or "media" in part for part in content):
        if finish == "filtered":
            raise ModelFault("filtered", f"{provider} refused to answer: {_why(response)}")
        if finish != "length":
            raise ModelFault("empty", f"{provider} answered with nothing")
    return {
        "content": content,
        "finish": finish,
        "usage": usage(response),
        "cost_usd": cost_usd(response),
        "model": response.model_name or "",
        "provider": provider,
    }


def _finish(response: ai.ModelResponse, provider: str) -> str:
    details = response.provider_details or {}
    raw = details.get("finish_reason")
    # A stream that is cut looks like one that ends, and where a server gave no reason pydantic-ai
    # takes it for "stop": only the reason as it came says that an answer is whole.
    if raw is None and response.finish_reason != "content_filter":
        raise ModelFault("truncated", f"{provider}: the answer ended in the middle")
    if response.finish_reason == "error":
        raise ModelFault("malformed", f"{provider} gave up in the middle of its answer: {raw}")
    return _FINISHES.get(response.finish_reason or "", "stop")


def _why(response: ai.ModelResponse) -> str:
    details = response.provider_details or {}
    names = ("refusal", "block_reason_message", "block_reason", "finish_reason")
    return next((str(details[name]) for name in names if details.get(name)), "content filter")
