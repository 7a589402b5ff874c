"""Finding an agent by its name in Python."""

from __future__ import annotations

import importlib
import os
import sys
from operator import attrgetter

from axtui.agent import Agent


class NotLoaded(Exception):
    """There is no agent of that name."""


def load_agent(name: str) -> Agent:
    """The agent that "module:object" names. Raises NotLoaded."""
    module, _, attribute = name.partition(":")
    # As `python -m` does: a module in the folder that axtui was started in can be named.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = attrgetter(attribute)(importlib.import_module(module))
    except (Exception, SystemExit) as error:
        raise NotLoaded(f"{type(error).__name__}: {error}") from error
    if not isinstance(found, Agent):
        raise NotLoaded(
            f"it is a {type(found).__name__}, not an agent: "
            "decorate the async function with `@agent` from axtui.agent"
        )
    return found
