"""Watches the answer of a model as it comes; prints how late its pieces are, and what they commit.

Arguments: folder, pieces. The provider is a server in a process of its own, that of this module
with the argument `serve`; each piece is the time at which it was sent, by the machine's clock.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axtui.agent import Context, agent
from axtui.model.events import Record
from axtui.runtime.config import Config, ModelProvider, Models
from axtui.runtime.controller import Controller, RunOptions
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.registry import Registry
from bench.children import command

INTERVAL = 0.01
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@agent
async def asks(ctx: Context) -> None:
    """Asks the model once."""
    await ctx.model("local:ticking", "What is the time?")


async def main(folder: Path, pieces: int) -> None:
    """Measure the second answer: the first one pays for the start."""
    with _provider(pieces) as url:
        models = Models(providers={"local": ModelProvider("openai", url)})
        config = Config(data_dir=folder, models=models)
        log = SqliteLog.open_to_write(config.log_path)
        controller = Controller(log, config, Registry([asks]))
        await _watch(controller, "warm")
        commits = 0

        def count(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        log._write_connection.set_trace_callback(count)
        late, before_last = await _watch(controller, "run", lambda: commits)
        await controller.close()
    if len(late) < pieces * 0.9:
        raise RuntimeError(f"of {pieces} pieces only {len(late)} were seen")
    late.sort()
    found = {
        "p50_ms": late[len(late) // 2] * 1000,
        "p95_ms": late[len(late) * 95 // 100] * 1000,
        "commits": before_last,
    }
    print(json.dumps(found))


async def _watch(
    controller: Controller, name: str, commits: Any = lambda: 0
) -> tuple[list[float], int]:
    """How late each piece is, and how many commits there were from the first to the last."""
    late: list[float] = []
    first = last = 0
    rest = ""
    with controller.watching(name) as watcher:
        await controller.start(name, "", "asks", RunOptions(), "bench")
        async for page in controller.log.tail(name, 0, watcher.wake):
            now = time.monotonic()
            for delta in watcher.take_deltas():
                first = first if late else commits()
                last = commits()
                *whole, rest = (rest + delta.text).split(" ")
                late += [now - float(sent) for sent in whole]
            if any(_ends(record) for record in page):
                return late, last - first
    raise RuntimeError("the log was closed")


def _ends(record: Record) -> bool:
    if record.kind == "run.failed":
        raise RuntimeError(record.event().run_failed.error.message)
    return record.kind == "run.completed"


@contextmanager
def _provider(pieces: int) -> Iterator[str]:
    process = subprocess.Popen(
        command("deltas", "serve", pieces), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


async def serve(pieces: int) -> None:
    """Answer every request with that many pieces."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD)
        for _ in range(pieces):
            writer.write(_chunk({"content": f"{time.monotonic():.6f} "}))
            await writer.drain()
            await asyncio.sleep(INTERVAL)
        writer.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "ticking",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
