"""What is imported: when, and by whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import axtui
import axtui.client

from .harness import Cli, environment, here

pytestmark = here

PACKAGE = Path(axtui.__file__).parent
HEAVY = {"grpc", "textual", "pydantic", "pydantic_core", "yaml", "rich", "mcp", "psycopg"}
ASYNC = {"asyncio", "argparse", "google.protobuf", "sqlite3", "axtui.client", "importlib.metadata"}


def imported(cli: Cli, *args: str) -> set[str]:
    """The modules that a command has imported when it is done."""
    code = (
        "import sys; from axtui.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env=environment(AXTUI_DATA_DIR=str(cli.data_dir)),
        cwd=cli.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines())


def test_help_imports_next_to_nothing(cli: Cli) -> None:
    assert not imported(cli, "--help") & (HEAVY | ASYNC)
    assert not imported(cli, "frobnicate") & (HEAVY | ASYNC)


@pytest.mark.parametrize(
    "args",
    [
        ("exec", "--agent", "shell", "--input", "true"),
        ("list",),
        ("show", "nobody"),
        ("exec", "--help"),
        ("completion", "bash"),
        ("agents",),
        ("tools",),
        ("actors",),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_a_pipe_without_a_configuration_needs_nothing_heavy(
    cli: Cli, args: tuple[str, ...]
) -> None:
    assert not imported(cli, *args) & HEAVY


def imports(file: Path) -> set[str]:
    """The modules of ours, and of asyncio, that a file imports anywhere, types aside."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports from a relative name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            found.add(str(node.module))
    return {name for name in found if name.partition(".")[0] in ("axtui", "asyncio")}


def rooms(folder: str) -> list[tuple[Path, set[str]]]:
    """The files of a room that exists, with what they import."""
    return [(file, imports(file)) for file in sorted((PACKAGE / folder).rglob("*.py"))]


def within(name: str, *allowed: str) -> bool:
    return name == "axtui" or any(name == room or name.startswith(f"{room}.") for room in allowed)


def test_the_model_stands_alone() -> None:
    for file, found in rooms("model"):
        bad = {name for name in found if not within(name, "axtui.v1", "axtui.model")}
        assert not bad, f"{file} imports {bad}"


def test_the_runtime_knows_no_front_end() -> None:
    fronts = ("axtui.cli", "axtui.screens", "axtui.widgets", "axtui.app", "axtui.client")
    for file, found in rooms("runtime"):
        bad = {name for name in found if within(name, *fronts)} - {"axtui"}
        assert not bad, f"{file} imports {bad}"


@pytest.mark.parametrize("folder", ["cli", "screens", "widgets"])
def test_front_ends_know_one_door(folder: str) -> None:
    for file, found in rooms(folder):
        bad = {name for name in found if within(name, "axtui.runtime", "axtui.remote")} - {"axtui"}
        assert not bad, f"{file} imports {bad}"
        door = {name.partition("axtui.client.")[2] for name in found} - {""}
        assert door <= set(axtui.client.__all__), f"{file} takes {door} from the client"


def test_the_door_has_what_it_says() -> None:
    assert all(hasattr(axtui.client, name) for name in axtui.client.__all__)
