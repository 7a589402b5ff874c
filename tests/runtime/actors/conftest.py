"""Environments, and a way to find whatever their commands leave behind."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axtui.runtime import config
from axtui.runtime.actors.environment import Environment
from axtui.runtime.actors.sandbox import find_sandbox

SECONDS = 30.0
MARK = "AXTUI_TEST_MARK"


class Place:
    """An environment, a workspace of its own, and a mark on all that runs there."""

    def __init__(self, environment: Environment, workspace: Path) -> None:
        self.environment = environment
        self.workspace = workspace
        self.mark = uuid.uuid4().hex

    async def run(self, command: str, **options: Any) -> dict[str, Any]:
        """What a command gives."""
        options.setdefault("workspace", str(self.workspace))
        return await self.environment.run(command, variables={MARK: self.mark}, **options)

    async def output(self, command: str, **options: Any) -> str:
        """What a command says that has to succeed."""
        done = await self.run(command, **options)
        assert done["exit_status"] == 0, done
        return str(done["output"])

    async def refused(self, command: str, **options: Any) -> str:
        """What a command says that has to fail."""
        done = await self.run(command, **options)
        assert done["exit_status"] != 0, done
        return str(done["output"])

    def left(self) -> list[str]:
        """Processes of this place that live, other than this one: their command lines."""
        return marked(self.mark)


def marked(mark: str) -> list[str]:
    """The living processes that have a mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            if f"{MARK}={mark}".encode() in environment and int(process.name) != os.getpid():
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def wait_until_gone(mark: str) -> None:
    """Wait until no process has that mark."""
    started = time.monotonic()
    while left := marked(mark):
        assert time.monotonic() - started < SECONDS, left
        time.sleep(0.01)


MakePlace = Callable[..., Place]


@pytest.fixture
def sandbox() -> None:
    """Skips where there can't be a sandbox."""
    if isinstance(reason := find_sandbox(), str):
        pytest.skip(f"there is no sandbox here: {reason}")


@pytest.fixture
def make_place(tmp_path: Path, request: pytest.FixtureRequest) -> MakePlace:
    """Makes places of settings."""

    def make(hidden: tuple[str, ...] = (), **settings: Any) -> Place:
        if settings.get("sandbox") == "bubblewrap":
            request.getfixturevalue("sandbox")
        workspace = tmp_path / "workspace"
        workspace.mkdir(exist_ok=True)
        settings.setdefault("limits", config.Limits(time=SECONDS))
        return Place(Environment(config.Environment(**settings), hidden), workspace)

    return make


@pytest.fixture
def place(make_place: MakePlace) -> Place:
    """A place in a sandbox."""
    return make_place(sandbox="bubblewrap")


@pytest.fixture
async def python(place: Place) -> str:
    """A Python that commands in the sandbox can use."""
    found = await place.run("command -v python3 && python3 -c 'import ctypes'")
    if found["exit_status"]:
        pytest.skip("the sandbox shows no Python: there is none on the PATH outside of the home")
    return "python3"
