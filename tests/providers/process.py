"""The server in a process of its own, for tests that run programs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(script: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """The URL of a server that says what a script tells it to, kept in `folder`."""
    file = folder / "script.json"
    file.write_text(json.dumps(script))
    command = [sys.executable, "-m", "tests.providers", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def release(url: str, name: str) -> None:
    """Let the turn go on that holds under that name."""
    urlopen(Request(f"{url}/release/{name}", method="POST")).close()
