"""Let clients into a server: `axtui token create NAME --role ROLE`, `list`, `revoke NAME`.

A viewer may look. An operator may also start, resume, pause, cancel and fork runs, and answer what
they ask; an admin also delete and import conversations, and make tokens.

A token is printed once, when it is made; what is kept is a hash. A client shows it with AXTUI_TOKEN
or --token-file. What is made or revoked here holds at once, on a server that runs too. Once there
has been a token, no client gets in over TCP without one.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError, duration, name
from axtui.cli.output import print_json, print_text, say
from axtui.cli.table import print_table
from axtui.model.codec import format_time
from axtui.model.tokens import ROLES, Token, new_secret, secret_hash
from axtui.model.words import ago, one_line, took

if TYPE_CHECKING:
    from axtui.client import Client

_HEAD = ("NAME", "ROLE", "STATE", "EXPIRES", "CREATED", "BY")
_SPARE = (5, 4, 3)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of token."""
    add = parser.add_argument
    add("what", choices=("create", "list", "revoke"), help="what to do")
    add("name", nargs="?", metavar="NAME", type=name, help="of the token: who is going to use it")
    add("--role", choices=ROLES, help="what it may do")
    add("--expires", metavar="DUR", type=duration, help="such as 90d; else it doesn't expire")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Do what is wanted."""
    if args.what != "create" and (args.role or args.expires is not None):
        raise UsageError(f"`axtui token {args.what}` takes no --role and no --expires")
    if args.what == "list":
        if args.name:
            raise UsageError("`axtui token list` takes no name")
        _list(await client.tokens(), args)
        return 0
    if not args.name:
        raise UsageError("the token needs a name", f"`axtui token {args.what} NAME`")
    if args.what == "create":
        await _create(client, args)
        return 0
    await client.revoke_token(args.name)
    if args.output == "json":
        print_json({"token": args.name, "state": "revoked"})
    else:
        print_text(f"revoked; whoever has {one_line(args.name)} is let in no more")
    return 0


async def _create(client: Client, args: argparse.Namespace) -> None:
    if not args.role:
        raise UsageError("the token needs a role", f"--role {', '.join(ROLES)}")
    expires_us = 0
    if args.expires is not None:
        expires_us = int((time.time() + args.expires) * 1e6)
    secret = new_secret()
    await client.create_token(args.name, args.role, secret_hash(secret), expires_us)
    if args.output == "json":
        expires = format_time(expires_us) if expires_us else None
        print_json({"token": args.name, "role": args.role, "expires": expires, "secret": secret})
        return
    print_text(secret)
    say("axtui: keep it: it is shown this once. A client takes it from AXTUI_TOKEN or --token-file")


def _list(tokens: list[Token], args: argparse.Namespace) -> None:
    now = time.time_ns() // 1000
    if args.output == "json":
        for token in tokens:
            print_json(_as_json(token, now))
    elif tokens:
        print_table(_HEAD, [_row(token, now) for token in tokens], _SPARE)
    else:
        print_text("no tokens; whoever is on this machine may use a server here")


def _row(token: Token, now: int) -> tuple[str, ...]:
    expires = ""
    if token.expires_us:
        left = token.expires_us - now
        expires = f"in {took(left)}" if left > 0 else f"{ago(token.expires_us, now)} ago"
    return (
        one_line(token.name),
        token.role,
        token.state(now),
        expires,
        f"{ago(token.created_us, now)} ago" if token.created_us else "",
        one_line(token.created_by) or "the configuration",
    )


def _as_json(token: Token, now: int) -> dict[str, str | None]:
    def moment(time_us: int) -> str | None:
        return format_time(time_us) if time_us else None

    return {
        "token": token.name,
        "role": token.role,
        "state": token.state(now),
        "created": moment(token.created_us),
        "created_by": token.created_by or None,
        "expires": moment(token.expires_us),
        "revoked": moment(token.revoked_us),
        "revoked_by": token.revoked_by or None,
    }
