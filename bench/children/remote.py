"""A server with a long log beside bare gRPC with the same bytes, and those who read from them.

`remote serve FOLDER EVENTS` prints its address, and that of the bare one. `remote catch-up ADDRESS
WHAT EVENTS` prints the events a second of one who reads them all: as `watch` does, one a message,
or as bytes that nobody looks into. `remote fan-out ADDRESS NAME AFTER WATCHERS` watches a run until
it ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc.aio

from axtui.agent import Context, agent
from axtui.client import connect
from axtui.local import LocalClient
from axtui.model.events import Draft, Record
from axtui.remote.client import RemoteClient
from axtui.remote.dialing import OPTIONS, Elsewhere
from axtui.remote.server import Server
from axtui.runtime.config import Config
from axtui.v1 import event_pb2 as pb

SIZE = 500
BATCH = 1000
# Events of a blob: as live batches have them, and as messages that are as large as ours or larger.
BLOB, PAGE = 100, 2000
PAUSE = 1 / 500


@agent
async def paced(ctx: Context) -> float:
    """Says as much as `config` wants, 500 times a second; how long that took."""
    began = time.monotonic()
    for number in range(ctx.config):
        await ctx.emit(f"{number} " + "x" * (SIZE - 200))
        await asyncio.sleep(PAUSE)
    return time.monotonic() - began


async def serve(folder: Path, events: int) -> None:
    """Until it is killed."""
    client = connect(Config(data_dir=folder))
    assert isinstance(client, LocalClient)
    host = await client.hold()
    host.controller._registry.add(paced)
    conversation = await host.log.conversation("long", create=True)
    note = pb.Note(text="x" * (SIZE - 190))
    for start in range(0, events, BATCH):
        await conversation.append(*(Draft(note) for _ in range(min(BATCH, events - start))))
    server = Server(client)
    stored: list[bytes] = []
    while page := await host.log.read("long", after=len(stored), limit=PAGE):
        stored += [record.data for record in page]
    [address] = await server.start(["127.0.0.1:0"])
    bare = grpc.aio.server(options=[("grpc.max_send_message_length", 64 << 20)])
    bare.add_generic_rpc_handlers((_floor(stored),))
    floor = f"127.0.0.1:{bare.add_insecure_port('127.0.0.1:0')}"
    await bare.start()
    size = sum(map(len, stored)) / len(stored)
    print(json.dumps({"address": address, "floor": floor, "size": size}), flush=True)
    await asyncio.Event().wait()


def _floor(stored: list[bytes]) -> grpc.GenericRpcHandler:
    async def single(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for data in stored:
            yield data

    def blobs(size: int) -> grpc.RpcMethodHandler:
        async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
            for start in range(0, len(stored), size):
                yield b"".join(stored[start : start + size])

        return grpc.unary_stream_rpc_method_handler(stream)

    handlers = {
        "Single": grpc.unary_stream_rpc_method_handler(single),
        "Blobs": blobs(BLOB),
        "Pages": blobs(PAGE),
    }
    return grpc.method_handlers_generic_handler("Floor", handlers)


async def catch_up(address: str, what: str, events: int) -> float:
    """Events a second."""
    if what == "watch":
        client = RemoteClient(Elsewhere(address))
        await client.holder()
        began = time.monotonic()
        seen = 0
        async with aclosing(client.watch("long", 0)) as pages:
            async for page in pages:
                seen += len(page)
                if seen >= events:
                    break
        taken = time.monotonic() - began
        await client.close()
        return events / taken
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        await channel.channel_ready()
        began = time.monotonic()
        seen = 0
        async for message in channel.unary_stream(f"/Floor/{what}")(b""):
            if what == "Single":
                pb.Event.FromString(message)
        return events / (time.monotonic() - began)


async def fan_out(address: str, name: str, after: int, watchers: int) -> None:
    """Watch until the run ends, over a connection for each."""
    OPTIONS.append(("grpc.use_local_subchannel_pool", 1))

    async def watch() -> None:
        client = RemoteClient(Elsewhere(address))
        async with aclosing(client.watch(name, after)) as pages:
            async for page in pages:
                if any(isinstance(item, Record) and item.kind == "run.completed" for item in page):
                    break
        await client.close()

    watching = [asyncio.create_task(watch()) for _ in range(watchers)]
    await asyncio.sleep(1)
    print("ready", flush=True)
    await asyncio.gather(*watching)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", folder, events]:
            asyncio.run(serve(Path(folder), int(events)))
        case ["catch-up", address, what, events]:
            print(json.dumps(asyncio.run(catch_up(address, what, int(events)))))
        case ["fan-out", address, name, after, watchers]:
            asyncio.run(fan_out(address, name, int(after), int(watchers)))
