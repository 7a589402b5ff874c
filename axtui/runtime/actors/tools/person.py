"""A person's log-in at a server behind a URL, kept in a file that only its owner may read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
)
from pydantic import AnyUrl, ValidationError

_NOWHERE = "http://127.0.0.1/callback"
# A time that is over, whatever the clock says.
_OVER = 1.0


class LoginWanted(OAuthFlowError):
    """Only a person can log in, and there is none."""


class PersonLogin(OAuthClientProvider):
    """The log-in of whoever uses axtui, at the server of `url`.

    What the file has for another URL doesn't count. The SDK refreshes a token that is out of date;
    where that doesn't do, `show` is given the address that a person has to open, and `result` waits
    for what comes of it. Without them that is LoginWanted.
    """

    def __init__(
        self,
        url: str,
        file: Path,
        *,
        redirect_uri: str = _NOWHERE,
        show: Callable[[str], Awaitable[None]] | None = None,
        result: Callable[[], Awaitable[AuthorizationCodeResult]] | None = None,
    ) -> None:
        metadata = OAuthClientMetadata(
            client_name="axtui",
            redirect_uris=[AnyUrl(redirect_uri)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        )
        super().__init__(url, metadata, self, show or _nobody, result or _nothing)
        self._file = file
        self._afresh = show is not None

    def token(self) -> str | None:
        """The token to send; empty if there is none, None if it has to be refreshed before."""
        if not self.context.is_token_valid():
            # Another process may have a newer one.
            self._load()
        tokens = self.context.current_tokens
        if tokens is None or self.context.is_token_valid():
            return tokens.access_token if tokens else ""
        return None if self.context.can_refresh_token() else ""

    def can_do_better(self, refused: str) -> bool:
        """Whether there is another way than with the token that the server has refused."""
        self._load()
        tokens = self.context.current_tokens
        if tokens is None:
            return False
        if tokens.access_token == refused:
            self.context.token_expiry_time = _OVER
            return self.context.can_refresh_token()
        return True

    async def get_tokens(self) -> OAuthToken | None:
        """What the SDK begins with: what was found to be the best there is."""
        return self.context.current_tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """As whom the server knows us."""
        return self.context.client_info

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """It is kept with the tokens, since it is of no use without them."""

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep them, with all that refreshing them takes."""
        client, metadata = self.context.client_info, self.context.oauth_metadata
        kept = {
            "url": self.context.server_url,
            "tokens": tokens.model_dump(mode="json"),
            "expires_at": self.context.token_expiry_time,
            "client": client and client.model_dump(mode="json"),
            "metadata": metadata and metadata.model_dump(mode="json"),
            "issuer": self.context.auth_server_url,
        }
        folder = self._file.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody may find half of it, or read it before it is ours alone.
        number, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(number, "w") as file:
            json.dump(kept, file)
        os.replace(name, self._file)

    def _load(self) -> None:
        if self._afresh:
            return
        try:
            kept = json.loads(self._file.read_text())
            if kept["url"] == self.context.server_url:
                self._take(kept)
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            # As good as none.
            self.context.clear_tokens()

    def _take(self, kept: dict[str, Any]) -> None:
        context = self.context
        context.current_tokens = OAuthToken.model_validate(kept["tokens"])
        context.token_expiry_time = kept["expires_at"]
        context.client_info = OAuthClientInformationFull.model_validate(kept["client"])
        context.oauth_metadata = kept["metadata"] and OAuthMetadata.model_validate(kept["metadata"])
        context.auth_server_url = kept["issuer"]


async def _nobody(url: str) -> None:
    raise LoginWanted("nobody is there to log in")


async def _nothing() -> AuthorizationCodeResult:
    raise LoginWanted("nobody has logged in")
