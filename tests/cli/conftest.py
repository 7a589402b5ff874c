"""What the tests of the command line share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Cli

_SAMPLES = ("asker", "chooser", "gate", "hanger", "pair", "stubborn", "talker")
_INLINE = ("inline_hanger", "inline_stubborn")


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """A shell starts what runs in the background with Ctrl+C ignored, which children inherit."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=["local"])
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """The command line on a log of its own, in a folder of its own."""
    for name in list(os.environ):
        # Keys of models among them.
        if name.startswith("AXTUI_") or name.endswith("_KEY") or name in ("NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield Cli(tmp_path)


@pytest.fixture
def samples(cli: Cli, request: pytest.FixtureRequest) -> Iterator[Cli]:
    """The same with the sample agents configured."""
    module = f"samples_{abs(hash(request.node.nodeid))}"
    shutil.copy(Path(__file__).with_name("sample_agents.py"), cli.folder / f"{module}.py")
    agents = "\n".join(
        [f'  - {{id: {name}, python: "{module}:{name}"}}' for name in _SAMPLES]
        + [f'  - {{id: {name}, python: "{module}:{name}", isolation: inline}}' for name in _INLINE]
    )
    (cli.folder / "axtui.yaml").write_text(f"agents:\n{agents}\n")
    yield cli
    sys.modules.pop(module, None)
