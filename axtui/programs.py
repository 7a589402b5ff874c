"""How programs of our own are started."""

from __future__ import annotations

import sys


def program(module: str) -> tuple[str, ...]:
    """What runs a module of axtui as a process of its own."""
    # -P: a file in the current folder, where agents write, must not stand in for what Python or
    # axtui need.
    return sys.executable, "-P", "-m", module
