"""A process in the background that holds the lease of a log while there is something to drive."""

from __future__ import annotations

import subprocess
from pathlib import Path

from axtui.programs import program
from axtui.runtime.config import Config

# After which it ends if it has nothing to do.
IDLE_SECONDS = 10.0
_LOG = "background.log"
_MAX_SAID = 4000


class Background:
    """A process in the background that was started just now; what it says is in `path`, behind
    `start`."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path, start: int) -> None:
        self._process = process
        self._path = path
        self._start = start

    def failure(self) -> list[str]:
        """The lines of what it has ended with; none as long as it hasn't failed."""
        if not self._process.poll():
            return []
        with open(self._path, "rb") as said:
            said.seek(self._start)
            text = said.read(_MAX_SAID).decode(errors="replace")
        lines = [line.strip() for line in text.removeprefix("axtui: ").splitlines()]
        return lines or [f"it ended with status {self._process.returncode}"]


def start_background(config: Config) -> Background:
    """Start a process that takes the lease, drives what should be running and ends when idle.

    It does nothing if another one was faster. What it has to say is in a file beside the log.
    """
    command = [*program("axtui"), "serve", "--background", str(IDLE_SECONDS)]
    command += ["--data-dir", str(config.data_dir)]
    if config.path is not None:
        command += ["--config", str(config.path)]
    folder = config.log_path.parent
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(folder, _LOG)
    with open(path, "ab") as log:
        start = log.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        return Background(process, path, start)
