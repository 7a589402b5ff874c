"""Agents that the tests run in this process and in processes of their own.

What their steps do is noted in a file of the workspace, since nothing else is shared.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axtui.agent import Context, Retry, StepFailed, ToolError, agent, call, tool

CALLS = "calls"


def note(line: str = "") -> None:
    """Add a line to the file, in one go: the step's key where nothing else is said."""
    this = call()
    fd = os.open(Path(this.workspace, CALLS), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, f"{line or this.idempotency_key}\n".encode())
    finally:
        os.close(fd)


async def work(name: str, turns: int = 0) -> str:
    """Takes some turns of the loop, or for negative ones as many milliseconds."""
    note()
    if turns < 0:
        await asyncio.sleep(-turns / 1000)
    for _ in range(turns):
        await asyncio.sleep(0)
    return name


# Several things at once


@agent
async def gathers(ctx: Context) -> list[str]:
    found = await asyncio.gather(*(ctx.step(work, str(n), 5 - n) for n in range(4)))
    return [*found, await ctx.step(work, "last")]


@agent
async def as_they_come(ctx: Context) -> list[str]:
    found = []
    for next_one in asyncio.as_completed([ctx.step(work, str(n), -(4 - n)) for n in range(4)]):
        found.append(await next_one)
        await ctx.emit(found[-1])
    return found


@agent
async def grouped(ctx: Context) -> list[str]:
    found: list[str] = []

    async def branch(name: str, turns: int) -> None:
        for number in range(2):
            found.append(await ctx.step(work, f"{name}{number}", turns))

    async with asyncio.TaskGroup() as group:
        for name, turns in (("a", 3), ("b", 0), ("c", -2)):
            group.create_task(branch(name, turns))
    return found


@agent
async def first_wins(ctx: Context) -> list[str]:
    found = []
    for turn in range(3):
        racers = {
            asyncio.create_task(ctx.step(work, f"{turn}{n}", -1 - (turn + n) % 3 * 2), name=f"{n}")
            for n in range(3)
        }
        done, losers = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        for loser in losers:
            loser.cancel()
        await asyncio.gather(*losers, return_exceptions=True)
        found += sorted(task.result() for task in done)
        found.append(await ctx.step(work, f"after {found[-1]}"))
    return found


@agent
async def nested_gathers(ctx: Context) -> list[Any]:
    async def level(depth: int, name: str) -> Any:
        if not depth:
            return await ctx.step(work, name, len(name) % 3)
        return await asyncio.gather(level(depth - 1, name + "l"), level(depth - 1, name + "r"))

    return [await level(3, ""), await ctx.step(work, "end")]


@agent
async def tasks_in_tasks(ctx: Context) -> list[str]:
    found: list[str] = []

    async def inner(name: str) -> None:
        found.append(await ctx.step(work, name, -1))

    async def outer(name: str) -> None:
        task = asyncio.create_task(inner(name + "1"))
        found.append(await ctx.step(work, name, 1))
        await task
        await asyncio.create_task(inner(name + "2"))

    await asyncio.gather(outer("a"), outer("b"))
    return found


@agent
async def queued(ctx: Context) -> list[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    found: list[str] = []

    async def produce(name: str, turns: int) -> None:
        for number in range(3):
            await queue.put(await ctx.step(work, f"{name}{number}", turns))

    async def consume() -> None:
        while True:
            item = await queue.get()
            found.append(await ctx.step(work, f"got {item}", 2))
            queue.task_done()

    consumer = asyncio.create_task(consume())
    await asyncio.gather(produce("a", 1), produce("b", -1))
    await queue.join()
    consumer.cancel()
    return found


@agent
async def fails_in_a_group(ctx: Context) -> list[str]:
    async def breaks() -> None:
        raise ToolError("broken")

    found = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step(work, "slow", -500))
            group.create_task(ctx.step(breaks))
            group.create_task(ctx.step(work, "quick"))
    except* StepFailed as failures:
        found += [error.code for error in failures.exceptions if isinstance(error, StepFailed)]
    return [*found, await ctx.step(work, "after")]


@agent
async def speaks_abreast(ctx: Context) -> list[str]:
    order: list[str] = []

    async def talker(name: str) -> None:
        order.append(await ctx.step(work, name, ord(name) % 3))
        await ctx.emit(f"{name} is done, after {len(order)}")
        order.append(await ctx.step(work, f"{name} saw {len(order)}"))

    await asyncio.gather(*(talker(name) for name in "abcd"))
    return order


@agent
async def races_questions(ctx: Context) -> list[str]:
    asks = [asyncio.create_task(ctx.ask(f"Which {n}?", choices=("a", "b"))) for n in range(3)]
    done, rest = await asyncio.wait(asks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest or done)
    return [await ctx.step(work, "end"), str(len(done))]


@agent
async def many(ctx: Context) -> list[int]:
    running = most = 0
    full = asyncio.Event()

    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 100:
            full.set()
        await full.wait()
        running -= 1

    await asyncio.gather(*(ctx.step(count, effect="readonly") for _ in range(250)))
    answers = await asyncio.gather(*(ctx.ask(f"{n}?") for n in range(300)))
    return [most, len(answers)]


class _Program:
    """An agent made of data: branches with steps, races, groups and messages."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.trace: list[str] = []
        # How long things take differs from one life to the next.
        self._delays = random.Random()

    async def _work(self, name: str) -> str:
        for _ in range(self._delays.choice((0, 0, 1, 2, 3, 7, 15))):
            await asyncio.sleep(0)
        if self._delays.random() < 0.2:
            await asyncio.sleep(0.0005)
        return name

    async def do(self, node: Any, name: str) -> None:
        kind, parts = node
        if kind == "step":
            # The arguments say how the races so far went: another course diverges.
            seen = ",".join(self.trace)
            self.trace.append(
                await self._ctx.step(self._work, f"{name}:{_digest(seen)}", name="work")
            )
        elif kind == "say":
            await self._ctx.emit(f"{name} {len(self.trace)}")
            self.trace.append(f"said {name}")
        elif kind == "sequence":
            for number, part in enumerate(parts):
                await self.do(part, f"{name}{number}")
        else:
            tasks = [
                asyncio.create_task(self.do(part, f"{name}{n}")) for n, part in enumerate(parts)
            ]
            if kind == "race":
                _, losers = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for loser in losers:
                    loser.cancel()
                await asyncio.gather(*losers, return_exceptions=True)
            else:
                await asyncio.gather(*tasks)
            self.trace.append(f"{kind} {name}")


def _digest(text: str) -> int:
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(text)) % 10_007


@agent
async def program(ctx: Context) -> list[str]:
    """Does what its configuration says."""
    going = _Program(ctx)
    await going.do(ctx.config, "")
    await ctx.step(work, "end")
    return going.trace


# Agents that call agents


@agent
async def helper(ctx: Context) -> str:
    ctx.state["calls"] = [*ctx.state.get("calls", []), ctx.input]
    first = await ctx.step(work, f"{ctx.input} 1")
    await ctx.emit(f"working on {ctx.input}", internal=True)
    await ctx.step(work, f"{ctx.input} 2")
    return f"{first}, {len(ctx.state['calls'])}"


@agent
async def parent(ctx: Context) -> list[str]:
    one = await ctx.agent("helper", "one")
    rest = await asyncio.gather(*(ctx.agent("helper", name) for name in ("two", "three")))
    return [one, *rest, await ctx.step(work, "end")]


@agent
async def adds(ctx: Context) -> list[str]:
    ctx.state.setdefault("seen", []).append(ctx.input)
    await ctx.step(work, ctx.input)
    return list(ctx.state["seen"])


@agent
async def two_lines(ctx: Context) -> list[Any]:
    async def line(name: str) -> list[Any]:
        return [await ctx.agent("adds", f"{name}{n}") for n in range(3)]

    return await asyncio.gather(line("a"), line("b"))


@agent
async def slow(ctx: Context) -> str:
    await ctx.step(work, "slow")
    await ctx.sleep(3600)
    return "slow"


@agent
async def quick(ctx: Context) -> str:
    await ctx.step(work, "quick")
    return await ctx.step(work, "quicker")


@agent
async def races(ctx: Context) -> str:
    tasks = [asyncio.create_task(ctx.agent(name)) for name in ("slow", "quick")]
    done, losers = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for loser in losers:
        loser.cancel()
    await asyncio.wait(losers)
    return next(iter(done)).result() + await ctx.step(work, "!")


@agent
async def top(ctx: Context) -> list[str]:
    return [await ctx.agent("races") for _ in range(2)]


@agent
async def breaks(ctx: Context) -> None:
    await ctx.step(work, "before")
    raise KeyError("broken")


@agent
async def exits(ctx: Context) -> None:
    raise SystemExit(3)


@agent
async def odd(ctx: Context) -> Any:
    return object()


@agent
async def hoards(ctx: Context) -> None:
    ctx.state["thing"] = object()


@agent
async def leaves(ctx: Context) -> None:
    ctx.continue_with({})


@agent
async def cancels(ctx: Context) -> None:
    raise asyncio.CancelledError


@agent
async def recurses(ctx: Context) -> None:
    await recurses.function(ctx)


@agent
async def shouts(ctx: Context) -> None:
    await ctx.emit("x" * (64 * 1024 * 1024 + 1))


@agent
async def measures(ctx: Context) -> list[int]:
    return [len(ctx.input), len(ctx.config)]


@agent
async def catches(ctx: Context) -> list[str]:
    found = []
    for name in ("breaks", "exits", "odd", "hoards", "leaves", "nobody"):
        try:
            await ctx.agent(name)
        except StepFailed as error:
            found.append(f"{name}: {error.code}: {error.message}")
    return found


# What an agent sees


@agent
async def sub(ctx: Context) -> list[Any]:
    before = [str(ctx.now()), ctx.random().random()]
    await ctx.step(work, "sub")
    return [*before, str(ctx.now())]


@agent
async def looks(ctx: Context) -> list[Any]:
    seen: list[Any] = []

    def look() -> None:
        seen.append([str(ctx.now()), ctx.random().random()])

    async def branch(name: str) -> None:
        look()
        await ctx.step(work, name)
        look()

    look()
    await ctx.emit("hello")
    look()
    await ctx.sleep(0.002)
    look()
    await ctx.ask("Well?")
    look()
    await asyncio.gather(branch("a"), branch("b"))
    flight = asyncio.create_task(ctx.step(work, "in flight"))
    late = asyncio.create_task(branch("late"))
    await asyncio.wait({flight, late})
    look()
    try:
        async with asyncio.timeout(0.01):
            await ctx.ask("Never answered?")
    except TimeoutError:
        look()
    seen.append(await ctx.agent("sub"))
    look()
    return seen


@agent
async def talks(ctx: Context) -> None:
    await ctx.emit("one")
    await ctx.emit("a thought", thought=True)
    await ctx.step(work, "x")
    await ctx.emit("inside", internal=True)
    await ctx.emit("x" * 50_000)
    await ctx.emit("\ud800 lone")


@agent
async def remembers(ctx: Context) -> Any:
    ctx.state["runs"] = ctx.state.get("runs", 0) + 1
    await ctx.emit(f"on {ctx.input}")
    return [await ctx.history(), ctx.state["runs"]]


@agent(timeout=60)
async def endless(ctx: Context) -> str:
    round = ctx.state.get("round", 0)
    await ctx.step(work, str(round))
    if round < 2:
        ctx.continue_with({"round": round + 1})
    return f"after {round}"


# Versions of one agent


@agent
async def old(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a"), await ctx.step(work, "b")]


@agent
async def longer(ctx: Context) -> list[str]:
    return [*await old.function(ctx), await ctx.step(work, "c")]


@agent
async def renamed(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a"), await ctx.step(work, "b", name="renamed")]


@agent
async def asks_instead(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a"), await ctx.ask("b?")]


@agent
async def waits_for_ever(ctx: Context) -> None:
    await asyncio.Event().wait()


@agent
async def computes(ctx: Context) -> Any:
    time.sleep(0.6)  # noqa: ASYNC251
    return await old.function(ctx)


@agent
async def changed(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a"), await ctx.step(work, "changed")]


@agent
async def ends_early(ctx: Context) -> list[str]:
    return [await ctx.step(work, "a")]


@agent
async def swallows(ctx: Context) -> list[str]:
    try:
        return await changed.function(ctx)  # type: ignore[no-any-return]
    except BaseException:
        return [await ctx.step(work, "swallowed")]


@agent
async def patched(ctx: Context) -> list[str]:
    found = [await ctx.step(work, "a")]
    if ctx.patched("c"):
        found.append(await ctx.step(work, "new"))
    return [*found, await ctx.step(work, "b")]


@agent
async def only_patched(ctx: Context) -> list[str]:
    await ctx.step(work, "a")
    ctx.patched("c")
    return []


@agent
async def repatched(ctx: Context) -> list[str]:
    await ctx.step(work, "a")
    ctx.patched("d")
    return []


@agent
async def branches(ctx: Context) -> list[str]:
    return await asyncio.gather(ctx.step(work, "x"), ctx.step(work, "y"))


@agent
async def patched_branches(ctx: Context) -> list[str]:
    new = [await ctx.step(work, "new")] if ctx.patched("c") else []
    return [*new, *await branches.function(ctx)]


# What people say while it runs


@agent
async def listens(ctx: Context) -> list[list[str]]:
    heard = []
    for turn in range(3):
        heard.append(await ctx.told())
        await ctx.ask(f"question {turn}?")
    return [*heard, await ctx.told()]


@agent
async def listens_not(ctx: Context) -> list[list[str]]:
    for turn in range(3):
        await ctx.ask(f"question {turn}?")
    return []


@agent
async def listens_abreast(ctx: Context) -> list[str]:
    found = []

    async def branch(name: str, turns: int) -> None:
        for number in range(3):
            found.extend(await ctx.told())
            await ctx.step(work, f"{name}{number}", turns)

    await ctx.ask("begin?")
    branches = branch("a", 3), branch("b", -2), branch("c", 0)
    *_, more = await asyncio.gather(*branches, ctx.told())
    found += [*more, *await ctx.told()]
    return [*found, await ctx.step(work, " ".join(found))]


@agent
async def stops_listening(ctx: Context) -> list[Any]:
    found = []
    for turn in range(4):
        await ctx.ask(f"question {turn}?")
        asking = [asyncio.create_task(ctx.told()) for _ in range(2)]
        for _ in range(turn):
            await asyncio.sleep(0)
        asking[0].cancel()
        await asyncio.wait(asking)
        found.append(asking[1].result())
        found.append(await ctx.told())
        await ctx.step(work, str(found), effect="idempotent")
    return found


@agent
async def has_listeners(ctx: Context) -> list[Any]:
    own = asyncio.create_task(ctx.ask("well?"))
    called = await ctx.agent("listens")
    await own
    return [await ctx.told(), called]


# Steps


class _Wordless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


# Made when they are wanted: each process that imports this would hold hundreds of megabytes.
GIVEN: dict[str, Callable[[], Any]] = {
    "tuple": lambda: (1, (2, 3)),
    "keys": lambda: {1: "a"},
    "true": lambda: True,
    "none": lambda: None,
    "surrogate": lambda: "\ud800 ü",
    "big": lambda: "x" * 100_000,
    "long": lambda: list(range(20_000)),
    "ünicode": lambda: "ü" * 5_000_000,
    "quotes": lambda: ['"'] * 500_000,
    "object": lambda: object(),
    "set": lambda: {1, 2},
    "nan": lambda: float("nan"),
    "integer": lambda: 10**5000,
    "huge": lambda: "x" * (64 * 1024 * 1024 + 1),
    "more than a frame": lambda: "x" * (140 * 1024 * 1024),
    "deep": _deep,
}
HUGE = ("huge", "more than a frame")
RAISED: dict[str, BaseException] = {
    "tool": ToolError("no such file"),
    "key": KeyError("x"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "stop": StopIteration(),
    "cancel": asyncio.CancelledError(),
    "time": TimeoutError("slow"),
    "wordless": _Wordless(),
    "surrogate": ToolError("\ud800"),
}


@agent
async def gives(ctx: Context) -> Any:
    """A step that returns one of the values: from the loop, and the smaller ones from a thread."""
    value = GIVEN[ctx.input]()

    async def give() -> Any:
        return value

    found = []
    for function in (give,) if ctx.input in HUGE else (give, lambda: value):
        try:
            found.append(repr(await ctx.step(function, name="give"))[:100])
        except StepFailed as error:
            found.append(f"{error.code}: {error.message}")
    return found


@agent
async def raises(ctx: Context) -> Any:
    """A step that raises one of the errors, from the loop and from a thread."""

    def in_thread() -> None:
        raise RAISED[ctx.input]

    async def in_loop() -> None:
        raise RAISED[ctx.input]

    found = []
    # In the loop it would be for the whole process.
    for function in (in_thread,) if ctx.input == "interrupt" else (in_loop, in_thread):
        try:
            await ctx.step(function, name="fail")
        except StepFailed as error:
            found.append(f"{error.code}: {error.message}")
    return found


@agent
async def tries(ctx: Context) -> int:
    async def flaky() -> int:
        note()
        if call().attempt < 3:
            raise ToolError("not yet")
        return 7

    found: int = await ctx.step(flaky, retry=Retry(attempts=9, delay=0.001))
    return found


@agent
async def waits(ctx: Context) -> Any:
    """A step that takes too long the first time."""

    async def slow_once() -> str:
        note(f"attempt {call().attempt}")
        if call().attempt == 1:
            try:
                await asyncio.Event().wait()
            finally:
                note("cleaned up")
        return "done"

    return await ctx.step(slow_once, timeout=0.05)


@tool(effect="idempotent")
def put(text: str) -> str:
    note()
    return text.upper()


@tool(name="guess")
async def guess(prompt: str, size: int = 1) -> str:
    call().delta("gu")
    await asyncio.sleep(0)
    call().delta("ess")
    return f"{prompt} {size}"


@agent(tools=[put], models=[guess])
async def brings(ctx: Context) -> list[Any]:
    """Calls the tool and the model that it brings along, and one that is nowhere."""
    found = [await ctx.tool("put", text="a"), await ctx.model("guess", "b", size=2)]
    for arguments in ({"txt": "c"}, {}):
        try:
            await ctx.tool("put" if arguments else "nowhere", **arguments)
        except StepFailed as error:
            found.append(error.code)
    return found


@agent
async def forgets(ctx: Context) -> str:
    """Returns while others of its tasks are about to begin."""
    await asyncio.gather(*(ctx.step(work, name) for name in "ab"))
    _left.extend(asyncio.create_task(ctx.step(work, f"left{n}")) for n in range(5))
    return "x"


_left: list[asyncio.Task[Any]] = []
