"""Agents that do to their process what no agent should."""

# ruff: noqa: ASYNC110, ASYNC221, ASYNC240

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from axtui.agent import Agent, Context, StepFailed, agent, call
from axtui.v1 import agent_pb2 as pb
from tests.runtime.actors.agents_for_tests import note, work


def _note_pid(ctx: Context, pid: int) -> None:
    path = Path(ctx.workspace, "pid")
    path.with_suffix(".new").write_text(str(pid))
    path.with_suffix(".new").rename(path)


def _die_once(how: str) -> str:
    note()
    if call().attempt == 1:
        print("dying", file=sys.stderr)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(7)
    return f"attempt {call().attempt}"


@agent
async def dies_in_a_step(ctx: Context) -> list[Any]:
    """Config: the step's effect, and how it dies."""
    effect, how = ctx.config
    before = await ctx.step(work, "before")
    beside = asyncio.create_task(ctx.step(work, "beside", effect="readonly"))
    try:
        return [before, await ctx.step(_die_once, how, effect=effect), await beside]
    except StepFailed as error:
        return [before, error.code, error.message]


@agent
async def dies_once(ctx: Context) -> list[str]:
    """Dies outside of any step, the first time."""
    found = [await ctx.step(work, "before")]
    mark = Path(ctx.workspace, "died")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [*found, await ctx.step(work, "after")]


@agent
async def dies_each_time(ctx: Context) -> None:
    await ctx.emit("here we go")
    print("out of order", file=sys.stderr)
    os._exit(7)


@agent
async def dies_at_once(ctx: Context) -> None:
    os._exit(7)


@agent
async def calls_one_that_dies(ctx: Context) -> list[Any]:
    """Config: the id of the other."""
    before = await ctx.step(work, "parent's")
    try:
        return [before, await ctx.agent(ctx.config)]
    except StepFailed as error:
        return [before, error.code, error.message]


@agent
async def hangs(ctx: Context) -> None:
    """Never gives back the interpreter's lock, and takes no notice of being asked to end."""
    _note_pid(ctx, os.getpid())
    if ctx.config == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    await ctx.emit("hanging")
    sum(range(10**11))


@agent(timeout=0.5)
async def hangs_for_a_while(ctx: Context) -> None:
    await hangs.function(ctx)


@agent
async def hangs_in_a_step(ctx: Context) -> str:
    _note_pid(ctx, os.getpid())

    def spin() -> None:
        note()
        if call().attempt == 1:
            sum(range(10**11))

    await ctx.step(spin)
    return "done"


@agent
async def gives_up_one_that_hangs(ctx: Context) -> str:
    async def until_it_hangs() -> None:
        while not Path(ctx.workspace, "pid").exists():
            await asyncio.sleep(0.01)

    task = asyncio.create_task(ctx.agent("hangs"))
    await ctx.step(until_it_hangs, effect="readonly")
    task.cancel()
    await asyncio.wait({task})
    return await ctx.step(work, "went on")


@agent
async def forks(ctx: Context) -> int:
    """Leaves a daemon behind, which has all that is open here."""
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.write(write_end, b"%d" % os.getpid())
        while True:
            signal.pause()
    pid = int(os.read(read_end, 20))
    _note_pid(ctx, pid)
    if ctx.config == "die":
        os._exit(7)
    return pid


@agent
async def prints(ctx: Context) -> str:
    for _ in range(300):
        print("x" * 100_000)
    sys.stderr.write("last words\n")
    raise ValueError("enough")


@agent
async def tells_a_secret(ctx: Context) -> None:
    print("it is", os.environ["CANARY_TOKEN"], file=sys.stderr, flush=True)
    os._exit(7)


@agent(timeout="soon")  # type: ignore[arg-type]
async def soon(ctx: Context) -> None: ...


@agent
async def reads(ctx: Context) -> list[str]:
    """What there is on standard input, for itself and for what it starts."""
    done = subprocess.run(["cat"], capture_output=True, text=True)
    return [sys.stdin.read(), done.stdout]


@agent
async def writes_garbage(ctx: Context) -> None:
    peer = ctx._journal._peer  # type: ignore[attr-defined]
    if hasattr(peer._link, "_stream"):
        await peer._link._stream.write(pb.FromAgent(id=5))
    else:
        os.write(peer._link._writer.get_extra_info("socket").fileno(), b"\x00\x00\x00\x05hello")
    await asyncio.Event().wait()


@agent
async def asks_too_much(ctx: Context) -> list[str]:
    async def ask(number: int) -> str:
        try:
            return await ctx.ask(f"{number}?")
        except RuntimeError as error:
            return str(error)

    tasks = [asyncio.create_task(ask(number)) for number in range(250)]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    return sorted({task.result() for task in done})


@agent
async def lies(ctx: Context) -> list[str]:
    """Asks for what isn't its own, or was asked for before, or is nothing at all."""
    peer = ctx._journal._peer  # type: ignore[attr-defined]
    this = ctx._journal._call  # type: ignore[attr-defined]
    await ctx.emit("first")
    good = {
        **this,
        "key": "9",
        "type": "message",
        "name": "emit",
        "arguments": '["x",false,false]',
        "time_us": 0,
        "effect": "",
        "timeout": None,
        "retry": {"attempts": 1},
        "by_model": False,
        "body": None,
        "own": False,
    }
    found = []
    for lie in (
        {"epoch": this["epoch"] + 1},
        {"epoch": []},
        {"path": "1/"},
        {"path": []},
        {"key": "1"},
        {"key": "x"},
        {"key": 9},
        {"key": "1/2"},
        {"type": "nothing"},
        {"arguments": "no JSON"},
        {"arguments": "3"},
        {"type": "function", "key": "10", "own": True},
        {"type": "function", "key": "11", "timeout": "long"},
        {"retry": {}},
        {"time_us": None},
    ):
        try:
            reply = await peer.call("ask", good | lie)
            found.append("Fault" if "failed" in reply else str(reply))
        except Exception as error:
            found.append(type(error).__name__)
    for method, params in (("patched", {**this, "line": "7/"}), ("history", 3), ("x", 0)):
        try:
            await peer.call(method, params)
        except Exception as error:
            found.append(type(error).__name__)
    return found


@agent
async def looks_around(ctx: Context) -> dict[str, Any]:
    heavy = {"pydantic", "grpc", "mcp", "yaml", "rich", "sqlite3", "httpx2", "pydantic_ai"}
    return {
        "folder": os.getcwd(),
        "first": sys.path[0],
        "secret": os.environ.get("MY_API_KEY"),
        "heavy": sorted(heavy & set(sys.modules)),
        "pid": os.getpid(),
    }


@agent
async def cleans_up(ctx: Context) -> None:
    """Says goodbye when it is canceled."""
    try:
        await ctx.ask("Well?")
    finally:
        await asyncio.sleep(0)
        Path(ctx.workspace, "cleaned").touch()


@agent
async def lists_agents(ctx: Context) -> list[Any]:
    return [tool for tool in await ctx.tools() if "agent" in tool]


not_an_agent = print
odd_agent: Any = Agent("odd", print)  # type: ignore[arg-type]


@agent
async def calls_twice(ctx: Context) -> list[int]:
    found = await asyncio.gather(ctx.agent("looks_around"), ctx.agent("looks_around"))
    return [*(one["pid"] for one in found), os.getpid()]
