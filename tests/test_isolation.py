"""A tool that floods, hangs, dies or lies: how its call ends, and that the controller stays small.

How little other runs notice of it `python -m bench isolation` measures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from axtui.runtime.actors.cut import LONGEST
from axtui.runtime.config import Limits
from bench.children import call, command

MAX_GROWTH_MIB = 50
STEPS = 20
_LONG = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("case", "ends"),
    [
        ("a tool sleeps for ever", {"failed": "timeout"}),
        ("a server exits", {"failed": "lost"}),
        ("a server sends no JSON-RPC", {"failed": "lost"}),
        ("a server sends 64 MiB", {"failed": "lost"}),
        pytest.param("a server sends 1024 MiB", {"failed": "lost"}, marks=_LONG),
    ],
)
def test_a_server_that_misbehaves_fails_one_call(
    tmp_path: Path, case: str, ends: dict[str, Any]
) -> None:
    found = call(command("isolation", tmp_path, case, STEPS, 1))
    assert found["ended"] == ends
    assert found["growth_mib"] < MAX_GROWTH_MIB


@pytest.mark.parametrize("mib", [64, pytest.param(1024, marks=_LONG)])
def test_of_a_command_that_prints_much_little_is_kept(tmp_path: Path, mib: int) -> None:
    found = call(command("isolation", tmp_path, f"a command prints {mib} MiB", STEPS, 1))
    limit = Limits().output
    # As much as a secret may be long is left out on either side of the cut.
    assert limit - 2 * LONGEST <= found["ended"]["kept"] <= limit + 1000
    assert found["growth_mib"] < MAX_GROWTH_MIB
