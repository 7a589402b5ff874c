"""Installs the peers that axtui is compared with, each into a folder of its own, and runs them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INSTALL_TIMEOUT_S = 900
RUN_TIMEOUT_S = 900
STAMP = "installed.json"


@dataclass(frozen=True)
class Pins:
    pip: tuple[str, ...]
    npm: tuple[str, ...] = ()


PINS = {
    "dbos": Pins(pip=("dbos==3.4.0",)),
    "langgraph": Pins(pip=("langgraph==1.2.22", "langgraph-checkpoint-sqlite==3.1.2")),
    "restate": Pins(
        pip=("restate-sdk==1.3.0", "hypercorn==0.18.0"),
        npm=("@restatedev/restate-server@1.7.12",),
    ),
}

SYNC_CALLS = "trace=fsync,fdatasync"
STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-e", SYNC_CALLS)


def install(peer: str, cache: Path) -> list[str]:
    """Installs a peer into cache/<peer>, if it is not there yet: the start of its command."""
    pins = PINS[peer]
    home = cache.resolve() / peer
    python = home / "venv" / "bin" / "python"
    wanted = json.dumps({"python": sys.version, **asdict(pins)})
    stamp = home / STAMP
    if not stamp.is_file() or stamp.read_text() != wanted:
        # The stamp comes last, so that an install cut short is begun again from nothing.
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        _call([sys.executable, "-m", "venv", str(home / "venv")])
        _call([str(python), "-m", "pip", "install", "--quiet", "--no-input", *pins.pip])
        if pins.npm:
            _call(_npm_install(home, pins.npm))
        stamp.write_text(wanted)
    return [str(python)]


def run_peer(peer: str, workload: str, runs: int, steps: int, cache: Path) -> dict[str, Any] | None:
    """What one workload costs in a peer; None, and a line that says why, if it can't be had."""
    try:
        command = [*install(peer, cache), str(HERE / f"{peer}_peer.py"), "--workload", workload]
        # In the cache, not in /tmp: that is memory on many machines, where an fsync is free.
        with tempfile.TemporaryDirectory(dir=cache, prefix=f"{peer}-run-") as folder:
            command += ["--runs", str(runs), "--steps", str(steps), "--dir", folder]
            result = _measure(command)
            if result["fsyncs_per_step"] is None:
                result["fsyncs_per_step"] = _count_fsyncs(command, Path(folder))
            return result
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"{peer}: skipped: {_reason(error)}", file=sys.stderr)
        return None


def _npm_install(home: Path, packages: Sequence[str]) -> list[str]:
    # No scripts: the server's binary is in its package, and the only script reports downloads.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    return ["npm", "install", "--prefix", str(home), *options, *packages]


def _call(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)


def _measure(command: Sequence[str]) -> dict[str, Any]:
    # A session of its own, so that whatever a peer starts can be ended with it.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=RUN_TIMEOUT_S)
    finally:
        _end_group(process)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    result: dict[str, Any] = json.loads(output)
    return result


def _end_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _count_fsyncs(command: Sequence[str], folder: Path) -> float | None:
    # In a run of its own, since being watched takes time.
    if shutil.which("strace") is None:
        return None
    log = folder / "strace.log"
    log.touch()
    try:
        result = _measure([*STRACE, "-o", str(log), *command, "--fsync-log", str(log)])
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    count: float | None = result["fsyncs_per_step"]
    return count


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        last = lines[-1] if lines else "it said nothing"
        return f"{Path(error.cmd[0]).name} ended with status {error.returncode}: {last}"
    return str(error)
