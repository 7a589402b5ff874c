"""`--server ax://ADDR`: our command line as a client of a server of Google AX."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from axtui.client import connect
from axtui.model.fold import status
from axtui.remote.ax.client import AxClient
from axtui.runtime.config import Config
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from tests.cli.harness import environment
from tests.remote.ax.conftest import SECONDS, Served

OPTIONS = RunOptions()


async def axtui(served: Served, *arguments: str) -> tuple[int, str, str]:
    """The exit status and the output of a command that works on the server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "axtui", *arguments, "--server", f"ax://{served.address}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=served.folder,
        env=environment(),
    )
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_run_there_is_followed_like_one_here(served: Served) -> None:
    start = ("exec", "--conversation", "c", "--agent", "talker", "--input")
    assert await axtui(served, *start, "one two") == (
        0,
        "Conversation: c\none\ntwo\nthat was all\nseq=6\n",
        "",
    )
    again = await axtui(served, "exec", "--conversation", "c", "--resume", "--last-seq", "3")
    assert again == (0, "Conversation: c\ntwo\nthat was all\nseq=5\n", "")
    seen = await axtui(served, "exec", "--conversation", "c", "--resume", "--last-seq", "6")
    assert seen == (0, "Conversation: c\nseq=6\n", "")


async def test_13_exec_is_one_run_and_told_as_json_where_that_is_wanted(served: Served) -> None:
    """Nothing is asked of a program, not even by a run that has a question."""
    start = ("exec", "--output", "json", "--conversation", "c", "--agent", "asker", "--input", "it")
    code, out, err = await axtui(served, *start)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (3, "")
    assert [line["kind"] for line in lines] == [
        *("run.started", "approval.requested", "result"),
    ]
    assert lines[-1]["state"] == "waiting"


async def test_one_that_is_left_is_gone_on_with(served: Served) -> None:
    start = ("exec", "--conversation", "c", "--timeout", "1s", "--agent", "gate", "--input", "x")
    code, _, err = await axtui(served, *start)
    again = f"axtui exec --conversation c --resume --server ax://{served.address}"
    assert (code, err.splitlines()[-1].strip()) == (3, again)
    code, out, err = await axtui(served, "show", "c")
    assert (code, out) == (4, "")
    assert f"`axtui attach c --server ax://{served.address}` does" in err
    served.open_gate()
    code, out, _ = await axtui(served, "attach", "c")
    assert (code, out.splitlines()[0]) == (0, "Conversation: c")


async def test_a_token_is_not_sent_to_who_asks_for_none(served: Served) -> None:
    code, _, err = await axtui(served, "exec", "--input", "x", "--token-file", "none")
    assert (code, "Google AX asks for no token" in err) == (2, True)


async def test_how_it_ends_is_the_exit_status(served: Served) -> None:
    start = ("exec", "--output", "json", "--conversation", "c")
    code, out, _ = await axtui(served, *start, "--agent", "failer", "--input", "x")
    result = json.loads(out.splitlines()[-1])
    assert (code, result["state"]) == (1, "failed")
    assert "no way" in result["error"]["message"]
    code, out, err = await axtui(served, *start, "--resume", "--last-seq", "99")
    assert (code, "beyond the log" in err) == (2, True)
    code, out, err = await axtui(served, "exec", "--conversation", "none", "--resume")
    assert (code, "there is no conversation 'none'" in err) == (4, True)


async def test_what_it_asks_is_answered(served: Served) -> None:
    client = AxClient(served.address)
    try:
        await client.start("c", "it", "asker", OPTIONS)
        state = await until(client, "waiting")
        (question,) = state.questions.values()
        assert (question.question, list(question.choices)) == ("Do it?", ["approve", "deny"])
        await client.answer("c", question.id, "approve", "", False)
        state = await until(client, "completed")
        assert state.run.output.text == '"did it"'
    finally:
        await client.close()


async def test_what_is_to_be_typed_next_can_be(served: Served) -> None:
    """Only who follows a run there can answer it."""
    start = ("exec", "--conversation", "c", "--agent", "asker", "--input", "it")
    code, _, err = await axtui(served, *start)
    assert (code, err.splitlines()) == (
        3,
        [
            "axtui: the run waits: Do it?",
            "  it can be answered in a terminal that follows it",
            f"  axtui exec --conversation c --resume --server ax://{served.address}",
        ],
    )
    code, _, err = await axtui(served, "approve", "c", "q3")
    assert (code, "nothing for an answer to a run that isn't followed" in err) == (2, True)


@pytest.mark.parametrize("address", ["", ":", "localhost:99999", "two words"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(Refused, match="is no address of a server"):
        connect(Config(data_dir=Path("none")), f"ax://{address}")


async def until(client: AxClient, wanted: str) -> Any:
    """The state, once it is that."""
    async with asyncio.timeout(SECONDS):
        async for _ in client.watch("c", 0):
            state = await client.state("c")
            if status(state) == wanted:
                return state
    raise AssertionError("the run is over")


async def test_forks_and_deletes(served: Served) -> None:
    await axtui(served, "exec", "--conversation", "c", "--agent", "echo", "--input", "x")
    fork = ("fork", "--src-conversation", "c", "--src-seq", "3", "--dest-conversation", "d")
    assert (await axtui(served, *fork))[0] == 0
    code, _, err = await axtui(served, *fork)
    assert (code, "there is a conversation 'd' already" in err) == (4, True)
    assert await served.client.find("d") is not None
    assert await axtui(served, "fork", "c:3", "e") == (0, "Conversation: e\n", "")
    parents = [(await served.client.state(name)).parent_seq for name in ("d", "e")]
    assert parents[0] == parents[1]
    assert (await axtui(served, "delete", "e", "--yes"))[0] == 0
    assert (await axtui(served, "delete", "d", "--yes"))[0] == 0
    assert [listed.summary.id for listed in await served.client.conversations()] == ["c"]


async def test_what_ax_has_nothing_for_is_refused(served: Served) -> None:
    for command in ("list", "cancel c", "tell c x", "events c", "agents", "search x"):
        code, out, err = await axtui(served, *command.split())
        assert (code, out, "Google AX has nothing for" in err) == (2, "", True), (command, err)
    client = AxClient(served.address)
    with pytest.raises(Refused, match="--approve"):
        await client.start("c", "x", "echo", RunOptions(approve="all"))
    await client.close()


async def test_a_server_that_is_not_there(served: Served) -> None:
    await served.server.stop()
    code, _, err = await axtui(served, "exec", "--input", "x")
    assert (code, served.address in err) == (5, True)
