"""The terminal UI: its first frame, a run of a million events, and one that has ten thousand more
every second."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from axtui.runtime.eventlog import conversation, schema, writer
from bench.children import ROOT, call, command
from bench.setup import Setup, ratio
from bench.table import Table, Target

CONVERSATIONS, EVENTS = 10_000, 1_000_000
SECONDS = 60.0
STALL_SECONDS = 10.0
_ROUNDS = 5
_FRAME_SECONDS = 30.0


def measure(setup: Setup) -> Table:
    """The benchmark."""
    table = Table(f"screens: the terminal UI, {EVENTS:,} events in {CONVERSATIONS:,} conversations")
    store = _store(setup.cache)
    _first_frame(setup, table, store)
    _long_run(setup, table, store)
    _flood(setup, table)
    _stall(setup, table)
    return table


def _store(cache: Path) -> Path:
    sources = [Path(module.__file__ or "") for module in (conversation, schema, writer)]
    sources.append(ROOT / "bench" / "children" / "screens.py")
    key = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    home = cache / "stores" / key
    if not home.exists():
        unfinished = home.with_suffix(".new")
        subprocess.run(["rm", "-rf", str(home.parent)], check=True)
        unfinished.mkdir(parents=True)
        call(command("screens", "fill", unfinished, CONVERSATIONS, EVENTS))
        unfinished.rename(home)
    return home


# In a terminal


@contextmanager
def _terminal(argv: list[str]) -> Iterator[int]:
    """A program in a terminal of its own; the terminal's other end."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    try:
        yield terminal
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def _until_drawn(terminal: int, text: bytes) -> None:
    seen = b""
    end = time.monotonic() + _FRAME_SECONDS
    while text not in seen:
        if time.monotonic() > end or not select.select([terminal], [], [], 1.0)[0]:
            raise TimeoutError(f"{text!r} was not drawn")
        seen += os.read(terminal, 65536)


def _first_frame(setup: Setup, table: Table, store: Path) -> None:
    def seconds(argv: list[str]) -> float:
        began = time.perf_counter()
        with _terminal(argv) as terminal:
            _until_drawn(terminal, b"axtui")
            return time.perf_counter() - began

    def ui(folder: Path) -> Callable[[], float]:
        return lambda: seconds([sys.executable, "-m", "axtui", "--data-dir", str(folder)])

    empty, full, least = setup.interleave(
        ui(setup.folder("none")),
        ui(store),
        lambda: seconds(command("least_ui")),
        rounds=_ROUNDS,
    )
    for what, ours in (("nothing there", empty), ("the store", full)):
        table.add(
            f"first frame, {what}",
            f"{median(ours) * 1000:.0f} ms",
            f"the least of Textual: {median(least) * 1000:.0f} ms",
            ratio(ours, least),
            Target(1.3),
        )


# Where frames are timed


def _long_run(setup: Setup, table: Table, store: Path) -> None:
    def use(*what: object) -> dict[str, Any]:
        found: dict[str, Any] = call(command("screens", what[0], store, *what[1:]))
        return found

    long, empty, pages = setup.interleave(
        lambda: use("open", "long"), lambda: use("open", "empty"), lambda: use("scroll")
    )
    jumps = sorted(one for found in long for one in found["jump_ms"])
    figures = (
        ("opening the long run, to the frame", median(one["open_ms"] for one in long)),
        ("jumping to anywhere in it, median", jumps[len(jumps) // 2]),
        ("the same, p99", jumps[len(jumps) * 99 // 100]),
    )
    for what, figure in figures:
        table.add(what, f"{figure:.0f} ms", "", figure, Target(100, "ms"))
    ours, floor = ([one[side] for one in pages] for side in ("ours", "floor"))
    table.add(
        "CPU of a page down",
        f"{median(ours):.1f} ms",
        f"constant text: {median(floor):.1f} ms",
        ratio(ours, floor),
        Target(1.5),
    )
    growth = median(a["rss_mib"] - b["rss_mib"] for a, b in zip(long, empty, strict=True))
    table.add("memory beyond an empty run", f"{growth:.1f} MiB", "", growth, Target(40, "MiB"))


@contextmanager
def _source(folder: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command("screens", "source", folder, seconds),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def _begin(source: subprocess.Popen[str]) -> None:
    assert source.stdin is not None
    source.stdin.write("\n")
    source.stdin.flush()


def _taken(source: subprocess.Popen[str]) -> float:
    assert source.stdout is not None
    return float(json.loads(source.stdout.readline())["seconds"])


def _flood(setup: Setup, table: Table) -> None:
    with _source(setup.folder("alone"), SECONDS) as source:
        _begin(source)
        alone = _taken(source)
    folder = setup.folder("watched")
    with _source(folder, SECONDS) as source:
        ui = subprocess.Popen(
            command("screens", "watch", folder, SECONDS),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert ui.stdout is not None
        ui.stdout.readline()
        _begin(source)
        watched = _taken(source)
        found = json.loads(ui.stdout.readline())
        ui.communicate()
    rate = f"{EVENTS // 100:,}/s for {SECONDS:g} s"
    table.add(f"{rate}: the loop is late, p99", "", "", found["lag_p99_ms"], Target(50, "ms"))
    table.add("frames a second", "", "", found["frames"], Target(20, "/s", at_least=True))
    table.add("events missing from the list", "", "", found["missing"], Target(0, ""))
    table.add(
        "the run itself, watched",
        f"{watched:.1f} s",
        f"alone: {alone:.1f} s",
        watched / alone,
        Target(1.05),
    )


def _stall(setup: Setup, table: Table) -> None:
    """A terminal that nobody reads from, while a run goes on that it shows."""
    folder = setup.folder("stalled")
    with _source(folder, STALL_SECONDS) as source:
        argv = [sys.executable, "-m", "axtui", "--data-dir", str(folder)]
        with _terminal(argv) as terminal:
            _until_drawn(terminal, b"flood")
            os.write(terminal, b"\r")
            _until_drawn(terminal, b"timeline")
            _begin(source)
            taken = _taken(source)
    table.add(
        "a run whose terminal has stopped reading",
        f"{taken:.2f} s",
        f"as written: {STALL_SECONDS:.2f} s",
        taken / STALL_SECONDS,
        Target(1.05),
    )
