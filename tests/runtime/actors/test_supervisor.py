"""The life of an actor's process, and the calls that go to it and come from it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from axtui.runtime.actors import supervisor
from axtui.runtime.actors.supervisor import Actor, Change, Spec
from axtui.runtime.actors.wire import Fault, Handler, Progress
from tests.runtime.actors.test_shim import _is_alive

PROGRAM = (sys.executable, "-m", "tests.runtime.actors.sample_actor")
Make = Callable[..., Actor]


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest.fixture
async def make(changes: list[Change], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    monkeypatch.setattr(supervisor, "_FIRST_DELAY", 0.001)
    actors: list[Actor] = []

    def make(
        hello: Any = None,
        program: tuple[str, ...] = PROGRAM,
        handlers: Mapping[str, Handler] | None = None,
        **rest: Any,
    ) -> Actor:
        actor = Actor(
            Spec("sample", "test", program, hello, **rest), changes.append, handlers or {}
        )
        actors.append(actor)
        return actor

    yield make
    for actor in actors:
        await actor.stop()
        assert not actor.pid


async def _fault(calling: Awaitable[Any]) -> Fault:
    with pytest.raises(Fault) as caught:
        await calling
    return caught.value


async def test_it_starts_when_it_is_needed(make: Make, changes: list[Change]) -> None:
    actor = make("hi")
    assert (actor.state, changes) == ("stopped", [])
    assert await actor.call("echo", {"a": [1, "ü", None]}) == {"a": [1, "ü", None]}
    assert (actor.state, actor.info["hello"]) == ("ready", "hi")
    assert [(change.how, change.pid) for change in changes] == [("started", actor.pid)]


async def test_calls_run_side_by_side_and_share_one_start(
    make: Make, changes: list[Change]
) -> None:
    actor = make()
    assert await asyncio.gather(*(actor.call("echo", n) for n in range(50))) == list(range(50))
    assert len(changes) == 1


async def test_a_large_value_comes_through(make: Make) -> None:
    text = "x" * 20_000_000
    assert await make().call("echo", text) == text


async def test_a_fault_says_what_the_actor_says(make: Make) -> None:
    actor = make()
    fault = await _fault(actor.call("fail", None))
    assert (fault.code, str(fault), fault.unknown) == ("busy", "not now", False)
    assert fault.details == {"retry_after": 3}
    fault = await _fault(actor.call("raise", None))
    assert (fault.code, str(fault), fault.unknown) == ("crash", "KeyError: 'oops'", True)
    fault = await _fault(actor.call("nonsense", None))
    assert (fault.code, fault.unknown) == ("method", False)
    assert await actor.call("echo", 1) == 1


@pytest.mark.parametrize(
    ("number", "why"), [(0, "exit status 7 (going)"), (signal.SIGKILL, "signal 9 (going)")]
)
async def test_a_crash_fails_the_calls_in_flight_and_the_next_one_starts_it_again(
    make: Make, changes: list[Change], number: int, why: str
) -> None:
    actor = make()
    await actor.call("echo", 1)
    hanging = asyncio.create_task(_fault(actor.call("hang", "/dev/null")))
    for calling in (actor.call("exit", number), hanging):
        fault = await _fault(calling) if calling is not hanging else await hanging
        assert (fault.code, fault.unknown) == ("gone", True)
        assert str(fault) == f"sample ended: {why}"
    assert changes[-1].how == "stopped"
    assert (changes[-1].why, changes[-1].stderr) == (why, "going\n")
    assert await actor.call("echo", 2) == 2


async def test_after_too_many_crashes_it_has_failed(make: Make, changes: list[Change]) -> None:
    actor = make()
    for _ in range(supervisor.MAX_CRASHES):
        await _fault(actor.call("exit", 0))
    fault = await _fault(actor.call("echo", 1))
    assert (fault.code, fault.unknown) == ("failed", False)
    assert str(fault) == "sample ended 5 times in a row: exit status 7 (going)"
    assert (actor.state, changes[-1].how) == ("failed", "failed")


async def test_failures_are_forgotten_in_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = make()
    for _ in range(supervisor.MAX_CRASHES):
        await _fault(actor.call("exit", 0))
    monkeypatch.setattr(supervisor, "_FORGET_SECONDS", 0.0)
    assert await actor.call("echo", 1) == 1


@pytest.mark.parametrize(
    ("hello", "program", "why"),
    [
        ("exit", PROGRAM, "exit status 9 (out of order)"),
        ("refuse", PROGRAM, "not like this"),
        (None, ("/nowhere/at-all",), "exit status 127"),
        (None, ("sh", "-c", "echo hello"), "exit status 0 (hello)"),
        (None, ("sh", "-c", "echo hello >&0; cat"), "it sent what is no message"),
    ],
)
async def test_one_that_does_not_start_says_why(
    make: Make, hello: Any, program: tuple[str, ...], why: str
) -> None:
    actor = make(hello, program)
    fault = await _fault(actor.call("echo", 1))
    assert (fault.code, fault.unknown) == ("start", False)
    assert str(fault).startswith("sample didn't start: ")
    assert why in str(fault)


@pytest.mark.parametrize(
    "sent",
    [
        "\x00\x00\x00\x05hello",
        "\xff\xff\xff\xff",
        "\x00\x00\x00\x02[]",
        '\x00\x00\x00\x0b{"reply":[]}',
    ],
)
async def test_garbage_ends_it(make: Make, sent: str) -> None:
    actor = make()
    fault = await _fault(actor.call("garbage", sent))
    assert fault.code == "gone"
    assert "it sent what is no message" in str(fault)
    assert await actor.call("echo", 1) == 1


async def test_a_canceled_call_is_canceled_there(make: Make, tmp_path: Path) -> None:
    actor = make()
    hangs = asyncio.Event()
    call = asyncio.create_task(actor.call("hang", str(tmp_path / "said"), lambda _: hangs.set()))
    await hangs.wait()
    call.cancel()
    await asyncio.wait({call})
    assert await actor.call("echo", 1) == 1
    assert (tmp_path / "said").read_text() == "canceled"


async def test_who_leaves_while_it_starts_leaves_nothing_behind(make: Make) -> None:
    actor = make("never")
    call = asyncio.create_task(actor.call("echo", 1))
    while not (pid := actor.pid):  # noqa: ASYNC110
        await asyncio.sleep(0)
    for _ in range(2):
        call.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({call})
    assert call.cancelled()
    assert (actor.state, actor.pid, _is_alive(pid)) == ("stopped", 0, False)


async def test_progress_comes_before_the_result(make: Make) -> None:
    seen: list[int] = []
    assert await make().call("count", 1000, seen.append) == "done"
    assert seen == list(range(1000))


async def test_an_actor_calls_back(make: Make) -> None:
    async def question(params: Any, progress: Progress) -> Any:
        if params == "why":
            raise Fault("no", "because")
        return f"{params}!"

    actor = make(handlers={"question": question})
    assert await actor.call("ask", "who") == "who!"
    fault = await _fault(actor.call("ask", "why"))
    assert (fault.code, str(fault)) == ("no", "because")


async def test_one_that_is_deaf_is_stopped(make: Make, changes: list[Change]) -> None:
    actor = make()
    daemon = await actor.call("daemon", None)
    hangs = asyncio.Event()
    call = asyncio.create_task(_fault(actor.call("hang", "deaf", lambda _: hangs.set())))
    await hangs.wait()
    pid = actor.info["pid"]
    await actor.stop("because")
    assert (await call).code == "gone"
    assert not _is_alive(pid)
    assert not _is_alive(daemon)
    assert (changes[-1].how, changes[-1].why) == ("stopped", "because")


async def test_one_that_nobody_uses_is_stopped(make: Make) -> None:
    stopped = asyncio.Event()

    class Listening(list[Change]):
        def append(self, change: Change) -> None:
            super().append(change)
            if change.how == "stopped":
                stopped.set()

    actor = make(idle_seconds=0.01)
    heard = Listening()
    actor._on_change = heard.append
    async with actor.use() as peer:
        assert await peer.call("echo", 1) == 1
    await stopped.wait()
    assert (heard[-1].how, heard[-1].why) == ("stopped", "idle")
    assert await actor.call("echo", 2) == 2


async def test_what_it_writes_is_bounded(make: Make) -> None:
    actor = make()
    await actor.call("say", "first")
    await actor.call("say", "x\n" * 100_000)
    await actor.stop()
    assert supervisor.STDERR_BYTES - 2 <= len(actor.stderr) <= supervisor.STDERR_BYTES


async def test_of_a_secret_that_is_no_longer_whole_nothing_is_kept(make: Make) -> None:
    actor = make()
    await actor.call(
        "say", "supersecretvalue1234567890" + " x" * (supervisor.STDERR_BYTES // 2 - 8)
    )
    await actor.stop()
    assert "234567890" not in actor.stderr
    assert actor.stderr.endswith(" x x x\n")


async def test_it_sees_no_secrets(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "secret")
    actor = make(program=("sh", "-c", "env; exit 1"), env={"GIVEN": "yes"})
    await _fault(actor.call("echo", 1))
    assert "GIVEN=yes" in actor.stderr
    assert "secret" not in actor.stderr


@pytest.mark.parametrize("late", [0.0, 0.005, 0.1], ids=["at once", "soon", "later"])
async def test_a_call_of_one_that_is_being_stopped_is_made_of_the_next(
    make: Make, changes: list[Change], late: float
) -> None:
    actor = make(idle_seconds=0.05)
    await actor.call("echo", 1)
    assert actor._idle is not None
    calling: asyncio.Future[asyncio.Task[Any]] = asyncio.Future()
    asyncio.get_running_loop().call_at(
        actor._idle.when() + late,
        lambda: calling.set_result(asyncio.ensure_future(actor.call("echo", 2))),
    )
    assert await (await calling) == 2
    assert (actor.state, actor.pid) == ("ready", changes[-1].pid)
    assert [change.how for change in changes] == ["started", "stopped", "started"]
    assert changes[1].why == "idle"
