"""What the steps of a run can call by name: tools and models, wherever they come from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from axtui.agent import ActorError, Retry, Tool, ToolError
from axtui.runtime.actors.agent_processes import described
from axtui.runtime.actors.environment import Environment
from axtui.runtime.actors.models.actor import Models
from axtui.runtime.actors.models.providers import DEFAULT_MODEL
from axtui.runtime.actors.roster import Roster
from axtui.runtime.actors.tools.actor import ToolServers
from axtui.runtime.actors.workspace_tools import WORKSPACE_TOOLS
from axtui.runtime.agents import BUILT_IN, NOT_OFFERED, WITH_MODEL
from axtui.runtime.config import Config
from axtui.runtime.errors import Refused
from axtui.runtime.registry import Registered, Registry
from axtui.runtime.skills.actor import Skills

# More than that no model can choose from.
MAX_OFFERED = 500
# What the demonstration brings along is for itself alone.
_DEMO = [tool for agent in BUILT_IN for tool in agent.tools]
_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "what it is to do, in full"}},
    "required": ["input"],
}


class Toolbox:
    """The tools of one controller."""

    def __init__(self, config: Config, registry: Registry, roster: Roster) -> None:
        self._registry = registry
        self._redact = roster.redact
        self._agents: dict[str, Registered] = {}
        self._models = Models(roster, config.models)
        self.environment = Environment(config.environment, hidden=config.own_paths)
        self.servers = ToolServers(roster, config)
        self.skills = Skills(config.skill_paths, Path.cwd(), self.environment.unprotected)

    def check_model(self, name: str) -> None:
        """Raise Refused, saying what would do, if a model can't be asked."""
        if name not in self._registry.models:
            self._models.check(name)

    async def find(self, type: str, name: str) -> Tool | None:
        """The tool or model of that name."""
        if type == "model":
            known = self._registry.models.get(name)
            return known or (self._models.tool(name) if _is_model(name) else None)
        if name == "tools":
            return Tool(name, self._offered, effect="readonly", retry=Retry())
        return (
            self._registry.tools.get(name)
            or await self._workspace_tool(name)
            or await self.skills.find(name)
            or await self.servers.find(name)
        )

    async def all(self) -> list[tuple[str, Tool]]:
        """All tools, each with where it is from: agents, workspace, skills, or the name of its
        server."""
        workspace = [await self._workspace_tool(name) for name in WORKSPACE_TOOLS]
        return [
            *(("agents", tool) for tool in self._registry.tools.values() if tool not in _DEMO),
            *(("workspace", tool) for tool in workspace if tool),
            *(("skills", tool) for tool in await self.skills.all()),
            *((tool.name.partition(".")[0], tool) for tool in await self.servers.all()),
        ]

    async def _workspace_tool(self, name: str) -> Tool | None:
        tool = WORKSPACE_TOOLS.get(name)
        if tool is None:
            return None
        if name == "shell":
            return replace(tool, unprotected=await self.environment.unprotected())
        return tool if tool.effect == "readonly" else replace(tool, diff=partial(self._diff, name))

    def _diff(self, name: str, arguments: Mapping[str, Any], workspace: str) -> str:
        try:
            return self.environment.files(workspace).diff(name, arguments)
        except ToolError as error:
            return f"It would fail: {error}"

    async def _offered(self) -> list[dict[str, Any]]:
        """What models can be told of each tool and agent, and which servers have failed."""
        if DEFAULT_MODEL not in self._registry.models:
            # Whoever wants to know is about to ask a model.
            self._models.warm()
        agents = [a for a in self._registry.agents.values() if a.id not in NOT_OFFERED]
        return [
            *await asyncio.gather(*map(self._offered_agent, agents)),
            *(
                {**_described(tool.name, tool.description, tool.schema), "effect": tool.effect}
                for _, tool in (await self.all())[:MAX_OFFERED]
            ),
            *(
                {"name": name, "error": state["error"]}
                for name, state in self.servers.states.items()
                if state["state"] == "failed"
            ),
        ]

    async def _offered_agent(self, agent: Registered) -> dict[str, Any]:
        if not agent.description and agent.id not in self._agents:
            try:
                self._agents[agent.id] = await described(agent, self._redact)
            except (Refused, ActorError) as error:
                return {"name": agent.id, "agent": True, "error": str(error)}
        known = self._agents.get(agent.id, agent)
        what = _described(known.id, known.description, _INPUT)
        return {**what, "agent": True, "model": agent.id in WITH_MODEL}


def _described(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": description, "schema": dict(schema)}


def _is_model(name: str) -> bool:
    return name == DEFAULT_MODEL or ":" in name
