"""How a model call fails."""

from __future__ import annotations

from typing import Literal

FaultCode = Literal[
    "no_key",
    "auth",
    "quota",
    "rate_limited",
    "overloaded",
    "unavailable",
    "network",
    "timeout",
    "truncated",
    "malformed",
    "empty",
    "invalid",
    "not_found",
    "context_too_long",
    "filtered",
]

RETRYABLE: frozenset[FaultCode] = frozenset(
    {
        *("rate_limited", "overloaded", "unavailable", "network"),
        *("timeout", "truncated", "malformed", "empty"),
    }
)


class ModelFault(Exception):
    """A model call that gave no answer. Its message can be shown, and holds no key.

    `code` says why: no_key, auth (the key was refused), quota (used up: waiting won't help),
    rate_limited, overloaded, unavailable (the provider's own fault), network, timeout, truncated
    (the stream ended in the middle), malformed (the answer can't be read), empty (there was nothing
    in it), invalid (the request is wrong), not_found (no such model), context_too_long, filtered
    (the provider refused to answer). `retryable` says whether the same request may do better
    later, `retry_after` how many seconds the provider asked to wait, if it did.
    """

    def __init__(self, code: FaultCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code: FaultCode = code
        self.message = message
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        return self.code in RETRYABLE
