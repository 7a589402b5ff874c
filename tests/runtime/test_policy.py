"""What the rules of a configuration say of calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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


async def test_an_argument_is_no_other_one_by_its_name() -> None:
    public = {"path=/srv/public/": "x"}
    found = rules(("fs.read(path=/srv/public/*)", "allow"), ("get(a*)", "allow"))
    assert said(found, "fs.read", path="/srv/public/a=b").choice == "allow"
    assert said(found, "fs.read", path="/etc/shadow", **public).choice == "ask"
    assert said(found, "fs.read", path="path=/srv/public/a").choice == "ask"
    assert said(found, "fs.read", path="/srv/public/../../etc/shadow").choice == "ask"
    assert said(rules(("get(*)", "allow")), "get", it="a/../b", other="x").choice == "allow"
    # A rule without a name isn't about what somebody added to the one argument that there is.
    assert said(found, "get", it="ab").choice == "allow"
    assert said(found, "get", it="b", a="x").choice == "ask"
    assert said(found, "get", it="b", command="ab").choice == "ask"
    assert said(rules(("get(a*)", "deny")), "get", it="ab", other="x").choice == "deny"
    address = rules(("get(https://a/?q=*)", "allow"))
    assert said(address, "get", url="https://a/?q=1").choice == "allow"


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        *(("docs/a", "allow"), ("./docs//b/../a", "allow"), ("/home/ada/docs/a", "allow")),
        *(("docs/../a", "ask"), ("docs/../../docs/a", "deny"), ("/docs/a", "deny")),
        *((".git/hooks/a", "deny"), ("./.git/a", "deny"), ("docs/../.git/a", "deny")),
        *(
            ("/home/ada/.git/a", "deny"),
            ("/home/ada//docs/../.git/a", "deny"),
            ("/home/ada/etc/a", "deny"),
        ),
        *(("../a", "deny"), ("a/../b", "deny")),
    ],
)
async def test_a_file_is_the_same_however_it_is_named(path: str, verdict: str) -> None:
    found = rules(
        ("write_file(path=.git/*)", "deny"),
        ("write_file(path=/home/ada/etc/*)", "deny"),
        ("write_file(path=../*)", "deny"),
        ("write_file(path=a/../b)", "deny"),
        ("write_file(path=docs/*)", "allow"),
    )
    state = st.State(run=st.Run(workspace="/home/ada"))
    assert judge(found, state, request("write_file", path=path, content="x")).choice == verdict


async def test_a_workspace_has_its_own_name_and_that_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    state = st.State(run=st.Run(workspace=str(tmp_path / "link")))
    found = rules(("read_file(.git/*)", "deny"), ("read_file", "allow"))
    for name in ("link", "real"):
        asked = request("read_file", path=str(tmp_path / name / ".git/a"))
        assert judge(found, state, asked).choice == "deny"


@pytest.mark.parametrize(
    ("rule", "command", "verdict"),
    [
        ("shell(pytest*2>&1*)", "pytest -q 2>&1", "allow"),
        ("shell(pytest*2>&1*)", "pytest 2>&1; rm -rf .", "ask"),
        ("shell(pytest*2>&1*)", "pytest 2>&1 & rm -rf .", "ask"),
        ("shell(pytest*2>&1)", "pytest & rm -rf . 2>&1", "ask"),
        ("shell(echo *)", "echo $HOME a@b", "allow"),
        ("shell(echo *)", "echo ${x:='\\044(id)'} ${x@P}", "ask"),
        # A subscript is a number to be calculated, and that can run a command.
        ("shell(echo *)", "echo ${x:='a[$''(id)]'} ${PATH:x}", "ask"),
        ("shell(echo *)", "echo $[x]", "ask"),
        ("shell(command=git *)", "git log", "allow"),
        ("shell(command=git *)", "command=git rm -rf .", "ask"),
        ("shell(ls[!;]*)", "ls -l", "allow"),
        ("shell(ls[!;]*)", "ls -l; rm -rf .", "ask"),
        ("shell(A=1 make*)", "A=1 make all", "allow"),
    ],
)
async def test_a_command_that_is_allowed_does_no_more(
    rule: str, command: str, verdict: str
) -> None:
    assert said(rules((rule, "allow")), "shell", command=command).choice == verdict


async def test_another_tool_of_that_name_has_its_command_elsewhere() -> None:
    found = rules(("shell(ls*)", "allow"))
    assert said(found, "shell", line="ls -l").choice == "allow"
    assert said(found, "shell", line="ls; rm -rf .").choice == "ask"


@pytest.mark.parametrize("choice", ["deny", "ask"])
@pytest.mark.parametrize("pattern", ["shell(rm *)", "shell(command=rm *)"])
@pytest.mark.parametrize(
    "command",
    ["rm -rf .", " rm -rf .", "true;rm -rf .", "true && rm -rf .", "(rm -rf .)", "echo `rm -rf .`"],
)
async def test_a_command_is_forbidden_wherever_it_stands(
    choice: str, pattern: str, command: str
) -> None:
    found = rules((pattern, choice), ("shell", "allow"))
    assert said(found, "shell", command=command, timeout=5).choice == choice
    assert said(found, "shell", command="echo rm -rf .").choice == "allow"


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
