"""Tokens: what lets a client in, and what the `token.*` events of the control log add up to."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal, NamedTuple, get_args

from axtui.v1 import event_pb2 as pb

TOKEN_KINDS = ("token.created", "token.revoked")
Role = Literal["viewer", "operator", "admin"]
# Each may do all that those before it may.
ROLES: tuple[Role, ...] = get_args(Role)
_PREFIX = "axtui_"


class Token(NamedTuple):
    """What is known of a token; never the token itself. Times are in microseconds since 1970, 0
    meaning never. `created_by` is empty for one of the configuration."""

    name: str
    role: str
    hash: bytes
    created_us: int = 0
    created_by: str = ""
    expires_us: int = 0
    revoked_us: int = 0
    revoked_by: str = ""

    def state(self, now_us: int) -> str:
        """valid, expired or revoked."""
        if self.revoked_us:
            return "revoked"
        return "expired" if 0 < self.expires_us <= now_us else "valid"


def new_secret() -> str:
    """A token that nobody guesses: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def secret_hash(secret: str) -> bytes:
    """What is kept of a token. A fast hash will do, since there is nothing to guess."""
    return sha256(secret.encode(errors="surrogateescape")).digest()


def fold_tokens(tokens: dict[str, Token], events: Iterable[pb.Event]) -> None:
    """Take events into what is known of `tokens`, by their names. A name that was given anew is
    that of the last one."""
    for event in events:
        if event.kind == "token.created":
            made = event.token_created
            tokens[made.name] = Token(
                made.name, made.role, made.hash, event.time_us, event.principal, made.expires_us
            )
        elif event.kind == "token.revoked" and event.token_revoked.name in tokens:
            name = event.token_revoked.name
            tokens[name] = tokens[name]._replace(
                revoked_us=event.time_us, revoked_by=event.principal
            )
