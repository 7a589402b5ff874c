"""The tokens of a log: those that were made here, in its control log, and the configuration's."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from axtui.model.events import Draft, payload_of
from axtui.model.tokens import ROLES, TOKEN_KINDS, Token, fold_tokens, secret_hash
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.base import CONTROL_LOG, EventLog
from axtui.v1 import event_pb2 as pb

# Of those that are neither revoked nor expired.
MAX_TOKENS = 1000
MAX_NAME = 64


class Tokens:
    """Written by whoever holds the lease; then what is made or revoked holds at once."""

    def __init__(self, log: EventLog, config: Config) -> None:
        self._log = log
        self._configured = {token.name: token for token in configured_tokens(config)}
        self._made: dict[str, Token] = {}
        self._loaded = False
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the log's; before that, there are none for what doesn't wait."""
        async with self._lock:
            await self._load()

    def __bool__(self) -> bool:
        """Whether there has ever been one, revoked and expired ones included."""
        return bool(self._configured or self._made)

    def of(self, secret: str) -> Token | None:
        """The token, valid or not, whose secret this is."""
        wanted = secret_hash(secret)
        found = None
        # All of them, so that the time it takes says nothing.
        for token in (*self._configured.values(), *self._made.values()):
            if hmac.compare_digest(token.hash, wanted):
                found = token
        return found

    def is_valid(self, token: Token) -> bool:
        """Whether a token still lets its owner in."""
        now = _now_us()
        current = self._configured.get(token.name) or self._made.get(token.name)
        return current == token and token.state(now) == "valid"

    async def create(
        self, name: str, role: str, hash: bytes, expires_us: int, principal: str, request_id: str
    ) -> None:
        """Let somebody in. Raises Refused."""
        _check(name, role, hash, expires_us)
        async with self._lock:
            await self._load()
            made = pb.TokenCreated(name=name, role=role, hash=hash, expires_us=expires_us)
            if await self._is_done(request_id, made):
                return
            there = self._configured.get(name) or self._made.get(name)
            if there is not None and there.state(_now_us()) == "valid":
                raise Refused(
                    "state",
                    f"there is a token {name!r} already",
                    f"choose another name, or first `axtui token revoke {name}`",
                )
            valid = sum(token.state(_now_us()) == "valid" for token in self._made.values())
            if valid >= MAX_TOKENS:
                raise Refused("limit", f"there are {MAX_TOKENS} tokens; revoke some")
            await self._append(made, principal, request_id)

    async def revoke(self, name: str, principal: str, request_id: str) -> None:
        """Let somebody in no more. Raises Refused."""
        async with self._lock:
            await self._load()
            revoked = pb.TokenRevoked(name=name)
            if await self._is_done(request_id, revoked):
                return
            if name in self._configured:
                raise Refused(
                    "state",
                    f"the token {name!r} is one of the configuration",
                    "remove it from server.tokens, and start the server again",
                )
            if name not in self._made:
                known = ", ".join(sorted(self._made)) or "none"
                raise Refused("unknown", f"there is no token {name!r}", f"there are: {known}")
            if self._made[name].revoked_us:
                raise Refused("state", f"the token {name!r} is revoked already")
            await self._append(revoked, principal, request_id)

    # Below

    async def _load(self) -> None:
        if not self._loaded:
            self._made = await made_tokens(self._log)
            self._loaded = True

    async def _is_done(self, request_id: str, payload: pb.TokenCreated | pb.TokenRevoked) -> bool:
        if not request_id or await self._log.find(CONTROL_LOG) is None:
            return False
        seq = await self._log.request_seq(CONTROL_LOG, request_id)
        if seq is None:
            return False
        record = (await self._log.read(CONTROL_LOG, after=seq - 1, limit=1))[0]
        if payload_of(record.event()) != payload:
            raise Refused("usage", f"request {request_id!r} has caused something else already")
        return True

    async def _append(
        self, payload: pb.TokenCreated | pb.TokenRevoked, principal: str, request_id: str
    ) -> None:
        control = await self._log.conversation(CONTROL_LOG, create=True)
        commit = control.append(Draft(payload, "", "", principal, request_id))
        await commit
        fold_tokens(self._made, [commit.records[0].event()])


async def made_tokens(log: EventLog) -> dict[str, Token]:
    """The tokens that the control log tells of."""
    found: dict[str, Token] = {}
    if await log.find(CONTROL_LOG) is not None:
        after = 0
        while page := await log.read(CONTROL_LOG, after=after, kinds=TOKEN_KINDS):
            fold_tokens(found, (record.event() for record in page))
            after = page[-1].seq
    return found


def configured_tokens(config: Config) -> Sequence[Token]:
    """Those that the configuration names."""
    return [
        Token(
            told.name,
            told.role,
            bytes.fromhex(told.hash),
            expires_us=0 if told.expires is None else int(_timestamp(told.expires) * 1e6),
        )
        for told in config.server.tokens
    ]


def _timestamp(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _check(name: str, role: str, hash: bytes, expires_us: int) -> None:
    if not name.isprintable() or name.split() != [name] or len(name) > MAX_NAME:
        raise Refused(
            "usage", f"{name[:80]!r} can't be the name of a token", f"1 to {MAX_NAME} characters"
        )
    if role not in ROLES:
        raise Refused("usage", f"there is no role {role[:80]!r}", f"there are: {', '.join(ROLES)}")
    if len(hash) != 32:
        raise Refused("usage", "the hash of a token is its SHA-256")
    if expires_us < 0 or 0 < expires_us <= _now_us():
        raise Refused("usage", "a token can't have expired before it is made")


def _now_us() -> int:
    return time.time_ns() // 1000
