"""How a call ends that has no result."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "unknown_tool", "changed", "unavailable", "login", "rejected", "timeout", "lost", "malformed"
]


class ToolFault(Exception):
    """A call has no result. `unknown` says that nobody knows whether it took effect.

    `code` is one of
    unknown_tool (there is no such tool, server, prompt or resource),
    changed (the tool is another than the caller knows it as; nothing was sent),
    unavailable (its server can't be started or reached),
    login (its server wants a person to log in),
    rejected (the server refused, or answered with an error of the protocol),
    timeout (no result in time), lost (the server ended, or the connection did, meanwhile) and
    malformed (what came back is no result).
    """

    def __init__(self, code: Code, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.unknown = unknown
