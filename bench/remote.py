"""Events over gRPC: catching up, many who watch, and a command by way of a server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from axtui.model.events import Record
from axtui.remote.client import RemoteClient
from axtui.remote.dialing import Elsewhere
from axtui.runtime.controller import RunOptions
from bench.children import ROOT, call, command
from bench.setup import Setup, ratio
from bench.table import Table, Target

EVENTS = 100_000
MESSAGES = 2_500
WATCHERS = 100


def measure(setup: Setup) -> Table:
    """The benchmark."""
    with _server(setup.folder("log")) as server:
        address = server["address"]
        table = Table(f"remote: {EVENTS:,} events of {server['size']:.0f} bytes, over loopback")
        _catch_up(setup, table, address, server["floor"])
        _fan_out(setup, table, address)
        _cold_start(setup, table, address)
    return table


def _catch_up(setup: Setup, table: Table, address: str, floor: str) -> None:
    def reads(where: str, what: str) -> float:
        return float(call(command("remote", "catch-up", where, what, EVENTS)))

    ours, single, blobs, pages = setup.interleave(
        lambda: reads(address, "watch"),
        lambda: reads(floor, "Single"),
        lambda: reads(floor, "Blobs"),
        lambda: reads(floor, "Pages"),
    )
    # What the log is read in is far beyond what any reader could take apart as fast.
    for what, theirs, target in (
        ("an event a message", single, Target(15, at_least=True)),
        ("blobs of 100 events", blobs, Target(0.5, at_least=True)),
        ("blobs of 2,000 events", pages, None),
    ):
        table.add(
            "catching up",
            f"{median(ours):,.0f}/s",
            f"{what}: {median(theirs):,.0f}/s",
            ratio(ours, theirs),
            target,
        )


def _fan_out(setup: Setup, table: Table, address: str) -> None:
    alone, watched = setup.interleave(
        lambda: asyncio.run(_paced(address, 0)), lambda: asyncio.run(_paced(address, WATCHERS))
    )
    table.add(
        f"a run of {MESSAGES:,} messages, {WATCHERS} watch",
        f"{median(watched):.2f} s",
        f"one: {median(alone):.2f} s",
        ratio(watched, alone),
        Target(1.2),
    )


async def _paced(address: str, watchers: int) -> float:
    client = RemoteClient(Elsewhere(address))
    name = f"paced-{time.time_ns()}"
    await _finish(client, name, 1)
    after = (await client.state(name)).seq
    arguments = command("remote", "fan-out", address, name, after, watchers)
    process = await asyncio.create_subprocess_exec(
        *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    taken = await _finish(client, name, MESSAGES)
    if await process.wait():
        raise RuntimeError("the watchers have failed")
    await client.close()
    return taken


async def _finish(client: RemoteClient, name: str, messages: int) -> float:
    accepted = await client.start(name, "", "paced", RunOptions(messages))
    async with aclosing(client.watch(name, accepted.seq)) as pages:
        async for page in pages:
            for item in page:
                if isinstance(item, Record) and item.kind == "run.completed":
                    return float(json.loads(item.event().run_completed.output.text))
    raise RuntimeError("the server has ended")


def _cold_start(setup: Setup, table: Table, address: str) -> None:
    def seconds(*reach: str) -> float:
        began = time.perf_counter()
        line = [sys.executable, "-m", "axtui", "exec", "--agent", "echo", "--input", "x", *reach]
        subprocess.run(line, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    folder = str(setup.folder("here"))
    here, there = setup.interleave(
        lambda: seconds("--data-dir", folder), lambda: seconds("--server", address), rounds=10
    )
    table.add(
        "exec --server",
        f"{median(there) * 1000:.0f} ms",
        f"in its own process: {median(here) * 1000:.0f} ms",
        ratio(there, here),
        Target(1.5),
    )


@contextmanager
def _server(folder: Path) -> Iterator[dict[str, Any]]:
    process = subprocess.Popen(
        command("remote", "serve", folder, EVENTS), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()
