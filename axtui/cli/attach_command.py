"""Follow a run that is in flight elsewhere. Ctrl+C stops following, not the run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError, amount
from axtui.cli.control import add_id, resume_command
from axtui.cli.interrupt import Interrupt
from axtui.cli.render import make_renderer
from axtui.cli.session import Session, follow
from axtui.client import Refused
from axtui.model.fold import is_open

if TYPE_CHECKING:
    from axtui.client import Client

# As part of what is drawn, which others mustn't write into.
TELLS_WARNINGS = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of attach."""
    add_id(parser)
    parser.add_argument(
        "--last-seq", type=amount, metavar="N", help="show what is after event N; else the run"
    )
    parser.set_defaults(timeout=None)


async def run(client: Client, args: argparse.Namespace) -> int:
    """Follow it; gives back its status."""
    listed = await client.resolve(args.conversation)
    found = listed.summary.id
    await client.join(start=False)
    state = await client.state(found)
    if is_open(state) and found not in (await client.holder()).driving:
        raise Refused("state", f"nobody drives the run of {found}", resume_command(args, found))
    after = args.last_seq
    if after is None:
        after = max(0, state.run.started_seq - 1)
    elif after > listed.seq:
        raise UsageError(f"--last-seq {after} is beyond the log, whose last event is {listed.seq}")
    session = Session(client, args, make_renderer(args), Interrupt(args), found)
    with session.interrupt:
        session.renderer.conversation(found)
        return (await follow(session, after))[0]
