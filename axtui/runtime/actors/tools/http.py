"""The connection to a server that is a URL.

The SDK takes an exception of one request for the end of the whole connection, tells little of an
answer that it can't use, and reads bodies of any size. So each request's failure is made the
answer to that request here, and what comes back is bounded.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import MCP_SESSION_ID, streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp_types import INTERNAL_ERROR, JSONRPCError, jsonrpc_message_adapter
from pydantic import ValidationError

from axtui.runtime.actors.tools.faults import Code, ToolFault
from axtui.runtime.actors.tools.person import LoginWanted, PersonLogin
from axtui.runtime.config import OAuth, ToolServer

MAX_BODY = 16 << 20
CONNECT_SECONDS = 30.0
FAULT = "axtui/fault"

_GOODBYE_SECONDS = 2.0
_EXCERPT = 200
_PART_BEHIND = re.compile(rb"\S+\Z")
_NOT_SENT = (
    *(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError),
    httpx2.UnsupportedProtocol,
)
_NOT_DONE = frozenset((*range(400, 500), 501, 505)) - {408}


class HttpLink:
    """A connection from its first request to its end.

    `reason` is set when the server has ended the session. Nothing is ever `over` then: who learns
    of it by its own request is yet to get the answer to that.
    """

    def __init__(self, name: str, config: ToolServer, login: Path) -> None:
        self._name = name
        self._config = config
        self._login = login
        self.over = asyncio.Event()
        self.reason = ""

    @asynccontextmanager
    async def streams(self) -> AsyncGenerator[Any, None]:
        """Connect with the first message. Raises ToolFault."""
        client = _Client(
            self,
            self._name,
            _login(self._config, self._login),
            headers={**self._config.headers, "accept-encoding": "identity"},
            # A server may work for as long as the call may take.
            timeout=httpx2.Timeout(CONNECT_SECONDS, read=None),
            event_hooks={"response": [bound]},
        )
        async with (
            client,
            streamable_http_client(
                self._config.url, http_client=client, max_sse_event_size=MAX_BODY
            ) as streams,
        ):
            yield streams

    def last_words(self) -> str:
        """Nothing."""
        return ""


class _Client(httpx2.AsyncClient):
    def __init__(
        self, link: HttpLink, name: str, login: Credentials | PersonLogin | None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._link = link
        self._name = name
        self._login = login

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        if request.method == "DELETE":
            request.extensions["timeout"] = httpx2.Timeout(_GOODBYE_SECONDS).as_dict()
        if request.method != "POST":
            return await self._send(request, options)
        try:
            return await self._checked(request, await self._send(request, options))
        except LoginWanted:
            return self._nobody_logged_in(request)
        except OAuthFlowError as error:
            return _refusal(request, "unavailable", f"it can't be logged in to: {error}")
        except _NOT_SENT as error:
            return _refusal(request, "unavailable", f"it can't be reached: {_text(error)}")
        except (httpx2.RequestError, httpx2.StreamError) as error:
            return _refusal(request, "lost", f"the connection failed: {_text(error)}", True)

    async def _send(self, request: httpx2.Request, options: dict[str, Any]) -> httpx2.Response:
        """Send it with the token there is. The SDK's way to get one lets nobody else send
        anything until the answer to this request begins, so it is gone only where it has to be.
        """
        login = self._login
        if login is None:
            return await super().send(request, **options)
        token = login.token()
        if token is not None:
            if token:
                request.headers["authorization"] = f"Bearer {token}"
            response = await super().send(request, **options)
            if response.status_code not in (401, 403) or not login.can_do_better(token):
                return response
            await response.aclose()
        return await super().send(request, **{**options, "auth": login})

    async def _checked(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """The response, if the SDK can make something of it; else one that says what is wrong."""
        status = response.status_code
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if status < 400:
            usable = response.next_request or kind in ("application/json", "text/event-stream")
            if usable or not _wants_answer(request):
                return response
            await response.aclose()
            return _refusal(request, "malformed", f"it answered {status} with {kind!r}", True)
        if status == 401 and isinstance(self._login, PersonLogin):
            await response.aclose()
            return self._nobody_logged_in(request)
        body = await response.aread()
        # The protocol says 404; the SDK's own examples for servers say 400.
        ended = status == 404 or (status == 400 and b"session" in body.lower())
        if ended and MCP_SESSION_ID in request.headers:
            self._link.reason = "its session has ended"
            return _refusal(request, "unavailable", self._link.reason)
        if _is_error(body):
            return response
        # Who redacts it knows no part of a secret.
        begun = body if len(body) <= _EXCERPT else _PART_BEHIND.sub(b"", body[:_EXCERPT])
        said = begun.decode(errors="replace").strip()
        message = f"HTTP {status} {response.reason_phrase}: {said}".rstrip(": ")
        code: Code = "rejected" if status in _NOT_DONE else "lost"
        return _refusal(request, code, message, status not in _NOT_DONE)

    def _nobody_logged_in(self, request: httpx2.Request) -> httpx2.Response:
        return _refusal(request, "login", f"nobody is logged in: axtui tools login {self._name}")


def _refusal(
    request: httpx2.Request, code: Code, message: str, unknown: bool = False
) -> httpx2.Response:
    error = {"code": INTERNAL_ERROR, "message": message, "data": {FAULT: [code, unknown]}}
    answer = {"jsonrpc": "2.0", "id": None, "error": error}
    return httpx2.Response(500, json=answer, request=request)


def _wants_answer(request: httpx2.Request) -> bool:
    message = json.loads(request.content)
    return "method" in message and "id" in message


def _is_error(body: bytes) -> bool:
    try:
        return isinstance(jsonrpc_message_adapter.validate_json(body), JSONRPCError)
    except ValidationError:
        return False


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


async def bound(response: httpx2.Response) -> None:
    """Have the body of a response be of a size that can be read."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise httpx2.DecodingError("it compressed its answer, unasked", request=response.request)
    # Of a stream of events, each is bounded by who takes it apart.
    streamed = (
        response.status_code == 200
        and response.headers.get("content-type", "").startswith("text/event-stream")
        and "text/event-stream" in response.request.headers.get("accept", "")
    )
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Body(response.stream, None if streamed else MAX_BODY)


class _Body(httpx2.AsyncByteStream):
    """What a response holds, whose every failure is one that the SDK is prepared for."""

    def __init__(self, inner: httpx2.AsyncByteStream, limit: int | None) -> None:
        self._inner = inner
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in self._inner:
                size += len(chunk)
                if self._limit is not None and size > self._limit:
                    raise httpx2.StreamError(f"it is larger than {self._limit >> 20} MiB")
                yield chunk
        except httpx2.TransportError as error:
            raise httpx2.StreamError(f"the connection failed: {_text(error)}") from error

    async def aclose(self) -> None:
        await self._inner.aclose()


def wants_person(config: ToolServer) -> bool:
    """Whether a log-in at the server would be a person's."""
    fixed = any(name.lower() == "authorization" for name in config.headers)
    return bool(config.url) and config.oauth is None and not fixed


def _login(config: ToolServer, file: Path) -> Credentials | PersonLogin | None:
    if (oauth := config.oauth) is None:
        return PersonLogin(config.url, file) if wants_person(config) else None
    secret = os.environ.get(oauth.client_secret_env)
    if not secret:
        raise ToolFault("unavailable", f"the variable {oauth.client_secret_env} is not set")
    return Credentials(config.url, oauth, secret)


class Credentials(ClientCredentialsOAuthProvider):
    """A client's credentials, and what they were exchanged for."""

    def __init__(self, url: str, oauth: OAuth, secret: str) -> None:
        self._tokens: OAuthToken | None = None
        super().__init__(
            server_url=url,
            storage=self,
            client_id=oauth.client_id,
            client_secret=secret,
            scope=oauth.scope,
            issuer=oauth.issuer,
        )

    def token(self) -> str | None:
        """The token to send; None if one has to be got before."""
        return self._tokens.access_token if self._tokens else None

    def can_do_better(self, refused: str) -> bool:
        """There may be another token."""
        return True

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Never called: only a client that isn't configured is registered."""
