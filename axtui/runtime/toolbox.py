"""What the steps of a run can call by name: tools and models, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axtui.agent import Retry, Tool
from axtui.runtime.actors.models.actor import DEFAULT_MODEL, Models
from axtui.runtime.actors.roster import Roster
from axtui.runtime.actors.tools.actor import ToolServers
from axtui.runtime.agents import NOT_OFFERED
from axtui.runtime.config import Config
from axtui.runtime.registry import Registry

# More than that no model can choose from.
MAX_OFFERED = 500
_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "what it is to do, in full"}},
    "required": ["input"],
}


class Toolbox:
    """The tools of one controller."""

    def __init__(self, config: Config, registry: Registry, roster: Roster) -> None:
        self._registry = registry
        self._models = Models(roster, config.models)
        self.servers = ToolServers(roster, config.tools)

    def check_model(self) -> None:
        """Raise Refused, saying what would do, if no model can be asked."""
        self._models.check()

    async def find(self, type: str, name: str) -> Tool | None:
        """The tool or model of that name."""
        if type == "model":
            known = self._registry.models.get(name)
            return known or (self._models.tool(name) if _is_model(name) else None)
        if name == "tools":
            return Tool(name, self._offered, effect="readonly", retry=Retry())
        return self._registry.tools.get(name) or await self.servers.find(name)

    async def _offered(self) -> list[dict[str, Any]]:
        """What models can be told of each tool."""
        # Whoever wants to know is about to ask a model.
        self._models.warm()
        agents = [a for a in self._registry.agents.values() if a.id not in NOT_OFFERED]
        tools = [*self._registry.tools.values(), *await self.servers.all()]
        return [
            *(
                {**_described(agent.id, agent.description, _INPUT), "agent": True}
                for agent in agents
            ),
            *(
                {**_described(tool.name, tool.description, tool.schema), "effect": tool.effect}
                for tool in tools[:MAX_OFFERED]
            ),
        ]


def _described(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": description, "schema": dict(schema)}


def _is_model(name: str) -> bool:
    return name == DEFAULT_MODEL or ":" in name
