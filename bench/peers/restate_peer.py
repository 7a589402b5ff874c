"""What a durable step costs in Restate: its server, and a service in this process."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import restate
from meter import WARM_UP_STEPS, Job, Meter, check_results, parse_job

DURABILITY = "RocksDB log, WAL fsynced before an append is acknowledged"
START_TIMEOUT_S = 60
RUN_TIMEOUT_S = 600

# The listeners default to every interface and the fsync to on. Both are said all the same, since
# the numbers depend on the one, and what may reach this machine on the other.
SERVER_CONFIG = """
disable-telemetry = true
listen-mode = "tcp"
bind-ip = "127.0.0.1"
bind-port = {fabric}
advertised-address = "http://127.0.0.1:{fabric}"
base-dir = "{data}"

[admin]
bind-address = "127.0.0.1:{admin}"

[ingress]
bind-address = "127.0.0.1:{ingress}"

[bifrost]
default-provider = "replicated"

[log-server]
rocksdb-disable-wal-fsync = false
"""

bench = restate.Service("Bench")


def answer(number: int) -> int:
    return number


@bench.handler()
async def run(context: restate.Context, steps: int) -> int:
    last = 0
    for number in range(1, steps + 1):
        last = await context.run_typed("step", answer, number=number)
    return last


@dataclass(frozen=True)
class Ports:
    ingress: int
    admin: int
    fabric: int
    service: int


def free_ports() -> Ports:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return Ports(*ports)


def server_binary() -> Path:
    packages = Path(sys.prefix).parent / "node_modules" / "@restatedev"
    binary = next(packages.glob("restate-server-*/bin/restate-server"), None)
    if binary is None:
        raise SystemExit(f"no restate-server under {packages}")
    return binary


def post(url: str, body: Any, timeout: float) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return json.load(response)


def serve_in_background(port: int) -> None:
    # In a thread, since on the main one the SDK would take SIGTERM away from us.
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None

    async def serve() -> None:
        app: Any = restate.app([bench])
        never = asyncio.Event()
        await hypercorn.asyncio.serve(app, config, shutdown_trigger=never.wait)

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()


@contextmanager
def running_server(folder: Path, ports: Ports) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "restate.toml"
    fields = {"ingress": ports.ingress, "admin": ports.admin, "fabric": ports.fabric}
    config.write_text(SERVER_CONFIG.format(data=folder / "data", **fields))
    command = [str(server_binary()), "--no-logo", "--config-file", str(config)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield server
    finally:
        # What it has acknowledged is on the disk, and the folder goes away: no need to be gentle.
        server.kill()
        server.wait()


def register(server: subprocess.Popen[bytes], ports: Ports, log: Path) -> None:
    deployment = {"uri": f"http://127.0.0.1:{ports.service}"}
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            post(f"http://127.0.0.1:{ports.admin}/deployments", deployment, timeout=10)
            return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"restate-server did not start: {error}\n{tail}") from error
            time.sleep(0.1)


def take_runs(ports: Ports, runs: int, steps: int) -> list[int]:
    url = f"http://127.0.0.1:{ports.ingress}/Bench/run"
    pool = ThreadPoolExecutor(runs)
    try:
        return list(pool.map(lambda _: post(url, steps, RUN_TIMEOUT_S), range(runs)))
    finally:
        # On SIGTERM the calls under way end when the server does, which has to come after this.
        pool.shutdown(wait=False)


def count_fsyncs(ports: Ports) -> int:
    # The server's own count: strace halves its speed, and how many appends share a sync with it.
    with urllib.request.urlopen(f"http://127.0.0.1:{ports.fabric}/metrics", timeout=30) as response:
        metrics = response.read().decode()
    counts = re.findall(r"^restate_rocksdb_wal_synced_total\{.*\} (\d+)$", metrics, re.MULTILINE)
    if not counts:
        raise SystemExit("restate-server's metrics have no restate_rocksdb_wal_synced_total")
    return sum(map(int, counts))


def versions() -> str:
    output = subprocess.check_output([server_binary(), "--version"], text=True)
    match = re.search(r"\d+\.\d+\.\d+\S*", output)
    return f"{match[0] if match else output.strip()} (sdk {version('restate-sdk')})"


def measure(job: Job, folder: Path) -> None:
    ports = free_ports()
    serve_in_background(ports.service)
    with running_server(folder, ports) as server:
        register(server, ports, folder / "server.log")
        take_runs(ports, job.runs, WARM_UP_STEPS)
        pids = (os.getpid(), server.pid)
        with Meter(job, pids, partial(count_fsyncs, ports)) as meter:
            results = take_runs(ports, job.runs, job.steps)
    check_results(job, results)
    meter.print_result("restate", versions(), DURABILITY)


def main() -> None:
    job = parse_job()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(dir=job.folder, ignore_cleanup_errors=True) as scratch:
        measure(job, Path(scratch))


if __name__ == "__main__":
    main()
