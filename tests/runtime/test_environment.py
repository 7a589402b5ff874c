"""The agents that come along, and the commands they run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from axtui.agent import Tool
from axtui.model.codec import load_json
from axtui.runtime.agents import BUILT_IN
from axtui.runtime.agents.demo import demo, researcher
from axtui.runtime.agents.shell import shell
from axtui.runtime.agents.text import echo, lowercase
from axtui.runtime.config import Config, Environment, Limits
from axtui.runtime.errors import Refused
from axtui.runtime.registry import load_registry
from tests.runtime.conftest import ID, MakeWorld, World


async def results(world: World, *commands: str, **options: Any) -> list[Any]:
    """What the steps of a shell agent gave."""
    await world.start(shell, "\n".join(commands), **options)
    await world.ended()
    completed = await world.events(kind="step.completed")
    return [event["data"]["result"] for event in completed]


async def gone(pid: int) -> None:
    """Wait until no process has that id."""
    async with asyncio.timeout(5):
        while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


async def test_each_line_is_a_step_whose_output_is_said(make_world: MakeWorld) -> None:
    world = make_world(shell)
    found = await results(world, "echo one", "  ", "# no", "pwd; echo err >&2")
    assert found == [
        {"exit_status": 0, "output": "one\n"},
        {"exit_status": 0, "output": f"{world.folder}\nerr\n"},
    ]
    state = await world.log.state(ID)
    assert state.run.state == "completed"
    assert [m.text for m in state.messages][1:] == ["one\n", found[1]["output"]]


async def test_a_command_that_fails_fails_the_run_at_that_line(make_world: MakeWorld) -> None:
    world = make_world(shell)
    assert len(await results(world, "echo one", "exit 7", "echo never")) == 2
    error = (await world.log.state(ID)).run.error
    assert "line 2 (exit 7) ended with exit status 7" in error.message
    await results(world, "kill -9 $$")
    assert "was ended by signal 9" in (await world.log.state(ID)).run.error.message


async def test_output_is_capped_and_what_is_dropped_is_counted(make_world: MakeWorld) -> None:
    world = make_world(shell)
    (stored,) = await results(world, "head -c 3000000 /dev/zero | tr '\\0' '\\n'")
    found = load_json((await world.log.blob(bytes.fromhex(stored["blob"]))).decode())
    limit = Limits().output
    assert found["dropped_bytes"] == 3_000_000 - limit
    note = f"\n[… {3_000_000 - limit:,} bytes are left out …]\n"
    assert found["output"] == "\n" * (limit // 2) + note + "\n" * (limit // 2)


async def test_output_that_is_no_text(make_world: MakeWorld) -> None:
    (found,) = await results(make_world(shell), r"printf 'a\377\303\274\303'")
    assert found["output"] == "a\ufffdü\ufffd"


async def test_the_step_is_known_to_the_command(make_world: MakeWorld) -> None:
    world = make_world(shell)
    (found,) = await results(world, "echo $AXTUI_IDEMPOTENCY_KEY; cat")
    exec_id = (await world.log.state(ID)).run.exec_id
    assert found["output"] == f"{ID}/{exec_id}/1\n"


async def test_a_child_in_the_background_is_not_waited_for(make_world: MakeWorld) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    bare = make_world(shell, environment=Environment(sandbox="none"))
    (found,) = await results(bare, "sleep 30 & echo $!")
    assert loop.time() - begun < 10
    await gone(int(found["output"]))


@pytest.mark.parametrize("workspace", ["missing", "file"])
async def test_a_workspace_that_is_no_folder(make_world: MakeWorld, workspace: str) -> None:
    world = make_world(shell)
    (world.folder / "file").touch()
    assert await results(world, "echo", workspace=str(world.folder / workspace)) == []
    assert "can't start a command in" in (await world.log.state(ID)).run.error.message


async def test_a_cancel_ends_a_command_with_all_its_group(make_world: MakeWorld) -> None:
    world = make_world(shell, environment=Environment(sandbox="none"))
    file = world.folder / "pids"
    command = "(trap '' TERM; while :; do sleep 0.05; done) & echo $! $$ > pids; wait"
    await world.start(shell, command)
    async with asyncio.timeout(10):
        while not file.exists() or not file.read_text().strip():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    pids = [int(pid) for pid in file.read_text().split()]
    await world.controller.cancel(ID, "", "tester")
    for pid in pids:
        await gone(pid)
    assert (await world.log.state(ID)).run.state == "canceled"


async def test_commands_are_only_repeated_where_that_is_said_to_be_harmless(
    make_world: MakeWorld,
) -> None:
    world = make_world(shell)
    await results(world, "echo x >> log", config={"idempotent": True})
    copy = await world.copy(3)
    await copy.resume()
    await copy.output()
    assert (world.folder / "log").read_text() == "x\nx\n"
    careful = make_world(shell)
    await results(careful, "echo x >> log")
    copy = await careful.copy(3)
    await copy.resume()
    (question,) = await copy.waiting()
    assert question.question.startswith("Step 1 (shell: echo x >> log) was interrupted and may")
    await copy.answer("skip")
    await copy.output()
    assert (careful.folder / "log").read_text() == "x\n"


@pytest.mark.parametrize(("mode", "asked"), [("policy", 0), ("ask", 1), ("all", 0), ("deny", 0)])
async def test_the_persons_own_commands_need_approval_only_if_wanted(
    make_world: MakeWorld, mode: str, asked: int
) -> None:
    world = make_world(shell)
    await world.start(shell, "echo x", approve=mode)
    if asked:
        (question,) = await world.waiting()
        assert question.question == "May shell run this command? echo x"
        await world.answer("approve")
    await world.output()
    assert (await world.kinds()).count("approval.requested") == asked


@pytest.mark.parametrize(
    ("mode", "asked", "said"),
    [
        ("policy", ["approval"], "Published. That makes 1 in this conversation."),
        ("ask", ["approval", "permission"], "Published. That makes 1 in this conversation."),
        ("all", [], "Published. That makes 1 in this conversation."),
        ("deny", [], "The page stays in the drawer."),
    ],
)
async def test_the_demo_in_every_mode(
    make_world: MakeWorld, mode: str, asked: list[str], said: str
) -> None:
    world = make_world(demo, researcher)
    await world.start(demo, "go", config={"speed": 0}, approve=mode)
    for type in asked:
        (question,) = await world.waiting()
        assert question.type == type
        await world.answer("approve")
    assert await world.output() == said
    await world.check()


async def test_the_demo_counts_its_pages(make_world: MakeWorld) -> None:
    world = make_world(demo, researcher)
    for _ in range(2):
        said = await world.run(demo, config={"speed": 0}, approve="all")
    assert said == "Published. That makes 2 in this conversation."


async def test_text_agents(make_world: MakeWorld) -> None:
    world = make_world(echo, lowercase)
    assert await world.run(echo, "Hi ü") == "Hi ü"
    assert await world.run(lowercase, "HI") == "hi"


# The registry


def test_the_built_in_agents_and_those_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from axtui.runtime import config

    (tmp_path / "my_agents.py").write_text(
        "from axtui.agent import agent, tool\n"
        "@tool()\ndef t(): ...\n"
        "class group:\n"
        "    @agent(tools=[t], timeout=3)\n    async def mine(ctx):\n        'Mine.'\n"
        "plain = 3\n"
    )
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(python: str, **rest: Any) -> Any:
        entry = config.Agent(id="me", python=python, isolation="inline", **rest)
        return load_registry(Config(data_dir=tmp_path, agents=(entry,)))

    registry = load("my_agents:group.mine")
    assert set(registry.agents) == {"me", *(one.id for one in BUILT_IN)}
    assert (registry.agents["me"].description, registry.agents["me"].timeout) == ("Mine.", 3)
    assert isinstance(registry.find("tool", "t"), Tool)
    assert registry.find("model", "t") is None
    assert load("my_agents:group.mine", timeout=9.0).agents["me"].timeout == 9
    for python, said in (
        ("nowhere:x", "ModuleNotFoundError"),
        ("my_agents:nothing", "AttributeError"),
        ("my_agents:plain", "is a int, not an agent"),
        ("leaves:x", "SystemExit: 3"),
    ):
        with pytest.raises(Refused, match=said):
            load(python)
