"""The terminal UI: watch runs, answer what they ask, start, stop and fork them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from locale import CODESET, nl_langinfo
from pathlib import Path

from axtui.cli import main
from axtui.cli.arguments import UsageError
from axtui.cli.common import add_remote, connected, open_client, read_config, server_of

_TOLD_CHARS = 4000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the UI."""
    parser.add_argument("--theme", metavar="NAME", help="the theme to use; `t` shows them all")
    parser.add_argument(
        "--ascii",
        action="store_true",
        help="draw with ASCII alone; else if the locale isn't UTF-8, or ui.ascii says so",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="for screen readers: lines and a prompt, nothing drawn; else if AXTUI_PLAIN is set",
    )
    parser.add_argument(
        "--serve-web", action="store_true", help="show it in browsers instead; takes axtui[web]"
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="where browsers find it, else 127.0.0.1:8495; beyond this machine with TLS and a "
        "token",
    )
    parser.set_defaults(timeout=None)
    parser.add_argument("--version", action="store_true", help="print the version")
    add_remote(parser)


async def run_alone(args: argparse.Namespace) -> int:
    """Draw until the person leaves. What can't be begun with is told as by any command."""
    if args.version:
        return main(["--version"])
    if args.output == "text" and (args.plain or os.environ.get("AXTUI_PLAIN")):
        from axtui.cli import plain

        async with connected(args) as client:
            return await plain.run(client, args)
    if args.serve_web:
        from axtui.cli.web import serve_web

        return await serve_web(args)
    if args.address:
        raise UsageError("--address goes with --serve-web")
    # A session of a browser has no terminal, and doesn't need one.
    in_browser = "TEXTUAL_DRIVER" in os.environ
    if not in_browser and (args.output == "json" or not _has_terminal()):
        raise UsageError(
            "the terminal UI needs a terminal", "`axtui --help` lists the commands that don't"
        )
    with _screen_to_itself():
        from axtui.app import AxtuiApp

        app = AxtuiApp(
            partial(open_client, args),
            server_of(args),
            args.theme or "",
            ascii=args.ascii or not _draws_utf8(),
            load=partial(read_config, args),
            where=_where(args),
        )
        if args.theme and args.theme not in app.available_themes:
            near = get_close_matches(args.theme, app.available_themes, 1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"there is no theme {args.theme!r}{advice}",
                f"the themes are: {', '.join(sorted(app.available_themes))}",
            )
        try:
            error = await app.run_async()
        finally:
            await app.desk.close()
    if error is not None:
        raise error
    return app.return_code or 0


def _where(args: argparse.Namespace) -> str:
    """The options by which another command finds the same log."""
    if server := server_of(args):
        return shlex.join(["--server", server])
    return shlex.join(["--data-dir", str(Path(args.data_dir).absolute())]) if args.data_dir else ""


def _draws_utf8() -> bool:
    """Whether the locale says so."""
    return nl_langinfo(CODESET).lower().replace("-", "") == "utf8"


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def _screen_to_itself() -> Iterator[None]:
    """Have nothing but the UI write to the terminal. Libraries that aren't written in Python write
    to descriptor 2, which is also where Textual draws; what they say is told when the UI is gone.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        drawn = sys.__stderr__
        with open(os.dup(terminal), "w", encoding="utf-8") as screen:
            sys.__stderr__ = screen  # type: ignore[misc]
            try:
                yield
            finally:
                sys.__stderr__ = drawn  # type: ignore[misc]
                sys.stderr.flush()
                os.dup2(terminal, 2)
                os.close(terminal)
        said.seek(0)
        if text := said.read(_TOLD_CHARS).decode(errors="replace").strip():
            print(text, file=sys.stderr)
