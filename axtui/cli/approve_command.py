"""Answer what a run asks: an approval, a question, what to do about an interrupted step.

Without APPROVAL_ID it answers the only question that is open; `axtui show ID` lists them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from axtui.cli.arguments import UsageError, json_argument, name, words
from axtui.cli.control import add_id, told
from axtui.cli.story import answers
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.client import Client

_DONE = {"approve": "approved", "deny": "denied"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of approve."""
    add_id(parser)
    add = parser.add_argument
    add("approval", metavar="APPROVAL_ID", nargs="?", type=name, help="such as q26")
    add("--deny", action="store_true", help="say no")
    add("--choice", metavar="C", type=words, help="another answer, such as retry or more")
    add("--text", metavar="TEXT", type=words, help="the answer to a question in words")
    add("--always", action="store_true", help="the same answer from now on, in this conversation")
    add("--edit", metavar="JSON|@FILE", help="approve it with these arguments instead")
    add("--reason", metavar="TEXT", type=words, default="", help="kept in the log")


async def run(client: Client, args: argparse.Namespace) -> int:
    """Record the answer."""
    if sum((args.deny, args.choice is not None, args.text is not None)) > 1:
        raise UsageError("--deny, --choice and --text are three different answers", "give one")
    found = (await client.resolve(args.conversation)).summary.id
    choice = "deny" if args.deny else args.choice or ("" if args.text is not None else "approve")
    _check(await client.state(found), args, choice)
    text = args.text if args.text is not None else args.reason
    edit = None if args.edit is None else await json_argument(args.edit, "--edit")
    if args.edit is not None and not isinstance(edit, dict):
        raise UsageError("--edit takes a JSON object: all arguments of the call, as they are to be")
    state = await client.answer(found, args.approval or "", choice, text, args.always, edit)
    await told(client, args, state, _DONE.get(choice, "answered"))
    return 0


def _check(state: st.State, args: argparse.Namespace, choice: str) -> None:
    """Raise UsageError for an answer that can't be one to the question that is meant."""
    asked = sorted(state.questions.values(), key=lambda question: question.seq)
    if args.approval:
        asked = [question for question in asked if question.id == args.approval]
    if len(asked) > 1:
        raise UsageError(
            f"conversation {state.conversation_id} asks {len(asked)} things; which one?",
            "\n".join(f"{question.id}  {question.question}" for question in asked),
        )
    if not asked:
        return
    question = asked[0]
    fits = choice in question.choices if question.choices else args.text is not None
    if not fits:
        raise UsageError(
            f"that is no answer to question {question.id}: {question.question}",
            "\n".join(answers(args, state.conversation_id, question)),
        )
    if args.edit is not None and not question.editable:
        raise UsageError("--edit is for calls of tools; there is nothing here that can be edited")
    if args.edit is not None and args.always:
        raise UsageError("--always can't be said of what was edited; it is approved once")
    if args.always and not question.choices:
        raise UsageError("--always is for choices; an answer in words is for one question only")
