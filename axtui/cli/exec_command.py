"""Run an agent and follow it to its end, or go on with a run that was interrupted.

Kill it at any moment: `axtui exec --conversation ID --resume` goes on from the last finished step.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError, amount, duration, json_argument, name, text_argument
from axtui.cli.control import resume_command
from axtui.cli.follow import whole
from axtui.cli.interrupt import Interrupt
from axtui.cli.output import OutputFailed
from axtui.cli.render import make_renderer
from axtui.cli.session import Session, follow
from axtui.client import Refused, RunOptions, UnknownConversation
from axtui.model.ids import new_id

if TYPE_CHECKING:
    from axtui.client import Client
    from axtui.model.summary import Listed

# As part of what is drawn, which others mustn't write into.
TELLS_WARNINGS = True
# An agent elsewhere may take longer to be there, and is told of then.
_SLOW_SECONDS = 3.0
EPILOG = """\
exit status: 0 completed, 1 failed, 2 the call is wrong, 3 waits or is paused (what to type next
is printed), 4 refused, 5 something needed can't be reached, 6 canceled, 130 or 143 interrupted.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of exec."""
    add = parser.add_argument
    add("--input", metavar="TEXT|-|@FILE", help="what the agent is told; - is standard input")
    add(
        "--conversation",
        metavar="ID",
        type=name,
        help="the conversation to go on with, or the id of a new one",
    )
    add("--agent", metavar="ID", type=name, help="the agent; else the one of before")
    add("--agent-config", metavar="JSON|@FILE", help="what the agent is set up with")
    add("--resume", action="store_true", help="go on with the run that didn't end")
    add("--last-seq", type=amount, metavar="N", help="show every event after N first")
    add(
        "--approve",
        choices=("policy", "ask", "all", "deny"),
        default="",
        help="who grants effects: the policy (the default), you each time, you now for all, nobody",
    )
    add(
        "--on-interrupted",
        choices=("ask", "retry", "skip", "fail"),
        default="",
        help="what becomes of a step of which nobody knows how it ended (default: ask)",
    )
    add(
        "--timeout",
        metavar="DUR",
        type=duration,
        help="how long to wait for the run, such as 90s or 5m; then it is paused",
    )
    add("--detach", action="store_true", help="leave it to a process in the background")
    add("--interactive", action="store_true", help="ask for the next input after each run")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Start or resume a run and follow it."""
    _check(args)
    text = None if args.input is None else await text_argument(args.input, "--input")
    options = RunOptions(
        await _config(args),
        args.approve,
        args.on_interrupted,
    )
    known = args.conversation or new_id()
    if args.resume:
        known = await _resumable(client, known)
    if args.detach:
        await client.join(start=True)
    session = Session(client, args, make_renderer(args), Interrupt(args), known, options)
    with session.interrupt:
        try:
            return await _talk(session, text)
        except OutputFailed as error:
            error.hint = "the run can be resumed:\n" + resume_command(args, known)
            raise


async def _config(args: argparse.Namespace) -> object:
    if args.agent_config is None:
        return None
    return await json_argument(args.agent_config, "--agent-config")


def _check(args: argparse.Namespace) -> None:
    for option in ("input", "agent", "agent_config"):
        if args.resume and getattr(args, option) is not None:
            flag = f"--{option.replace('_', '-')}"
            raise UsageError(
                f"--resume goes on with a run as it is; it takes no {flag}",
                "leave one of them out",
            )
    if not args.conversation and (args.resume or args.last_seq is not None):
        option = "--resume" if args.resume else "--last-seq"
        raise UsageError(f"{option} needs --conversation ID", "`axtui list` shows the ids")
    if args.input is None and not args.resume and not args.interactive:
        raise UsageError(
            "there is nothing to do", "give --input TEXT, or --conversation ID --resume"
        )
    if args.input == "-" and args.agent_config == "-":
        raise UsageError("standard input can't be both --input and --agent-config")
    if args.detach and (args.interactive or args.timeout is not None):
        option = "--interactive" if args.interactive else "--timeout"
        raise UsageError(f"--detach doesn't wait for the run; it doesn't go with {option}")
    if args.interactive and args.output == "json":
        raise UsageError("--interactive is for people; it doesn't go with --output json")


async def _resumable(client: Client, text: str) -> str:
    listed = await client.resolve(text)
    if listed.summary.deleted_us:
        raise UnknownConversation(text)
    if listed.summary.state == "idle":
        raise Refused("state", f"conversation {listed.summary.id} has no run to resume")
    return listed.summary.id


async def _talk(session: Session, text: str | None) -> int:
    """One run after the other, for as long as there is something to do."""
    args = session.args
    listed = await session.client.find(session.conversation_id)
    after = _after(args.last_seq, listed)
    if args.resume:
        if listed and listed.open:
            session.interrupt.conversation_id = session.conversation_id
            await session.client.resume(session.conversation_id, session.options)
    else:
        text = await _prompt(session) if text is None else text
        if text is None:
            return _interrupted(session, 0)
        await _start(session, text)
    session.renderer.conversation(session.conversation_id)
    if args.detach:
        return await _left(session)
    while True:
        code, seq = await follow(session, after)
        if not args.interactive or code not in (0, 1):
            return code
        text = await _prompt(session)
        if text is None:
            return _interrupted(session, code)
        await _start(session, text)
        after = seq


async def _left(session: Session) -> int:
    """Leave the run to whoever drives it."""
    state = await session.client.state(session.conversation_id)
    session.renderer.end(state, await whole(session.client, state.run.output), True)
    return 0


async def _start(session: Session, text: str) -> None:
    agent = session.args.agent or ""
    word = f"Waiting for agent {agent!r} to answer …" if agent else "Waiting for the agent …"
    slow = asyncio.get_running_loop().call_later(_SLOW_SECONDS, session.renderer.note, word)
    try:
        await session.client.start(session.conversation_id, text, agent, session.options)
    finally:
        slow.cancel()
    session.interrupt.conversation_id = session.conversation_id


def _interrupted(session: Session, code: int) -> int:
    return 128 + session.interrupt.signal if session.interrupt.signal else code


def _after(wanted: int | None, listed: Listed | None) -> int:
    last = listed.seq if listed else 0
    if wanted is None:
        return last
    if wanted > last:
        raise UsageError(
            f"--last-seq {wanted} is beyond the log, "
            + (f"whose last event is {last}" if last else "which is empty")
        )
    return wanted


async def _prompt(session: Session) -> str | None:
    """The next input of an interactive session; None at the end of it."""
    return await session.renderer.ask_line("> ", session.interrupt)
