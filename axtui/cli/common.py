"""What all commands share: their options, how they are run, and how errors are told."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from axtui.cli.arguments import UsageError, given
from axtui.cli.output import INTERRUPTED, OutputFailed, report, write

if TYPE_CHECKING:
    from axtui.client import Client, Config, Credentials

FAILED, USAGE, REFUSED, UNREACHABLE = 1, 2, 4, 5
_END_SECONDS = 0.3
_WARN_SECONDS = 0.2
_MAX_TOKEN = 1000


class Command(Protocol):
    """What the file of a command has."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own options."""
        ...

    def run(self, client: Client, args: argparse.Namespace) -> Coroutine[Any, Any, int]:
        """Do it; gives back the exit status. One that needs no log has `run_alone(args)`."""
        ...


class Parser(argparse.ArgumentParser):
    """Tells what is wrong the way everything else is told, with the nearest right word."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        hint = f"`{self.prog} --help` lists the options"
        if "expected one argument" in message:
            hint = "a value that begins with a dash is written --option=VALUE"
        raise UsageError(message, hint)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Like that of the base class; names what is too much."""
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(self._too_much(rest))
        return parsed

    def _too_much(self, rest: list[str]) -> str:
        option = next((word for word in rest if word.startswith("-")), "")
        if not option:
            return f"too many arguments: {' '.join(map(repr, rest))}"
        known = [name for action in self._actions for name in action.option_strings]
        near = get_close_matches(option.partition("=")[0], known, 1)
        advice = f"; did you mean {near[0]!r}?" if near else ""
        return f"there is no option {option!r}{advice}"

    def _print_message(self, message: str, file: Any = None) -> None:
        write(message)


def make_parser(name: str, command: Any) -> Parser:
    """The parser of a command."""
    parser = Parser(
        prog=f"axtui {name}".rstrip(),
        allow_abbrev=False,
        description=command.__doc__,
        epilog=getattr(command, "EPILOG", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.configure(parser)
    add_common(parser)
    if not hasattr(command, "run_alone"):
        add_remote(parser)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command takes."""
    common = parser.add_argument_group("options of every command")
    common.add_argument(
        "--config",
        metavar="FILE",
        type=given,
        help="the configuration; else AXTUI_CONFIG, or ./axtui.yaml",
    )
    common.add_argument(
        "--data-dir", metavar="DIR", type=given, help="where the log is kept; else AXTUI_DATA_DIR"
    )
    common.add_argument(
        "--server",
        metavar="ADDR",
        type=given,
        help="the server to work on: HOST:PORT, https://HOST:PORT with TLS, or unix:PATH; "
        "else AXTUI_SERVER, or the log here",
    )
    common.add_argument(
        "--output", choices=("text", "json"), default="text", help="json: one object a line"
    )
    common.add_argument("--no-color", action="store_true", help="as with NO_COLOR set")
    common.add_argument("-v", "--verbose", action="store_true", help="say more")


def add_remote(parser: argparse.ArgumentParser) -> None:
    """Add what a command takes that connects to a server."""
    remote = parser.add_argument_group("options of work on a server")
    for option, text in (
        ("--token-file", "the file that holds the token; else AXTUI_TOKEN"),
        ("--ca", "who signs the server's certificate; else AXTUI_CA"),
        ("--cert", "a certificate of ours to show; else AXTUI_CERT"),
        ("--key", "its key; else AXTUI_KEY"),
    ):
        remote.add_argument(option, metavar="FILE", type=given, help=text)
    remote.add_argument(
        "--insecure",
        action="store_true",
        help="send the token in the clear too, for whoever reads along",
    )


def run_command(name: str, command: Any, argv: list[str]) -> int:
    """Parse, connect, run; turns every foreseeable error into a line and a status."""
    runner = asyncio.Runner()
    hangs = False
    try:
        status = _told(runner, name, command, argv)
    finally:
        hangs = _hangs(runner)
    if hangs:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _told(runner: asyncio.Runner, name: str, command: Any, argv: list[str]) -> int:
    try:
        try:
            args = make_parser(name, command).parse_args(argv)
        except SystemExit:
            # The help was asked for.
            return 0
        return runner.run(_run(command, args))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BrokenPipeError, OutputFailed):
        raise
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        report(told.code, told.message, told.hint, as_json=_wants_json(argv))
        return told.status


def _hangs(runner: asyncio.Runner) -> bool:
    """Whether a task takes no notice of being canceled; without one the runner is closed.

    An agent may do as it likes, and whatever was acknowledged is in its log.
    """
    tasks = asyncio.all_tasks(runner.get_loop())
    for task in tasks:
        task.cancel()
    if bool(tasks) and runner.run(_still_there(tasks)):
        return True
    runner.close()
    return False


async def _still_there(tasks: set[asyncio.Task[Any]]) -> bool:
    _, pending = await asyncio.wait(tasks, timeout=_END_SECONDS)
    return bool(pending)


async def _run(command: Any, args: argparse.Namespace) -> int:
    if hasattr(command, "run_alone"):
        return int(await command.run_alone(args))
    async with connected(args) as client:
        if hasattr(command, "TELLS_WARNINGS") or not server_of(args):
            return int(await command.run(client, args))
        telling = asyncio.create_task(_tell_warnings(client, args))
        try:
            return int(await command.run(client, args))
        finally:
            telling.cancel()


async def _tell_warnings(client: Client, args: argparse.Namespace) -> None:
    """Say it when the connection is lost, for a command that waits meanwhile."""
    as_json = getattr(args, "output", "text") == "json"
    while True:
        while warned := client.take_warning():
            report(warned.code, warned.text, kind="warning", as_json=as_json)
        await asyncio.sleep(_WARN_SECONDS)


@contextlib.asynccontextmanager
async def connected(args: argparse.Namespace) -> AsyncIterator[Client]:
    """The client that the options and the environment say, closed at the end."""
    client = open_client(args)
    try:
        yield client
    finally:
        await client.close()


def open_client(args: argparse.Namespace) -> Client:
    """The same, for who closes it himself."""
    from axtui.client import connect

    server = server_of(args)
    return connect(read_config(args), server, credentials_of(args, server))


def read_config(args: argparse.Namespace) -> Config:
    """The configuration that the options and the environment say."""
    from axtui.client import load_config

    return load_config(args.config, args.data_dir, os.environ, current_folder())


def server_of(args: argparse.Namespace) -> str:
    """The server that is meant; empty: the log here."""
    here = "" if args.data_dir else os.environ.get("AXTUI_SERVER", "")
    return args.server or here


def credentials_of(args: argparse.Namespace, server: str) -> Credentials:
    """What is shown to a server. Raises UsageError."""
    from axtui.client import Credentials

    if (args.ca or args.cert or args.key) and not server.startswith("https://"):
        where = server or "HOST:PORT"
        raise UsageError("--ca, --cert and --key are for TLS", f"write --server https://{where}")
    if args.token_file and server.startswith("ax://"):
        raise UsageError("--token-file is for servers of axtui", "Google AX asks for no token")
    if not server:
        return Credentials()
    ca, cert, key = (
        getattr(args, name) or os.environ.get(f"AXTUI_{name.upper()}", "")
        for name in ("ca", "cert", "key")
    )
    if bool(cert) != bool(key):
        raise UsageError("--cert and --key go together", "give both of them, or neither")
    return Credentials(_token(args.token_file), ca, cert, key, args.insecure)


def _token(file: str | None) -> str:
    """The token of a file or else of the environment. It is in no error."""
    where, token = "AXTUI_TOKEN", os.environ.get("AXTUI_TOKEN", "")
    if file is not None:
        where = f"--token-file {file}"
        try:
            with open(file, "rb") as source:
                token = source.read(_MAX_TOKEN + 1).decode(errors="replace")
        except OSError as error:
            raise UsageError(f"{where}: {error.strerror}") from None
    token = token.strip()
    fit = token.isascii() and token.isprintable() and token.split() == [token]
    if (token or file is not None) and (not fit or len(token) > _MAX_TOKEN):
        raise UsageError(f"{where} holds no token", "`axtui token create NAME` prints one")
    return token


def current_folder() -> Path:
    """The folder that axtui was started in. Raises UsageError if there is none any more."""
    try:
        return Path.cwd()
    except OSError:
        raise UsageError("the current folder is gone", "change into another") from None


class Told(NamedTuple):
    """What is said of an error, and the exit status."""

    code: str
    message: str
    hint: str
    status: int


def explain(error: Exception) -> Told | None:
    """What is said of an error that is foreseen; None of any other."""
    from axtui.client import (
        ActorError,
        ConfigError,
        LeaseHeld,
        LogError,
        Refused,
        Taken,
        UnknownConversation,
        Unreachable,
    )

    match error:
        case UsageError():
            return Told("usage", str(error), error.hint, USAGE)
        case ConfigError():
            return Told("config", str(error), "", USAGE)
        case Refused():
            status = USAGE if error.code == "usage" else REFUSED
            return Told(error.code, str(error), error.hint, status)
        case UnknownConversation():
            return Told("unknown", str(error), error.hint, REFUSED)
        case Taken():
            return Told("taken", str(error), error.hint, REFUSED)
        case LeaseHeld():
            return Told("held", str(error), error.hint, REFUSED)
        case Unreachable():
            return Told("unreachable", str(error), error.hint, UNREACHABLE)
        case ActorError():
            return Told(error.code, str(error), "`axtui doctor` looks for why", UNREACHABLE)
        case LogError():
            return Told("log", str(error), error.hint, FAILED)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return Told("system", f"{where}{error.strerror or error}", "", FAILED)
    if type(error).__name__ == "DecodeError":
        return Told("log", "the log is damaged", "`axtui verify` says where", FAILED)
    return None


def _wants_json(argv: list[str]) -> bool:
    follows = any(a == "--output" and b == "json" for a, b in pairwise(argv))
    return follows or "--output=json" in argv


def columns() -> int:
    """How wide the terminal is."""
    try:
        return int(os.environ.get("COLUMNS", "")) or 80
    except ValueError:
        pass
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
