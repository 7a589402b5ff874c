"""A tool server that wants people to log in, and the authorization server that they do so at, both
made with the SDK."""

from __future__ import annotations

import asyncio
import itertools
import socket
from contextlib import nullcontext
from typing import Any

import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

NEVER = 2e10


class Authority(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Who is let in. People are asked nothing: whoever comes is let in, unless `refuses`."""

    def __init__(self) -> None:
        self.refuses = False
        self.seconds: int | None = 3600
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.refreshed = 0
        self._codes: dict[str, AuthorizationCode] = {}
        self._numbers = itertools.count(1)

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id
        self.clients[client_info.client_id] = client_info

    async def authorize(
        self, client: OAuthClientInformationFull, params: AuthorizationParams
    ) -> str:
        back, state = str(params.redirect_uri), params.state
        if self.refuses:
            why = {"error": "access_denied", "error_description": "not you"}
            return construct_redirect_uri(back, state=state, **why)
        code = f"code-{next(self._numbers)}-{'x' * 40}"
        self._codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=NEVER,
            client_id=client.client_id or "",
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
        )
        return construct_redirect_uri(back, code=code, state=state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        return self._tokens(client)

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.refresh[refresh_token.token]
        self.refreshed += 1
        return self._tokens(client)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)

    def _tokens(self, client: OAuthClientInformationFull) -> OAuthToken:
        id, number = client.client_id or "", next(self._numbers)
        access, refresh = f"access-{number}", f"refresh-{number}"
        self.access[access] = AccessToken(token=access, client_id=id, scopes=[])
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=id, scopes=[])
        return OAuthToken(access_token=access, refresh_token=refresh, expires_in=self.seconds)


class Guarded:
    """Both servers, on one port."""

    def __init__(self) -> None:
        self.authority = Authority()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"{self.base}/mcp"
        server = MCPServer(
            "guarded",
            auth_server_provider=self.authority,
            auth=AuthSettings(
                issuer_url=self.base,  # type: ignore[arg-type]
                resource_server_url=self.url,  # type: ignore[arg-type]
                client_registration_options=ClientRegistrationOptions(enabled=True),
                validate_token_resource=False,
            ),
        )

        @server.tool()
        async def secret() -> str:
            return "sesame"

        config = uvicorn.Config(
            server.streamable_http_app(), log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        # Signals are the test runner's.
        self._server.capture_signals = nullcontext  # type: ignore[method-assign]

    async def __aenter__(self) -> Guarded:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._server.should_exit = True
        await self._task
