"""Which steps need permission, and which questions answer themselves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, NamedTuple

from axtui.agent import Request
from axtui.model.commands import SHELL, command_of
from axtui.runtime.config import Config
from axtui.runtime.config_values import RULE
from axtui.v1 import state_pb2 as st

NO_RULE = "no rule allows it, a model chose it, and it isn't readonly"
# What lets a shell do more than the command that it begins with. In braces and brackets too: what
# is calculated or expanded there can run commands.
_COMPOUND = re.compile(r"[;&|`<>\n]|\$[({[]")
_ONE_OF = re.compile(r"\[!?\]?[^\]]*\]")
_NAMED = re.compile(r"([\w.*?\[\]!-]+)=(.*)", re.DOTALL)
_UPWARD = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)")
_ON_FILES = ("read_file", "write_file", "edit_file", "list_files")
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
            if (found := RULE.fullmatch(pattern))
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
    fitting = (rule.verdict for rule in rules if _fits(rule, request, state.run.workspace))
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
        if _fits(rule, request, workspace=""):
            break
        if fnmatchcase(request.name, rule.tool):
            others.append(rule.verdict)
    return judge(rules, st.State(), request), others


def subject(name: str, arguments: Mapping[str, Any], pin: str) -> str:
    """What an `--always` is about: one command of a shell, any call of another tool for as long
    as that is described as it is now."""
    if name == SHELL and "command" in arguments:
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


def _fits(rule: Rule, request: Request, workspace: str) -> bool:
    if rule.actor is not None and not fnmatchcase(request.scope.actor, rule.actor):
        return False
    if not fnmatchcase(request.name, rule.tool):
        return False
    if rule.argument is None:
        return True
    allows = rule.choice == "allow"
    if command := command_of(request.name, request.called_with):
        fits_command = _is_only if allows else _has_part
        return fits_command(command.text, rule.argument)
    given = _arguments(request, workspace)
    if not allows:
        return _may_be(given, rule.argument)
    # Of another tool of that name nobody knows which argument is the command.
    if request.name == SHELL and any(_COMPOUND.search(forms[0]) for forms in given.values()):
        return False
    return _is_surely(given, rule.argument)


def _is_only(command: str, argument: str) -> bool:
    """Whether a command is what a rule names, and does nothing beside that."""
    glob = argument.removeprefix("command=")
    # Only what the rule itself has: a redirection in it is no word for a second command, nor is
    # what it lists in brackets, perhaps to leave that out.
    same = _COMPOUND.findall(command) == _COMPOUND.findall(_ONE_OF.sub("?", glob))
    return same and fnmatchcase(command, glob)


def _has_part(command: str, argument: str) -> bool:
    """Whether a command, or one of those that it is made up of, is what a rule names."""
    parts = (part.strip().lstrip("({ \t") for part in _COMPOUND.split(command))
    return any(
        fnmatchcase(text, argument) for part in (command, *parts) for text in _said("command", part)
    )


def _is_surely(given: dict[str, list[str]], argument: str) -> bool:
    """Whether a call is what a rule names, whatever else a model has put into it."""
    if named := _NAMED.fullmatch(argument):
        glob = named[2]
        values = [forms for name, forms in given.items() if fnmatchcase(name, named[1])]
        return any(_has_value(forms, glob) for forms in values)
    return bool(given) and all(_has_value(forms, argument) for forms in given.values())


def _has_value(forms: list[str], glob: str) -> bool:
    # The first is as the model wrote it; if there are others, they say what is meant by it.
    upward = not glob.strip("*") or _UPWARD.search(glob)
    return any(
        fnmatchcase(form, glob) and (upward or not _UPWARD.search(form))
        for form in forms[1:] or forms
    )


def _may_be(given: dict[str, list[str]], argument: str) -> bool:
    """Whether anything in a call is what a rule names."""
    return any(
        fnmatchcase(text, argument)
        for name, forms in given.items()
        for form in forms
        for text in _said(name, form)
    )


def _said(name: str, value: str) -> tuple[str, str]:
    return value, f"{name}={value}"


def _arguments(request: Request, workspace: str) -> dict[str, list[str]]:
    """By name, each argument as text; a file also as what it is once it is looked up."""
    given = json.loads(request.called_with)
    named = given if isinstance(given, dict) else dict(enumerate(given))
    texts = {
        str(name): [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
        for name, value in named.items()
    }
    if request.name in _ON_FILES and "path" in texts:
        texts["path"] += _files(texts["path"][0], workspace)
    return texts


def _files(path: str, workspace: str) -> list[str]:
    """A file of the workspace as a rule may name it: in full, and from the workspace on."""
    full = os.path.normpath(os.path.join(workspace, path))
    # The workspace may be named by a link.
    roots = (workspace, os.path.realpath(workspace)) if workspace else ()
    return [full, *(os.path.relpath(full, root) for root in roots)]
