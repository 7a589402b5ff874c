"""Which agents, tools and models there are."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from axtui.agent import Agent, Tool
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused


class Registry:
    """Agents, and the tools and models that they bring along, by name."""

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        self.agents: dict[str, Agent] = {}
        self.tools: dict[str, Tool] = {}
        self.models: dict[str, Tool] = {}
        for agent in agents:
            self.add(agent)

    def add(self, agent: Agent) -> None:
        """Register an agent; a later one of the same id takes the place of an earlier."""
        self.agents[agent.id] = agent
        self.tools.update({tool.name: tool for tool in agent.tools})
        self.models.update({model.name: model for model in agent.models})

    def agent(self, agent_id: str) -> Agent:
        """The agent of that id. Raises Refused, naming those there are."""
        if agent_id not in self.agents:
            known = ", ".join(sorted(self.agents))
            raise Refused("usage", f"there is no agent {agent_id!r}", f"there are {known}")
        return self.agents[agent_id]

    def find(self, kind: str, name: str) -> Tool | None:
        """The tool or model of that name."""
        return (self.tools if kind == "tool" else self.models).get(name)


def load_registry(config: Config) -> Registry:
    """The built-in agents and those of the configuration. Raises Refused for a broken one."""
    from axtui.runtime.agents import BUILT_IN

    registry = Registry(BUILT_IN)
    for entry in config.agents:
        registry.add(loaded(entry))
    return registry


def loaded(entry: AgentConfig) -> Agent:
    """The agent of an entry of the configuration. Raises Refused if it is broken."""
    module_name, _, name = entry.python.partition(":")
    # As `python -m` does: a module in the folder that axtui was started in can be named.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = attrgetter(name)(importlib.import_module(module_name))
    except (Exception, SystemExit) as error:
        raise Refused(
            "usage",
            f"agent {entry.id!r} can't be loaded from {entry.python!r}: "
            f"{type(error).__name__}: {error}",
            "check `python:` in the configuration and the folder axtui is started in",
        ) from error
    if not isinstance(found, Agent):
        raise Refused(
            "usage",
            f"{entry.python!r} is a {type(found).__name__}, not an agent",
            "decorate the async function with `@agent` from axtui.agent",
        )
    description = entry.description or found.description
    timeout = entry.timeout if entry.timeout is not None else found.timeout
    return replace(found, id=entry.id, description=description, timeout=timeout)
