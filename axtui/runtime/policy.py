"""Which steps need permission, and which questions answer themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, NamedTuple

from axtui.agent import Request
from axtui.runtime.config import Policy
from axtui.v1 import state_pb2 as st

_RULE = re.compile(r"(?:(?P<actor>[^/()]+)/)?(?P<tool>[^/()]+)(?:\((?P<argument>.*)\))?", re.DOTALL)
# What lets a shell do more than the command that it begins with.
_COMPOUND = re.compile(r"[;&|`<>\n]|\$\(")
_SUBJECT_CHARS = 500


class Verdict(NamedTuple):
    """allow, ask or deny for a step, or an answer to a question; and the rule that says so."""

    choice: str
    rule: str


def answer(state: st.State, type: str, subject: str) -> Verdict | None:
    """The answer that the run's options or an earlier `--always` give; None: ask."""
    for rule in state.rules:
        if (rule.type, rule.subject) == (type, subject):
            return Verdict(rule.choice, f"always, since event {rule.seq}")
    run = state.run
    if type == "interrupted" and run.on_interrupted not in ("", "ask"):
        return Verdict(run.on_interrupted, f"--on-interrupted {run.on_interrupted}")
    if type in ("approval", "permission") and run.approve in ("all", "deny"):
        choice = "approve" if run.approve == "all" else "deny"
        return Verdict(choice, f"--approve {run.approve}")
    return None


def judge(policy: Policy, state: st.State, request: Request) -> Verdict:
    """Whether a step may begin: at once, once somebody agrees, or not at all."""
    mode = state.run.approve
    if mode == "all":
        return Verdict("allow", "--approve all")
    verdict = _configured(policy.approve, request) or _default(request)
    if verdict.choice == "allow" and mode == "ask" and request.effect != "readonly":
        return Verdict("ask", "--approve ask")
    if verdict.choice == "allow" and request.by_model and request.unprotected:
        return Verdict("ask", f"{request.unprotected}, so every command that a model chose asks")
    return verdict


def subject(name: str, arguments: Mapping[str, Any], pin: str) -> str:
    """What an `--always` is about: one command of a shell, any call of another tool for as long
    as that is described as it is now."""
    if name == "shell" and "command" in arguments:
        command = str(arguments["command"])
        if len(command) > _SUBJECT_CHARS:
            digest = sha256(command.encode(errors="replace")).hexdigest()
            command = f"{command[:_SUBJECT_CHARS]}… sha256 {digest}"
        return f"shell({command})"
    return f"{name}@{pin[:12]}" if pin else name


def _default(request: Request) -> Verdict:
    if request.by_model and request.effect != "readonly":
        return Verdict("ask", "no rule allows it, a model chose it, and it isn't readonly")
    return Verdict("allow", "")


def _configured(approve: Mapping[str, str], request: Request) -> Verdict | None:
    for pattern, choice in approve.items():
        if _fits(pattern, choice, request):
            return Verdict(choice, f"policy.approve {pattern!r}: {choice}")
    return None


def _fits(pattern: str, choice: str, request: Request) -> bool:
    rule = _RULE.fullmatch(pattern)
    if rule is None:
        return False
    actor, tool, argument = rule["actor"], rule["tool"], rule["argument"]
    if actor is not None and not fnmatchcase(request.scope.actor, actor):
        return False
    if not fnmatchcase(request.name, tool):
        return False
    if argument is None:
        return True
    cautious = choice == "allow" and request.name == "shell"
    return any(
        fnmatchcase(text, argument)
        and not (cautious and _COMPOUND.search(text) and not _COMPOUND.search(argument))
        for text in _arguments(request)
    )


def _arguments(request: Request) -> Iterator[str]:
    """What the part in parentheses of a rule can fit: each argument as NAME=VALUE, and the value
    alone of the only one, or of a command."""
    given = json.loads(request.arguments)
    named = given if isinstance(given, dict) else dict(enumerate(given))
    texts = {
        str(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in named.items()
    }
    yield from (f"{name}={text}" for name, text in texts.items())
    if len(texts) == 1:
        yield from texts.values()
    elif "command" in texts:
        yield texts["command"]
