"""Serves the agents of modules: `python -m tests.runtime.actors.served ADDRESS MODULE …`."""

from __future__ import annotations

import importlib
import sys

from axtui.agent import Agent


def main(address: str, *modules: str) -> None:
    found = [value for name in modules for value in vars(importlib.import_module(name)).values()]
    first, *others = [value for value in found if isinstance(value, Agent)]
    first.serve(address, beside=others)


if __name__ == "__main__":
    main(*sys.argv[1:])
