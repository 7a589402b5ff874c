"""Which agents, tools and models there are."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

from axtui.agent import Agent, Tool
from axtui.runtime.config import Agent as AgentConfig
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused
from axtui.runtime.loading import NotLoaded, load_agent

# One that is loaded here, or one that is run in a process of its own.
Registered: TypeAlias = Agent | AgentConfig


class Registry:
    """Agents, and the tools and models that those here bring along, by name."""

    def __init__(self, agents: Iterable[Registered] = ()) -> None:
        self.agents: dict[str, Registered] = {}
        self.tools: dict[str, Tool] = {}
        self.models: dict[str, Tool] = {}
        for agent in agents:
            self.add(agent)

    def add(self, agent: Registered) -> None:
        """Register an agent; a later one of the same id takes the place of an earlier."""
        self.agents[agent.id] = agent
        if isinstance(agent, Agent):
            self.tools.update({tool.name: tool for tool in agent.tools})
            self.models.update({model.name: model for model in agent.models})

    def agent(self, agent_id: str) -> Registered:
        """The agent of that id. Raises Refused, naming those there are."""
        if agent_id not in self.agents:
            known = ", ".join(sorted(self.agents))
            raise Refused("usage", f"there is no agent {agent_id!r}", f"there are {known}")
        return self.agents[agent_id]

    def find(self, kind: str, name: str) -> Tool | None:
        """The tool or model of that name."""
        return (self.tools if kind == "tool" else self.models).get(name)


def load_registry(config: Config) -> Registry:
    """The built-in agents and those of the configuration. Raises Refused for a broken one of those
    that run in this process."""
    from axtui.runtime.agents import BUILT_IN

    registry = Registry(BUILT_IN)
    for entry in config.known_agents:
        registry.add(loaded(entry) if entry.isolation == "inline" else entry)
    return registry


def loaded(entry: AgentConfig) -> Agent:
    """The agent of an entry of the configuration. Raises Refused if it is broken."""
    try:
        found = load_agent(entry.python)
    except NotLoaded as error:
        raise not_loaded(entry, str(error)) from error
    description = entry.description or found.description
    timeout = entry.timeout if entry.timeout is not None else found.timeout
    return replace(found, id=entry.id, description=description, timeout=timeout)


def not_loaded(entry: AgentConfig, why: str) -> Refused:
    """What is said of an agent that can't be run."""
    if entry.python:
        what, key = f"can't be loaded from {entry.python!r}", "python"
    elif entry.command:
        what, key = f"can't be started with {shlex.join(entry.command)!r}", "command"
    else:
        what, key = f"can't be called at {entry.address!r}", "address"
    return Refused(
        "usage",
        f"agent {entry.id!r} {what}: {why}",
        f"check `{key}:` in the configuration and the folder axtui is started in",
    )
