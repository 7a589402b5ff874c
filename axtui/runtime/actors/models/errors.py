"""What went wrong in pydantic-ai, a provider's library or on the way, as a ModelFault."""

from __future__ import annotations

import re

import httpx2
from pydantic import ValidationError
from pydantic_ai import exceptions as ai

from axtui.runtime.actors.models.faults import FaultCode, ModelFault
from axtui.runtime.actors.models.providers import Endpoint

MAX_MESSAGE = 1000
# A provider that asks for more than a day has no more to say than "not now".
MAX_RETRY_AFTER = 86_400.0

# What servers of one's own say, such as llama.cpp, which have no code for it.
_TOO_LONG = r"context (size|length|window)"

# The first that fits holds, so the more special come first.
_CODES: tuple[tuple[type[Exception], FaultCode], ...] = (
    (ai.ModelQuotaExceededError, "quota"),
    (ai.ModelRateLimitError, "rate_limited"),
    (ai.ModelOverloadedError, "overloaded"),
    (ai.ModelUnavailableError, "unavailable"),
    (ai.ModelServerError, "unavailable"),
    (ai.ModelTimeoutError, "timeout"),
    (ai.ModelConnectionError, "network"),
    (ai.ModelContextWindowExceededError, "context_too_long"),
    (ai.ModelAuthenticationError, "auth"),
    (ai.ModelNotFoundError, "not_found"),
    (ai.ModelRequestRejectedError, "invalid"),
    (ai.ContentFilterError, "filtered"),
    (ai.UnexpectedModelBehavior, "truncated"),
    (httpx2.TimeoutException, "timeout"),
    (httpx2.TransportError, "network"),
    (TimeoutError, "timeout"),
    (ValidationError, "malformed"),
)


def to_fault(
    error: Exception, endpoint: Endpoint, secrets: list[str], otherwise: FaultCode
) -> ModelFault:
    """The fault that `error` is. `otherwise` is the code of one that says nothing of a provider:
    it arose from our request, or from reading an answer.
    """
    code = _code(error, otherwise)
    text = f"{endpoint.provider}: {_message(error)}{_advice(code, endpoint)}"
    text = " ".join(text.split())
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        retry_after = min(retry_after, MAX_RETRY_AFTER)
    return ModelFault(code, scrub(text, secrets)[:MAX_MESSAGE], retry_after)


def scrub(text: str, secrets: list[str]) -> str:
    """`text` without keys, and without the names and passwords of URLs."""
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return re.sub(r"://[^/@\s]+@", "://", text)


def _code(error: Exception, otherwise: FaultCode) -> FaultCode:
    for kind, code in _CODES:
        if isinstance(error, kind):
            if code == "invalid" and re.search(_TOO_LONG, str(error), re.IGNORECASE):
                return "context_too_long"
            return code
    if type(error).__module__.startswith("google.auth."):
        return "auth"
    if isinstance(error, ai.ModelHTTPError):
        return "unavailable" if error.status_code in (408, 409, 425) else "invalid"
    if isinstance(error, ai.ModelAPIError):
        # An answer that can't be decoded, or an error in the stream that isn't of a known kind.
        return "malformed" if isinstance(error.__cause__, ValueError) else "unavailable"
    return otherwise


def _message(error: Exception) -> str:
    if isinstance(error, ai.ModelConnectionError):
        return _broken(error)
    if not isinstance(error, ai.ModelHTTPError):
        return str(error) or type(error).__name__
    said = error.body
    while isinstance(said, dict):
        said = said.get("error") or said.get("message")
    text = f"HTTP status {error.status_code}"
    if said:
        text += f": {said}"
    if error.suggested_model_id:
        text += f" (did you mean {error.suggested_model_id!r}?)"
    return text


def _broken(error: ai.ModelConnectionError) -> str:
    cause: BaseException = error
    while cause.__cause__:
        cause = cause.__cause__
    why = str(cause) or type(cause).__name__
    if error.phase == "read":
        return f"the connection broke off in the middle: {why}"
    return f"can't be reached: {why}"


def _advice(code: FaultCode, endpoint: Endpoint) -> str:
    if code == "auth" and endpoint.key_names:
        return f"; check {' or '.join(endpoint.key_names)}"
    if code == "network" and endpoint.base_url:
        return f"; its URL is {endpoint.base_url}"
    return ""
