"""Which steps need permission, and which questions answer themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, NamedTuple

from axtui.agent import Request
from axtui.runtime.config import Config
from axtui.v1 import state_pb2 as st

_PATTERN = re.compile(r"(?:([^/()]+)/)?([^/()]+)(?:\((.*)\))?", re.DOTALL)
NO_RULE = "no rule allows it, a model chose it, and it isn't readonly"
# What lets a shell do more than the command that it begins with.
_COMPOUND = re.compile(r"[;&|`<>\n]|\$\(")
_SUBJECT_CHARS = 500


class Verdict(NamedTuple):
    """allow, ask or deny for a step, or an answer to a question; and the rule that says so."""

    choice: str
    rule: str


class Rule(NamedTuple):
    """What the configuration says of the calls that fit three globs; `where` it says so."""

    actor: str | None
    tool: str
    argument: str | None
    choice: str
    where: str

    @property
    def verdict(self) -> Verdict:
        """What it comes to."""
        return Verdict(self.choice, f"{self.where}: {self.choice}")


Rules = tuple[Rule, ...]


def rules_of(config: Config) -> Rules:
    """All rules, of which the first that fits holds: those of the servers of tools come first."""
    return (
        *(
            Rule(None, f"{server}.{tool}", None, choice, f"tools.{server}.approve {tool!r}")
            for server, settings in config.tools.items()
            for tool, choice in settings.approve.items()
        ),
        *(
            Rule(found[1], found[2], found[3], choice, f"policy.approve {pattern!r}")
            for pattern, choice in config.policy.approve.items()
            if (found := _PATTERN.fullmatch(pattern))
        ),
    )


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


def judge(rules: Rules, state: st.State, request: Request) -> Verdict:
    """Whether a step may begin: at once, once somebody agrees, or not at all."""
    mode = state.run.approve
    if mode == "all":
        return Verdict("allow", "--approve all")
    fitting = (rule.verdict for rule in rules if _fits(rule, request))
    verdict = next(fitting, None) or _default(request)
    if verdict.choice != "deny" and request.by_model and request.unprotected:
        # Whatever else would ask: who is asked should know.
        return Verdict("ask", f"{request.unprotected}, so every command that a model chose asks")
    if verdict.choice == "allow" and mode == "ask" and request.effect != "readonly":
        return Verdict("ask", "--approve ask")
    return verdict


def foreseen(rules: Rules, request: Request) -> tuple[Verdict, list[Verdict]]:
    """The verdict on a call with arguments that no rule names, and what holds for other calls of
    the tool: by some agents, or with some arguments."""
    others = []
    for rule in rules:
        if _fits(rule, request):
            break
        if fnmatchcase(request.name, rule.tool):
            others.append(rule.verdict)
    return judge(rules, st.State(), request), others


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
        return Verdict("ask", NO_RULE)
    return Verdict("allow", "")


def _fits(rule: Rule, request: Request) -> bool:
    if rule.actor is not None and not fnmatchcase(request.scope.actor, rule.actor):
        return False
    if not fnmatchcase(request.name, rule.tool):
        return False
    argument = rule.argument
    if argument is None:
        return True
    cautious = rule.choice == "allow" and request.name == "shell"
    return any(
        fnmatchcase(text, argument)
        and not (cautious and _COMPOUND.search(text) and not _COMPOUND.search(argument))
        for text in _arguments(request)
    )


def _arguments(request: Request) -> Iterator[str]:
    """What the part in parentheses of a rule can fit: each argument as NAME=VALUE, and the value
    alone of the only one, or of a command."""
    given = json.loads(request.called_with)
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
