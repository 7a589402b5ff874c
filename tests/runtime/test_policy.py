"""What the rules of a configuration say of calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from axtui.agent import Request, Scope
from axtui.model.codec import dump_json
from axtui.runtime.config import Config, Policy, ToolServer
from axtui.runtime.policy import NO_RULE, Rules, Verdict, foreseen, judge, rules_of
from axtui.v1 import state_pb2 as st

SERVER = ToolServer(command=("x",), approve={"get_*": "allow", "get_out": "deny"})


def rules(*patterns: tuple[str, Any], **servers: ToolServer) -> Rules:
    return rules_of(Config(data_dir=Path(), policy=Policy(approve=dict(patterns)), tools=servers))


def request(name: str, actor: str = "planner", **arguments: Any) -> Request:
    scope = Scope("", actor, "", 0)
    return Request("1", "tool", name, dump_json(arguments), scope, by_model=True)


def said(rules: Rules, name: str, actor: str = "planner", **arguments: Any) -> Verdict:
    return judge(rules, st.State(), request(name, actor, **arguments))


async def test_what_a_model_chose_asks_where_no_rule_fits() -> None:
    assert said(rules(("other", "allow")), "time.get_now") == Verdict("ask", NO_RULE)


async def test_the_rules_of_a_server_are_by_its_own_names_and_come_first() -> None:
    found = rules(("*", "deny"), ("time.set", "allow"), time=SERVER)
    allowed = Verdict("allow", "tools.time.approve 'get_*': allow")
    assert said(found, "time.get_now") == allowed
    assert said(found, "time.get_out") == allowed
    for other in ("get_now", "times.get_now", "time.set"):
        assert said(found, other) == Verdict("deny", "policy.approve '*': deny")


async def test_rules_by_agent_and_by_arguments() -> None:
    found = rules(("coding/shell", "allow"), ("shell(ls*)", "allow"), ("write(path=a*)", "deny"))
    assert said(found, "shell", "coding", command="rm").choice == "allow"
    assert said(found, "shell", command="rm").choice == "ask"
    assert said(found, "shell", command="ls -l").choice == "allow"
    # It does more than to begin with that.
    assert said(found, "shell", command="ls; rm").choice == "ask"
    assert said(found, "write", path="ab", content="x").choice == "deny"
    assert said(found, "write", path="b", content="a").choice == "ask"


async def test_what_is_foreseen_of_calls_whose_arguments_nobody_knows() -> None:
    found = rules(
        ("shell(ls*)", "allow"), ("coding/*", "deny"), ("sh*", "allow"), ("shell(rm*)", "deny")
    )
    verdict, exceptions = foreseen(found, request("shell"))
    assert verdict == Verdict("allow", "policy.approve 'sh*': allow")
    assert exceptions == [
        Verdict("allow", "policy.approve 'shell(ls*)': allow"),
        Verdict("deny", "policy.approve 'coding/*': deny"),
    ]
    assert foreseen(found, request("read")) == (Verdict("ask", NO_RULE), exceptions[1:])


async def test_who_is_asked_about_a_command_is_told_that_there_is_no_sandbox() -> None:
    asking = replace(request("shell", command="ls"), unprotected="there is no sandbox")
    why = Verdict("ask", "there is no sandbox, so every command that a model chose asks")
    for found in (rules(), rules(("shell", "allow")), rules(("shell", "ask"))):
        for mode in ("", "ask"):
            assert judge(found, st.State(run=st.Run(approve=mode)), asking) == why
    denied = judge(rules(("shell", "deny")), st.State(), asking)
    assert denied.choice == "deny"
    # Not of what whoever wrote the agent chose.
    own = replace(asking, by_model=False)
    assert judge(rules(), st.State(), own).choice == "allow"
