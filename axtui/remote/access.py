"""Who a caller is: by token, by certificate, or by where the call comes from."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

import grpc.aio

from axtui.remote.addresses import is_loopback
from axtui.runtime.config import ServerTls
from axtui.runtime.errors import Refused
from axtui.runtime.tokens import Tokens

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

ANONYMOUS = "anonymous"
_SCHEME = "bearer "


class Unauthenticated(Refused):
    """Nobody knows who calls, or he is let in no more."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__("denied", message, hint)


class Caller(NamedTuple):
    """`name` is what the log calls him, `client` what his share of the limits is kept under, and
    `is_valid` whether he is still let in."""

    name: str
    role: str
    client: str
    is_valid: Callable[[], bool] = lambda: True


class Access:
    """Tells callers apart. `user` owns this process, and all who get at its Unix sockets. With
    `open` whoever has no token is let in where there has never been one, from anywhere.
    """

    def __init__(self, tokens: Tokens, tls: ServerTls | None, user: str, *, open: bool) -> None:
        self._tokens = tokens
        self._tls = tls
        self._user = user
        self._open = open

    def caller(self, context: Context) -> Caller:
        """Who makes a call. Raises Unauthenticated."""
        host = host_of(context)
        if not host:
            return Caller(self._user, "admin", self._user)
        metadata = dict(context.invocation_metadata() or ())
        told = str(metadata.get("authorization", ""))
        if told:
            return self._of_token(told)
        if self._tls and self._tls.client_ca:
            # Nobody connects without a certificate.
            return self._of_certificate(_common_name(context))
        if not self._tokens and (self._open or is_loopback(host)):
            return Caller(ANONYMOUS, "admin", host)
        raise Unauthenticated(
            "a token is needed",
            "set AXTUI_TOKEN, or use --token-file; `axtui token create` makes one",
        )

    def _of_token(self, told: str) -> Caller:
        secret = told[len(_SCHEME) :].strip() if told.lower().startswith(_SCHEME) else ""
        token = self._tokens.of(secret) if secret else None
        if token is None:
            raise Unauthenticated("the token is none of this server's", "check AXTUI_TOKEN")
        if not self._tokens.is_valid(token):
            why = "was revoked" if token.revoked_us else "has expired"
            raise Unauthenticated(
                f"the token {token.name} {why}", "`axtui token create` makes another"
            )
        return Caller(
            token.name, token.role, f"token {token.name}", lambda: self._tokens.is_valid(token)
        )

    def _of_certificate(self, name: str) -> Caller:
        if not name:
            raise Unauthenticated(
                "the certificate has no common name, so nobody knows whose it is",
                "have one signed that has, or use a token",
            )
        clients = self._tls.clients if self._tls else {}
        if not clients:
            return Caller(name, "admin", f"certificate {name}")
        for pattern, role in clients.items():
            if fnmatchcase(name, pattern):
                return Caller(name, role, f"certificate {name}")
        raise Unauthenticated(
            f"nobody has given the certificate of {name} a role", "add it to server.tls.clients"
        )


def host_of(context: Context) -> str:
    """The host that a call comes from; empty for a process at a Unix socket."""
    peer = unquote(str(context.peer()))
    if not peer.startswith(("ipv4:", "ipv6:")):
        return ""
    return peer.partition(":")[2].rpartition(":")[0].strip("[]")


def _common_name(context: Context) -> str:
    """Of the client's certificate, which was verified when it connected."""
    names = (context.auth_context() or {}).get("x509_common_name", ())
    return b"".join(names).decode(errors="replace")
