"""Having a person log in at a server: they do so in a browser, which then comes back here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthFlowError

from axtui.runtime.actors.tools.faults import ToolFault
from axtui.runtime.actors.tools.http import CONNECT_SECONDS, bound, wants_person
from axtui.runtime.actors.tools.person import PersonLogin
from axtui.runtime.config import ToolServer

LOGIN_SECONDS = 600.0
_READ_SECONDS = 10.0
_PATH = "/callback"
_ACCEPTED = "application/json, text/event-stream"
# Whatever it answers: what matters is whether it asks who we are.
_HELLO = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
_PAGE = "<!doctype html><meta charset=utf-8><title>axtui</title><p>{}"


async def log_in(config: ToolServer, file: Path, show: Callable[[str], None]) -> None:
    """Have somebody log in at a server, and keep in `file` what that gives. `show` gets the address
    that has to be opened in a browser on this machine. Raises ToolFault.
    """
    if not config.url:
        raise ToolFault("rejected", "it is a program, and wants no log-in")
    if not wants_person(config):
        raise ToolFault("rejected", "it is logged in to with what the configuration has for it")

    async def tell(address: str) -> None:
        show(address)

    try:
        async with asyncio.timeout(LOGIN_SECONDS), _callback() as (address, result):
            login = PersonLogin(
                config.url, file, redirect_uri=address, show=tell, result=lambda: result
            )
            status = await _greeted(config, login)
    except TimeoutError:
        raise ToolFault("timeout", f"nobody logged in within {LOGIN_SECONDS:g} s") from None
    except OAuthFlowError as error:
        raise ToolFault("unavailable", f"it can't be logged in to: {error}") from None
    except (httpx2.RequestError, httpx2.StreamError) as error:
        raise ToolFault("unavailable", f"it can't be reached: {error}") from None
    if login.context.current_tokens is None:
        raise ToolFault("rejected", f"it wants no log-in: it answered HTTP {status}")


async def _greeted(config: ToolServer, login: PersonLogin) -> int:
    """The status of the server's answer to somebody who has logged in."""
    headers = {**config.headers, "accept": _ACCEPTED, "accept-encoding": "identity"}
    client = httpx2.AsyncClient(
        auth=login, headers=headers, timeout=CONNECT_SECONDS, event_hooks={"response": [bound]}
    )
    async with client, client.stream("POST", config.url, json=_HELLO) as response:
        return response.status_code


@asynccontextmanager
async def _callback() -> AsyncIterator[tuple[str, asyncio.Future[AuthorizationCodeResult]]]:
    """The address that a browser is sent back to, and what it brings along."""
    brought: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, text = _heard(head, brought)
                page = _PAGE.format(text).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\ncontent-type: text/html\r\nconnection: close\r\n"
                    f"content-length: {len(page)}\r\n\r\n".encode()
                    + page
                )
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Whoever that was, it was no browser that comes back.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}{_PATH}", brought


def _heard(head: bytes, brought: asyncio.Future[AuthorizationCodeResult]) -> tuple[str, str]:
    """What to answer a request with; what it brings is put where it is waited for."""
    method, _, rest = head.decode(errors="replace").partition(" ")
    url = urlsplit(rest.partition(" ")[0])
    said = {name: values[0] for name, values in parse_qs(url.query).items()}
    if method != "GET" or url.path != _PATH or not said.keys() & {"code", "error"}:
        return "404 Not Found", "There is nothing here."
    if not brought.done():
        if "error" in said:
            why = ": ".join(filter(None, (said["error"], said.get("error_description"))))
            brought.set_exception(OAuthFlowError(f"the log-in was refused: {why}"))
        else:
            brought.set_result(AuthorizationCodeResult.model_validate(said))
    return "200 OK", "Thank you. The terminal tells how it went; this page can be closed."
