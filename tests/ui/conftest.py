"""What the tests of the screens share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.remote.conftest import served

__all__ = ["served"]

_MAKE = """
import sys
from axtui.cli import main
for name in sys.argv[2:]:
    run = ["exec", "--agent", "echo", "--input", "about " + name, "--conversation", name]
    assert main([*run, "--data-dir", sys.argv[1]]) == 0
"""

MakeRuns = Callable[..., None]


@pytest.fixture(scope="session")
def make_runs(tmp_path_factory: pytest.TempPathFactory) -> MakeRuns:
    """Puts a completed run of each name into a data directory, the last one the latest."""
    made: dict[tuple[str, ...], Path] = {}

    def make(data_dir: Path, *names: str) -> None:
        if names not in made:
            made[names] = tmp_path_factory.mktemp("runs")
            command = [sys.executable, "-c", _MAKE, str(made[names]), *names]
            subprocess.run(command, check=True, capture_output=True)
        shutil.copytree(made[names], data_dir)

    return make


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person who runs the tests is read, or written."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual's pilot looks for a process that does next to nothing for 20 ms, which one that
    follows a log doesn't come to: here it looks ten times as often, for half of the time."""
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 0.002)
    monkeypatch.setattr("textual._wait.SLEEP_IDLE", 0.001)
