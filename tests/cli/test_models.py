"""exec with a model: what it takes, what is shown meanwhile, and what is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.providers import environment
from tests.providers.process import serving

from .harness import Cli

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


def test_the_model_of_the_run_is_the_one_that_has_to_be_there(cli: Cli, serve: Serve) -> None:
    url = serve({"text": "Hello."})["OLLAMA_BASE_URL"]
    config = ("--agent-config", '{"model": "ollama:small"}')
    done = cli.run(*ASK, *config, env={"OLLAMA_BASE_URL": url})
    assert (done.status, done.out) == (0, "Conversation: c\nHello.\nseq=8\n")
    wrong = cli.run("exec", "--input", "x", "--agent-config", '{"model": 1}')
    assert (wrong.status, "'1' is not a model" in wrong.err) == (2, True)


def test_a_resume_without_the_key_says_so_at_once(cli: Cli, serve: Serve) -> None:
    assert cli.run(*ASK, env=serve(WRITE)).status == 3
    assert cli("approve", "c").status == 0
    done = cli.run("exec", "--conversation", "c", "--resume")
    assert (done.status, "GEMINI_API_KEY" in done.err) == (1, True)
    assert (cli.folder / "a").read_text() == "new\n"
