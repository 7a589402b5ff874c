"""`axtui --serve-web`: the terminal UI, for browsers."""

from __future__ import annotations

import argparse
import os
import shlex
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError
from axtui.cli.common import credentials_of, current_folder, server_of
from axtui.cli.interrupt import Interrupt
from axtui.cli.output import print_json, print_text, say
from axtui.client import (
    Credentials,
    LeaseHeld,
    Refused,
    Unreachable,
    connect,
    listen_address,
    load_config,
    serving,
)
from axtui.programs import program

if TYPE_CHECKING:
    from axtui.client import Config

ADDRESS = "127.0.0.1:8495"


async def serve_web(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    try:
        from axtui.web.server import WebUi
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual_serve", "aiohttp", "jinja2"):
            raise
        raise UsageError(
            "the UI for browsers isn't installed", "pip install 'axtui[web]'"
        ) from None
    config = load_config(args.config, args.data_dir, os.environ, current_folder())
    address = listen_address(args.address or ADDRESS)
    if address.path:
        raise UsageError("a browser takes HOST:PORT", f"the default is {ADDRESS}")
    tls = _tls(config)
    if not address.is_local and tls is None and not args.insecure:
        raise UsageError(
            f"listening on {address.target} takes TLS",
            "see server.tls; or --insecure, whoever reads along",
        )
    with Interrupt(args) as interrupt:
        async with AsyncExitStack() as stack:
            if address.is_local:
                server = server_of(args)
                if server:
                    await _see_that_it_answers(args, config, server)
                check = None
            else:
                server = server_of(args) or await stack.enter_async_context(_served(config))
                check = _Tokens(config, server, args).problem
            command = _command(args, config, server, with_token=check is None)
            pages = WebUi(command, check)
            try:
                runner = await pages.listen(address.host, address.port, tls)
            except OSError as error:
                words = error.strerror or str(error)
                raise UsageError(f"can't listen on {address.target}: {words}") from None
            stack.push_async_callback(runner.cleanup)
            port = runner.addresses[0][1]
            scheme = "http" if tls is None else "https"
            _tell(args, f"{scheme}://{address._replace(port=port).target}")
            if tls is None and not address.is_local:
                say("axtui: warning: all is sent in the clear, tokens included")
            await interrupt.wait()
    return 0


class _Tokens:
    """Who is let in by a server is let in here."""

    def __init__(self, config: Config, server: str, args: argparse.Namespace) -> None:
        self._config = config
        self._server = server
        self._given = credentials_of(args, server)

    async def problem(self, token: str) -> str:
        """Why a token lets nobody in; empty if it does."""
        given = self._given
        shown = Credentials(token, given.ca, given.cert, given.key, given.insecure)
        try:
            client = connect(self._config, self._server, shown)
            try:
                await client.refusals()
            finally:
                await client.close()
        except (Refused, Unreachable) as error:
            return str(error)
        return ""


async def _see_that_it_answers(args: argparse.Namespace, config: Config, server: str) -> None:
    """Raises what a session would. Without a server each session finds a controller by itself, or
    starts one in the background."""
    client = connect(config, server, credentials_of(args, server))
    try:
        await client.refusals()
    finally:
        await client.close()


@asynccontextmanager
async def _served(config: Config) -> AsyncIterator[str]:
    """The address of a server of our own, which lets in who has a token. Raises Refused where
    there are none, or another process writes the log."""
    client = connect(config)
    try:
        if not await client.tokens():
            raise Refused(
                "usage",
                "beyond this machine nobody is let in without a token, and there is none",
                "`axtui token create NAME` makes one",
            )
    finally:
        await client.close()
    try:
        # TLS is for those who come from elsewhere, and they don't come here.
        plain = replace(config, server=replace(config.server, tls=None))
        async with serving(plain, ["127.0.0.1:0"]) as held:
            for name, error in held.failed.items():
                say(f"axtui: the run of {name} can't go on: {error}")
            yield held.addresses[0]
    except LeaseHeld as error:
        raise Refused("held", str(error), "give that one's address with --server") from None


def _command(args: argparse.Namespace, config: Config, server: str, *, with_token: bool) -> str:
    """What each session runs, with the owner's token or else a visitor's."""
    words = [*program("axtui"), "--data-dir", str(config.data_dir)]
    if config.path is not None:
        words += ["--config", str(config.path)]
    if server:
        words += ["--server", server]
    for name in ("theme", "ca", "cert", "key"):
        if value := getattr(args, name, None):
            words += [f"--{name}", value]
    if args.token_file and with_token:
        words += ["--token-file", args.token_file]
    if args.insecure:
        words.append("--insecure")
    return shlex.join(words)


def _tls(config: Config) -> ssl.SSLContext | None:
    tls = config.server_tls
    if tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a password nobody is asked for one.
        context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
        if tls.client_ca:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise UsageError(f"server.tls can't be used: {error}") from None
    return context


def _tell(args: argparse.Namespace, address: str) -> None:
    if args.output == "json":
        print_json({"kind": "listening", "address": address, "pid": os.getpid()})
    else:
        print_text(f"axtui is at {address}")
