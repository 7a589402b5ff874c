"""What the runtime says no with."""

from __future__ import annotations

from typing import Literal, NamedTuple

Code = Literal["usage", "unknown", "in_flight", "held", "state", "denied", "limit", "version"]


class Refused(Exception):
    """A request that can't be served; nothing was written.

    `code` says why: usage (it is wrong in itself), unknown (no such thing), in_flight (a run is
    under way), held (another process has the lease), state (not in the state that things are in),
    denied (not allowed), limit (it would be too much), version (it speaks another
    version of the protocol).
    """

    def __init__(self, code: Code, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code: Code = code
        self.hint = hint


class NoModel(Refused):
    """No model can be asked by this process, with the keys that its environment has."""

    def __init__(self, message: str) -> None:
        super().__init__("usage", message)


class Unreachable(Exception):
    """There is no server to talk to, or none that we understand; nobody knows what became of what
    it was asked."""

    def __init__(
        self,
        message: str,
        hint: str = "`axtui serve` starts one; a run that it drove goes on once it is back",
    ) -> None:
        super().__init__(message)
        self.hint = hint


class Warned(NamedTuple):
    """What a person should know of, though everything goes on. `code` is a stable word: sandbox
    (commands are run without one) or connection (it is lost, or there again)."""

    code: str
    text: str
