"""A process in the background that holds the lease of a log while there is something to drive."""

from __future__ import annotations

import subprocess
from pathlib import Path

from axtui.programs import program
from axtui.runtime.config import Config

# After which it ends if it has nothing to do.
IDLE_SECONDS = 10.0
_LOG = "background.log"


def start_background(config: Config) -> None:
    """Start a process that takes the lease, drives what should be running and ends when idle.

    It does nothing if another one was faster. What it has to say is in a file beside the log.
    """
    command = [*program("axtui"), "serve", "--background", str(IDLE_SECONDS)]
    command += ["--data-dir", str(config.data_dir)]
    if config.path is not None:
        command += ["--config", str(config.path)]
    folder = config.log_path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with open(Path(folder, _LOG), "ab") as log:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
