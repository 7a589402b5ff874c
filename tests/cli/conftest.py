"""What the tests of the command line share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from axtui.runtime.eventlog.lease import holder

from .harness import Cli, RemoteCli

_SAMPLES = (
    *("asker", "chooser", "commander", "gate", "hanger"),
    *("listener", "pair", "stubborn", "talker"),
)
_INLINE = ("inline_hanger", "inline_stubborn")


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """A shell starts what runs in the background with Ctrl+C ignored, and `nohup` with the end of
    the terminal ignored, which children inherit."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def warm() -> Iterator[subprocess.Popen[str]]:
    """What starts servers."""
    script = str(Path(__file__).with_name("warm_servers.py"))
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of a command is of it by itself, and by way of a server."""
    if "cli" in metafunc.fixturenames:
        here = metafunc.definition.get_closest_marker("here")
        metafunc.parametrize("cli", ["local"] if here else ["local", "remote"], indirect=True)


@pytest.fixture
def cli(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    """The command line on a log of its own, in a folder of its own: by itself, or by a server."""
    for name in list(os.environ):
        # Keys of models among them.
        if name.startswith("AXTUI_") or name.endswith("_KEY") or name in ("NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        if request.param == "local":
            yield Cli(tmp_path)
            pid = holder(tmp_path / "data" / "log.db")[0]
            if pid and pid != os.getpid():
                # One in the background, which may wait for somebody.
                os.kill(pid, signal.SIGKILL)
        else:
            remote = RemoteCli(tmp_path, request.getfixturevalue("warm"))
            yield remote
            remote.stop()


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
