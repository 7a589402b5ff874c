"""Who imports Textual, and what the first picture needs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import axtui

PACKAGE = Path(axtui.__file__).parent
# What the UI draws first with; the client comes after.
FIRST = ("axtui.cli.ui_command", "axtui.app", "axtui.screens.runs")
LATER = ("google", "grpc", "pydantic", "yaml", "watchfiles", "sqlite3", "axtui.client", "axtui.v1")


def test_only_the_ui_imports_textual() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path == PACKAGE / "app.py" or path.parent.name in ("screens", "widgets"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [name for name in names if name.partition(".")[0] == "textual"], path


def test_the_first_picture_needs_no_client() -> None:
    code = f"import sys, {', '.join(FIRST)}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.startswith(tuple(f"{part}." for part in LATER))}
    assert not loaded.intersection(LATER)
