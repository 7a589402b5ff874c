"""Serves the terminal UI to browsers: who may, and each session as a process of its own.

textual-serve has the page and the protocol; it lets in whoever comes. Whom we let in is decided
before it sees a request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from textual_serve.server import Server as Pages
from textual_serve.server import to_int

from axtui.client import is_loopback
from axtui.web.sessions import Session

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Why a token lets nobody in; empty if it does.
Check = Callable[[str], Awaitable[str]]

COOKIE = "axtui_token"
MAX_SESSIONS = 50
_MAX_TOKEN = 1000
# Of tokens at a time, so that guessing is slow for everybody but costs us little.
_CHECKS = 4
_COOKIE_SECONDS = 30 * 86400
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' data: blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class WebUi(Pages):
    """Each page gets a process of `command`, with its visitor's token as AXTUI_TOKEN. With `check`
    nobody is let in without a token; without it, only browsers of this machine are."""

    def __init__(self, command: str, check: Check | None) -> None:
        super().__init__(command, templates_path=Path(__file__).parent / "templates")
        self._check = check
        self._checking = asyncio.Semaphore(_CHECKS)
        self._sessions = 0

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> web.AppRunner:
        """Serve from now on, until the runner is cleaned up. Raises OSError."""
        runner = web.AppRunner(await self._make_app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        return runner

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.router.add_post("/login", self._login)

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        app.middlewares.append(guarded)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the command does."""

    # Who is let in

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = self._of_elsewhere(request)
        if refused is None and self._check is not None and request.path != "/login":
            refused = await self._without_token(request)
        if refused is not None:
            refused.headers.update(_HEADERS)
            return refused
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _of_elsewhere(self, request: web.Request) -> web.Response | None:
        """What is said to a page of another site that has a browser call us."""
        host = urlsplit(f"//{request.host}")
        origin = request.headers.get("Origin")
        told = urlsplit(origin or "").netloc
        takes_one = request.path == "/ws" or request.method != "GET"
        if (origin is not None or takes_one) and told != request.host:
            return web.Response(status=403, text="this is for pages of axtui's own\n")
        # Else any site could have its own name stand for this machine.
        if self._check is None and not is_loopback(host.hostname or ""):
            return web.Response(status=403, text="this is for browsers of this machine\n")
        return None

    async def _without_token(self, request: web.Request) -> web.Response | None:
        """What is said to who has no token that will do; None to who has."""
        told = request.query.get("token")
        token = request.cookies.get(COOKIE, "") if told is None else told
        problem = await self._problem(token) if token else ""
        if token and not problem:
            return None if told is None else _entered(request, token)
        if request.path != "/":
            return web.Response(status=401, text=f"{problem or 'a token is needed'}\n")
        return _login_page(request, problem)

    async def _login(self, request: web.Request) -> web.Response:
        token = str((await request.post()).get("token", "")).strip()
        problem = await self._problem(token)
        return _login_page(request, problem) if problem else _entered(request, token)

    async def _problem(self, token: str) -> str:
        if self._check is None:
            return ""
        if not token or len(token) > _MAX_TOKEN or not token.isascii() or not token.isprintable():
            return "a token is needed"
        async with self._checking:
            return await self._check(token)

    # What they get

    @aiohttp_jinja2.template("app_index.html")
    async def handle_index(self, request: web.Request) -> dict[str, Any]:
        """The page."""
        return {"font_size": to_int(request.query.get("fontsize", "16"), 16)}

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A session, for as long as its page is open."""
        if self._sessions >= MAX_SESSIONS:
            raise web.HTTPServiceUnavailable(text=f"there are {MAX_SESSIONS} sessions already\n")
        self._sessions += 1
        try:
            return await self._serve_session(request)
        finally:
            self._sessions -= 1

    async def _serve_session(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=15)
        await socket.prepare(request)
        # Else the process would show its owner's own token.
        token = request.cookies.get(COOKIE, "")
        session = Session(
            self.command,
            {} if self._check is None else {"AXTUI_TOKEN": token},
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=socket.close,
            download_manager=self.download_manager,
        )
        try:
            width, height = (
                to_int(request.query.get(name, ""), 80) for name in ("width", "height")
            )
            await session.start(width, height)
            await self._process_messages(socket, session)
        except (ValueError, LookupError, TypeError, AssertionError):
            # It doesn't speak our page's language.
            await socket.close(code=1003)
        finally:
            await session.stop()
        return socket


def _login_page(request: web.Request, problem: str) -> web.Response:
    context = {"problem": problem}
    return aiohttp_jinja2.render_template("login.html", request, context, status=401)


def _entered(request: web.Request, token: str) -> web.Response:
    """Have the browser keep the token, and go on without it in the address."""
    # By a page: a cookie that is for us alone isn't sent along a redirection from another site.
    page = '<!DOCTYPE html><meta http-equiv="refresh" content="0;url=./"><title>axtui</title>'
    response = web.Response(text=page, content_type="text/html")
    response.set_cookie(
        COOKIE,
        token,
        max_age=_COOKIE_SECONDS,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
    return response
