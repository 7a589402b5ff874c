"""What is shipped, and what others may import."""

import ast
import inspect
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TypeVar

import pytest

import axtui.agent

ROOT = Path(__file__).resolve().parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

# What each room may import of ours, beside itself. `v1` and `ax` are generated code.
ROOMS = {
    "v1": set(),
    "ax": set(),
    "model": {"v1"},
    # The type of what a stream is made of.
    "model.streams": {"model", "v1", "runtime"},
    # It serves agents with what the runtime has, if it is asked to.
    "agent": {"model", "runtime.actors.agent_server"},
    "runtime.actors.agent_server": {"model", "v1", "agent", "rpc", "runtime"},
    "runtime.eventlog": {"model", "v1"},
    # What keys there are, and what they call: data, which a configuration is checked against.
    "ui.actions": set(),
    "ui.keymaps": {"ui.actions"},
    "programs": set(),
    "runtime": {"model", "v1", "ax", "agent", "rpc", "programs", "ui.keymaps"},
    "remote.door": {"runtime"},
    "remote.background": {"runtime", "programs"},
    "remote.messages": {"model", "v1", "agent", "runtime"},
    "remote.addresses": {"runtime"},
    "remote.credentials": {"runtime"},
    "remote.diagnosis": {"remote.addresses", "remote.credentials"},
    "remote.dialing": {"rpc", "runtime", "remote.messages", "remote.background", "remote.door"}
    | {"remote.addresses", "remote.credentials", "remote.diagnosis"},
    "remote.roles": {"model"},
    "remote.client": {"model", "v1", "rpc", "runtime", "remote.messages", "remote.door"}
    | {"remote.roles"},
    "host": {"runtime", "remote.background", "remote.door"},
    "local": {"model", "v1", "runtime", "host"}
    | {"remote.client", "remote.dialing", "remote.door"},
    "remote": {"model", "v1", "ax", "agent", "rpc", "runtime", "host", "local"},
    "rpc": {"remote"},
    "client": {"model", "v1", "runtime", "agent", "host", "local", "remote"},
    "ui": {"model", "v1", "client"},
    "widgets": {"model", "v1", "client", "ui", "app"},
    "actors": {"model", "client"},
    "screens": {"model", "v1", "client", "actors", "ui", "widgets", "app"},
    "app": {"model", "client", "ui", "widgets", "screens"},
    "cli": {"model", "v1", "client", "actors", "app", "programs", "web"},
    "web": {"client"},
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"axtui", f"axtui-{VERSION}.dist-info"}
    shipped = {name for name in names if name.startswith("axtui/")}
    assert shipped >= {
        "axtui/py.typed",
        "axtui/themes/axtui.toml",
        "axtui/ax/ax_pb2.py",
        "axtui/ax/ax_pb2.pyi",
        "axtui/ax/content_pb2.py",
        "axtui/ax/content_pb2.pyi",
        "axtui/v1/event_pb2.py",
        "axtui/v1/event_pb2.pyi",
        "axtui/v1/state_pb2.py",
        "axtui/v1/state_pb2.pyi",
    }
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "axtui").rglob("*.py")}
    assert sources <= shipped
    assert [name for name in shipped if "test" in name.lower()] == []


def test_the_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "AXTUI_DATA_DIR": "data"}

    def axtui(*arguments: str) -> str:
        code = "import sys; from axtui.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert axtui("--version") == f"axtui {VERSION}\n"
    assert "exec" in axtui("--help")
    assert "\ntwo\n" in axtui("exec", "--agent", "shell", "--input", "echo one\necho two")
    where = "import axtui.cli.theme as theme; theme.load_styles(); print(theme.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert Path(found.stdout).is_relative_to(tmp_path)


def test_who_writes_an_agent_can_rely_on_these_names() -> None:
    public = {
        name
        for name, value in vars(axtui.agent).items()
        if getattr(value, "__module__", "") == "axtui.agent"
        and not name.startswith("_")
        and not isinstance(value, TypeVar)
    }
    assert public >= {
        *("Agent", "Call", "Context", "ONCE", "Retry", "StepFailed", "Tool", "ToolError"),
        *("agent", "call", "tool"),
    }


def test_who_writes_an_agent_can_rely_on_its_context() -> None:
    methods = {
        name: list(inspect.signature(method).parameters)[1:]
        for name, method in inspect.getmembers(axtui.agent.Context, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods == {
        "act": ["tool", "arguments"],
        "agent": ["agent", "input", "config"],
        "approve": ["question", "detail"],
        "ask": ["question", "choices"],
        "continue_with": ["state"],
        "emit": ["text", "thought", "internal"],
        "history": ["limit"],
        "model": ["model", "prompt", "options"],
        "now": [],
        "patched": ["name"],
        "random": [],
        "sleep": ["seconds"],
        "step": ["function", "args", "name", "effect", "timeout", "retry"],
        "told": [],
        "tool": ["tool", "arguments"],
        "tools": [],
    }
    fields = {"agent_id", "conversation_id", "input", "config", "state", "workspace"}
    assert fields <= set(axtui.agent.Context.__slots__)


def _room(module: str) -> str:
    name = module.removeprefix("axtui.")
    longest = sorted(ROOMS, key=len, reverse=True)
    return next((room for room in longest if name == room or name.startswith(f"{room}.")), "")


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("axtui"):
            deeper = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (
                deeper
                if node.module in ("axtui", "axtui.remote", "axtui.runtime", "axtui.ui")
                else {node.module or ""}
            )
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("axtui.")}
    return found


def test_imports_point_down() -> None:
    wrong = []
    for path in (ROOT / "axtui").rglob("*.py"):
        if path.name.endswith("_pb2.py"):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        room = _room(module)
        if not room:
            continue
        allowed = {*ROOMS[room], room}
        wrong += [
            f"{module} imports {name}"
            for name in _imported(path)
            if _room(name).partition(".")[0] not in allowed and _room(name) not in allowed
        ]
    assert wrong == []
