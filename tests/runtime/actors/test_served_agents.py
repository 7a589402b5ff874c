"""Agents that are served elsewhere: reached or not, lost and found again, and lying ones."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from axtui.agent import ActorError
from axtui.rpc import Stub
from axtui.runtime.actors import (
    agent_processes,
    agent_server,
    agent_stream,
    served_agents,
    supervisor,
    wire,
)
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.config import Tls
from axtui.runtime.errors import Refused
from axtui.v1 import agent_pb2 as pb
from axtui.v1 import state_pb2 as st
from tests.runtime.actors import agents_for_tests, slow_agents, unruly_agents
from tests.runtime.actors.agent_servers import SERVICE, Agent, AgentProcess, at
from tests.runtime.conftest import ID, Calls, MakeWorld, World

MODULES = ("tests.runtime.actors.agents_for_tests", "tests.runtime.actors.slow_agents")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(agent_processes, "PATIENCE_SECONDS", 0.2)


@pytest.fixture
def server() -> Iterator[AgentProcess]:
    """A process that serves agents."""
    process = AgentProcess(*MODULES)
    process.start()
    yield process
    process.end()


def keys(world: World) -> list[str]:
    """Of the steps that were done, each as often as it was."""
    return [line.split("/", 2)[2] for line in Calls(world)]


async def step(world: World, key: str) -> None:
    """Wait until a step is being done."""
    await world.until(lambda state: key in state.open_steps)
    while key not in keys(world):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def paused(world: World, id: str = ID) -> st.Run:
    """The run, once it is paused because an agent can't be reached."""
    run = (await world.ended(id)).run
    assert (run.state, run.cause) == ("paused", "unreachable")
    return run


# Lost and found


async def test_one_that_is_killed_goes_on_where_it_was(
    make_world: MakeWorld, server: AgentProcess
) -> None:
    world = make_world(AgentConfig("slow", address=server.address))
    await world.start("slow", config="")
    await step(world, "2")
    server.end()
    server.start()
    (question,) = await world.waiting()
    assert f"the connection to slow at {server.address} was lost" in question.question
    await world.answer("retry")
    assert await world.output() == ["one", 2]
    assert keys(world) == ["1", "2", "2"]
    await world.check()


@pytest.mark.parametrize("effect", ["readonly", "idempotent"])
async def test_a_harmless_step_is_begun_again_by_itself(
    make_world: MakeWorld, server: AgentProcess, effect: str
) -> None:
    world = make_world(AgentConfig("slow", address=server.address))
    await world.start("slow", config=effect)
    await step(world, "2")
    server.end()
    server.start()
    assert await world.output() == ["one", 2]
    assert keys(world) == ["1", "2", "2"]


async def test_one_that_stays_away_pauses_the_run(
    make_world: MakeWorld, server: AgentProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_agents, "RETURN_SECONDS", 0.2)
    world = make_world(AgentConfig("slow", address=server.address))
    await world.start("slow", config="readonly")
    await step(world, "2")
    server.end()
    run = await paused(world)
    assert run.reason == (f"agent 'slow' at {server.address} can't be reached: Connection refused")
    with pytest.raises(ActorError, match="can't be reached"):
        await world.resume()
    await paused(world)
    server.start()
    await world.resume()
    assert await world.output() == ["one", 2]
    assert keys(world) == ["1", "2", "2"]
    await world.check()


async def test_a_stopped_host_is_noticed(
    make_world: MakeWorld, server: AgentProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {
        **dict(agent_stream.OPTIONS),
        "grpc.keepalive_time_ms": 200,
        "grpc.keepalive_timeout_ms": 200,
        "grpc.http2.ping_timeout_ms": 200,
    }
    monkeypatch.setattr(served_agents, "OPTIONS", tuple(options.items()))
    monkeypatch.setattr(served_agents, "RETURN_SECONDS", 0.1)
    monkeypatch.setattr(served_agents, "ANSWER_SECONDS", 0.5)
    world = make_world(AgentConfig("slow", address=server.address))
    await world.start("slow", config="readonly")
    await step(world, "2")
    server.send(signal.SIGSTOP)
    await paused(world)
    (note,) = await world.events(kind="note")
    assert "was lost" in note["data"]["text"]


async def test_asked_to_end_it_ends_its_steps_first(
    make_world: MakeWorld, server: AgentProcess
) -> None:
    world = make_world(AgentConfig("slow", address=server.address))
    await world.start("slow", config="")
    await step(world, "2")
    server.send(signal.SIGTERM)
    (world.folder / "go").touch()
    # Its outcome is known, and what is left is done by the next one.
    await world.until(lambda state: not state.open_steps)
    assert server.end(0) == 0
    server.start()
    assert await world.output() == ["one", 1]
    assert keys(world) == ["1", "2"]


async def test_a_nested_one_that_cannot_be_reached_is_a_failed_step(
    make_world: MakeWorld,
) -> None:
    world = make_world(
        unruly_agents.calls_one_that_dies, AgentConfig("gone", address="localhost:1")
    )
    found = await world.run("calls_one_that_dies", config="gone")
    assert found == [
        "parent's",
        "unreachable",
        "agent 'gone' at localhost:1 can't be reached: Connection refused",
    ]
    await world.check()


async def test_or_pauses_the_run_once_it_has_done_something(
    make_world: MakeWorld, server: AgentProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_agents, "RETURN_SECONDS", 0.2)
    world = make_world(
        unruly_agents.calls_one_that_dies, AgentConfig("slow", address=server.address)
    )
    await world.start("calls_one_that_dies", config="slow")
    await step(world, "2/2")
    server.end()
    await paused(world)
    server.start()
    await world.resume(on_interrupted="retry")
    assert await world.output() == ["parent's", ["one", 2]]
    assert keys(world) == ["1", "2/1", "2/2", "2/2"]
    await world.check()


async def test_a_crash_is_one_however_many_calls_it_hits(
    make_world: MakeWorld, server: AgentProcess
) -> None:
    world = make_world(slow_agents.calls_many, AgentConfig("slow", address=server.address))
    await world.start("calls_many")
    for number in range(1, 7):
        await step(world, f"~{number}/1/2")
    server.end()
    server.start()
    assert await world.output() == 6
    await world.check()


async def test_one_process_serves_many_runs_of_several_controllers(
    make_world: MakeWorld, server: AgentProcess
) -> None:
    worlds = [make_world(AgentConfig("gathers", address=server.address)) for _ in range(2)]
    names = [f"run{number}" for number in range(10)]
    for world in worlds:
        await asyncio.gather(*(world.start("gathers", id=name) for name in names))
    for world in worlds:
        outputs = [await world.output(name) for name in names]
        assert outputs == [["0", "1", "2", "3", "last"]] * 10
        assert len(keys(world)) == 50


async def test_an_older_attachment_is_refused(server: AgentProcess) -> None:
    def run(epoch: int) -> pb.ToAgent:
        asked = pb.ToAgent.Run(
            version=1, agent="slow", conversation="c", exec_id="e", epoch=epoch, config="null"
        )
        return pb.ToAgent(id=1, run=asked)

    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = Stub(channel, SERVICE)
        first, second = stub.attach(), stub.attach()
        await first.write(run(5))
        assert (await first.read()).ask.key == "1"
        await second.write(run(6))
        assert (await second.read()).ask.key == "1"
        with pytest.raises(grpc.aio.AioRpcError, match="made again, as of epoch 6"):
            await first.read()
        for epoch in (5, 6):
            late = stub.attach()
            await late.write(run(epoch))
            answer = await late.read()
            assert (answer.id, answer.failure.code) == (1, "stale")
            late.cancel()
        second.cancel()


# Not reached


async def refused(world: World, agent: str) -> str:
    """What is said of an agent that can't be called, with nothing written."""
    with pytest.raises(ActorError) as caught:
        await world.start(agent)
    assert caught.value.code == "unreachable"
    assert await world.log.find(ID) is None
    return str(caught.value)


async def test_nobody_is_there(make_world: MakeWorld) -> None:
    for address, why in (
        ("localhost:1", "Connection refused"),
        ("unix:/no/such/socket", "No such file or directory"),
        ("no-such-host.invalid:1", ""),
    ):
        said = await refused(make_world(AgentConfig("x", address=address)), "x")
        assert said.startswith(f"agent 'x' at {address} can't be reached: ")
        assert said.endswith(why)


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b""])
async def test_somebody_else_is_there(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, words: bytes
) -> None:
    monkeypatch.setattr(served_agents, "ANSWER_SECONDS", 0.5)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await reader.read()
        writer.close()

    other = await asyncio.start_server(answer, "localhost", 0)
    async with other:
        port = other.sockets[0].getsockname()[1]
        said = await refused(make_world(AgentConfig("x", address=f"localhost:{port}")), "x")
    assert said.startswith(f"agent 'x' at localhost:{port} can't be reached: ")
    assert "\n" not in said


async def test_another_service_is_there(make_world: MakeWorld) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("localhost:0")
    await server.start()
    said = await refused(make_world(AgentConfig("x", address=f"localhost:{port}")), "x")
    assert said.endswith("it doesn't serve agents as axtui calls them (Method not found!)")
    await server.stop(None)


async def test_another_agent_is_there(make_world: MakeWorld, server: AgentProcess) -> None:
    said = await refused(make_world(AgentConfig("x", address=server.address)), "x")
    assert "can't be reached: there is no agent 'x' here; there are " in said


async def test_another_version_is_spoken(make_world: MakeWorld, server: AgentProcess) -> None:
    later = Agent(_nothing, pb.DescribeAgentResponse(version=2))
    async with at(later) as address:
        said = await refused(make_world(AgentConfig("x", address=address)), "x")
    assert said.endswith("it speaks version 2 of the protocol, and this axtui 1")
    async with grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Stub(channel, SERVICE).describe(pb.DescribeAgentRequest(versions=[2, 3]))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == ("it speaks version 1 of the protocol, the controller 2, 3")


@pytest.mark.parametrize("timeout", [-1.0, 0.0, float("nan"), float("inf")])
async def test_a_time_limit_that_is_none_is_refused(make_world: MakeWorld, timeout: float) -> None:
    odd = Agent(_nothing, pb.DescribeAgentResponse(version=1, timeout=timeout))
    async with at(odd) as address:
        with pytest.raises(Refused, match="its timeout is no number of seconds"):
            await make_world(AgentConfig("x", address=address)).start("x")


async def test_a_command_that_cannot_be_started(make_world: MakeWorld) -> None:
    world = make_world(AgentConfig("x", command=("no-such-program", "serve")))
    with pytest.raises(Refused) as caught:
        await world.start("x")
    assert str(caught.value).startswith(
        "agent 'x' can't be started with 'no-such-program serve': exit status 127"
    )
    assert await world.log.find(ID) is None


# Lies and floods


async def _nothing(stream: Any) -> None: ...


async def broken(make_world: MakeWorld, course: Any) -> str:
    """Why a run is paused whose agent does that each time, while another one goes on."""
    async with at(Agent(course)) as address:
        world = make_world(AgentConfig("x", address=address), agents_for_tests.old)
        await world.start("x")
        assert await world.run(agents_for_tests.old, id="other") == ["a", "b"]
        run = await paused(world)
    await world.check()
    return run.reason


async def test_a_stream_that_ends_too_soon(make_world: MakeWorld) -> None:
    assert (await broken(make_world, _nothing)).endswith(
        "lost 5 times in a row, the last time by: the connection was closed"
    )


async def test_an_agent_that_gives_up_says_why(make_world: MakeWorld) -> None:
    async def abort(stream: Any) -> None:
        await stream.read()
        await stream.abort(grpc.StatusCode.INTERNAL, "out of order")

    assert (await broken(make_world, abort)).endswith("by: out of order")


@pytest.mark.parametrize(
    "message",
    [
        pb.FromAgent(id=7),
        b"\xff\xff\xff",
        pb.FromAgent(id=1, returned=pb.FromAgent.Returned(value="no JSON")),
        pb.FromAgent(id=1, returned=pb.FromAgent.Returned()),
    ],
    ids=["empty", "bytes", "value", "nothing"],
)
async def test_garbage(make_world: MakeWorld, message: Any) -> None:
    async def course(stream: Any) -> None:
        await stream.read()
        await stream.write(message)
        await stream.read()

    async with at(Agent(course)) as address:
        world = make_world(AgentConfig("x", address=address))
        await world.start("x")
        run = (await world.ended()).run
        assert run.state in ("paused", "failed")
        assert "it sent what is no message" in run.reason or run.error.code
    await world.check()


async def test_a_flood_of_what_it_does_not_wait_for(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks and asks, and reads no answer."""
    monkeypatch.setattr(wire, "MAX_CALLS", 10)
    monkeypatch.setattr(wire, "MAX_UNSENT", 1000)
    monkeypatch.setattr(supervisor, "MAX_CRASHES", 1)
    ask = pb.FromAgent.Ask(type="question", name="Well?", arguments="[]")

    async def course(stream: Any) -> None:
        await stream.read()
        for number in range(1_000_000):
            ask.key = str(number + 1)
            await stream.write(pb.FromAgent(id=number + 1, ask=ask))

    reason = await broken(make_world, course)
    assert "more calls, and it reads no answers (10 calls are in flight already)" in reason


async def test_more_than_can_be_worked_on_is_refused(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_HELD", 3_000_000)
    answers: list[pb.ToAgent] = []

    async def course(stream: Any) -> None:
        await stream.read()
        for number in range(1, 6):
            about = f'"{"x" * 1_000_000}"'
            asked = pb.FromAgent.Ask(
                key=str(number), type="approval", name="Well?", arguments=about
            )
            await stream.write(pb.FromAgent(id=number, ask=asked))
        for _ in range(3):
            answers.append(await stream.read())
        returned = pb.FromAgent.Returned(value='"done"', state="{}")
        await stream.write(pb.FromAgent(id=1, returned=returned))

    async with at(Agent(course)) as address:
        world = make_world(AgentConfig("x", address=address))
        assert await world.run("x", approve="policy") == "done"
    assert [answer.id for answer in answers] == [3, 4, 5]
    assert {answer.failure.code for answer in answers} == {"busy"}


async def test_lies_are_refused(make_world: MakeWorld) -> None:
    lies: list[tuple[str, Any]] = [
        ("ask", {"key": "1/2", "type": "message", "arguments": '["x",false,false]'}),
        ("ask", {"key": "x", "type": "message", "arguments": '["x",false,false]'}),
        ("ask", {"key": "2", "type": "nothing", "arguments": "3"}),
        ("ask", {"key": "3", "type": "message", "arguments": "no JSON"}),
        ("ask", {"key": "4", "type": "message", "arguments": "[]"}),
        ("elicit", {"key": "9", "about": "null"}),
        ("command", {"key": "9", "command": "true"}),
        ("patched", {"line": "7/"}),
    ]
    answers: list[pb.ToAgent] = []

    async def course(stream: Any) -> None:
        await stream.read()
        for number, (name, values) in enumerate(lies, 1):
            await stream.write(pb.FromAgent(id=number, **{name: values}))
            answers.append(await stream.read())
        # What isn't under way can be answered and given up as often as one likes.
        await stream.write(pb.FromAgent(id=99, done=pb.FromAgent.Done(value="1")))
        await stream.write(pb.FromAgent(id=99, delta=pb.FromAgent.Delta(text="x")))
        await stream.write(pb.FromAgent(id=99, cancel=pb.AgentCancel()))
        returned = pb.FromAgent.Returned(value='"done"', state="{}")
        await stream.write(pb.FromAgent(id=1, returned=returned))

    async with at(Agent(course)) as address:
        world = make_world(AgentConfig("x", address=address))
        assert await world.run("x") == "done"
    assert [answer.WhichOneof("message") for answer in answers] == ["failure"] * len(lies)
    await world.check()


# Certificates


def _openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and what it has signed for the agent and the controller; another beside."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here")
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for ca in ("ca", "other"):
        subject = ("-x509", "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
        _openssl(folder, "req", *new, *subject)
    for name, ca in (("agent", "ca"), ("controller", "ca"), ("stranger", "other")):
        _openssl(
            folder,
            *("req", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "request"),
        )
        signed = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial")
        out = ("-extfile", "names", "-in", "request", "-out", f"{name}.pem")
        _openssl(folder, "x509", "-req", *signed, *out)
    return folder


@pytest.mark.parametrize(
    ("shows", "believes", "reached"),
    [
        ("controller", "ca", True),
        ("stranger", "ca", False),
        (None, "ca", False),
        ("controller", "other", False),
    ],
)
async def test_both_ends_show_their_certificates(
    make_world: MakeWorld, certificates: Path, shows: str | None, believes: str, reached: bool
) -> None:
    files = [str(certificates / name) for name in ("agent.pem", "agent.key", "ca.pem")]
    process = AgentProcess(MODULES[0], *files)
    process.start()
    cert, key = (shows and str(certificates / f"{shows}.{end}") for end in ("pem", "key"))
    tls = Tls(str(certificates / f"{believes}.pem"), cert, key)
    try:
        world = make_world(AgentConfig("old", address=process.address, tls=tls))
        if reached:
            assert await world.run("old") == ["a", "b"]
        else:
            await refused(world, "old")
    finally:
        process.end()


async def test_files_that_are_no_certificates(make_world: MakeWorld, tmp_path: Path) -> None:
    missing = AgentConfig("x", address="localhost:1", tls=Tls(str(tmp_path / "no.pem")))
    said = await refused(make_world(missing), "x")
    assert said.endswith(f"{tmp_path}/no.pem: No such file or directory")
    (tmp_path / "bad.pem").write_text("no certificate")
    await refused(make_world(replace(missing, tls=Tls(str(tmp_path / "bad.pem")))), "x")


# Offered to models


async def test_models_are_told_what_it_says_of_itself(
    make_world: MakeWorld, server: AgentProcess
) -> None:
    world = make_world(
        AgentConfig("slow", address=server.address),
        AgentConfig("gone", address="localhost:1"),
        AgentConfig("described", address="localhost:1", description="Is elsewhere."),
        unruly_agents.lists_agents,
    )
    found = {tool["name"]: tool for tool in await world.run("lists_agents")}
    assert found["slow"]["description"].startswith("Config: the effect of its second step")
    assert found["described"]["description"] == "Is elsewhere."
    assert found["gone"]["error"].endswith("can't be reached: Connection refused")


@pytest.mark.parametrize("given", [{"cert"}, {"key"}, {"client_ca"}, {"cert", "client_ca"}])
def test_half_of_what_tls_needs_serves_nobody(
    given: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(*_: Any) -> None:
        pytest.fail("it is served to all")

    monkeypatch.setattr(agent_server, "_serve", serve)
    files: dict[str, Any] = {name: f"{name}.pem" for name in given}
    with pytest.raises(ValueError, match="TLS needs both `cert` and `key`"):
        agents_for_tests.parent.serve("localhost:0", **files)
