"""What there is to run with: agents, and what a model would be offered. Nothing is logged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from axtui.agent import ActorError, Request, Scope, Tool
from axtui.runtime.actors.agent_processes import described
from axtui.runtime.actors.models.faults import ModelFault
from axtui.runtime.actors.models.providers import DEFAULT_MODEL, named_model
from axtui.runtime.actors.roster import Roster
from axtui.runtime.actors.tools.actor import ToolServers
from axtui.runtime.agents import BUILT_IN, DEFAULT, WITH_MODEL
from axtui.runtime.config import Agent, Config
from axtui.runtime.errors import Refused
from axtui.runtime.policy import Rules, Verdict, foreseen, rules_of
from axtui.runtime.redaction import redactor
from axtui.runtime.registry import load_registry, loaded
from axtui.runtime.toolbox import Toolbox


class AgentInfo(NamedTuple):
    """An agent. `kind` is built-in, python, command or address, `model` is "provider:name" where it
    asks one by itself, `problem` says why it can't run now, empty if it can, and `address` where it
    is served, if it is elsewhere.
    """

    id: str
    kind: str
    description: str
    model: str = ""
    problem: str = ""
    address: str = ""


class ToolInfo(NamedTuple):
    """A tool that a model would be offered, from `source`: agents, workspace, skills, or the name
    of a server. `verdict` is what the policy says of a call by a model, `exceptions` what it says
    of some calls: by other agents, or with some arguments.
    """

    name: str
    source: str
    effect: str
    verdict: Verdict
    exceptions: list[Verdict]
    description: str


class ToolsInfo(NamedTuple):
    """The tools that there are, and by the names of servers `state` (ready or failed), `error`,
    `name` and `version`."""

    tools: list[ToolInfo]
    servers: dict[str, dict[str, str]]


class Offered(NamedTuple):
    """What servers offer beside tools, as `ToolHost` describes it, and by the names of servers
    why they could not be asked."""

    entries: list[dict[str, Any]]
    errors: dict[str, str]


async def list_agents(config: Config) -> list[AgentInfo]:
    """All agents that `--agent` can name; those that are served elsewhere are asked."""
    model, lack = _model(config)
    found = {}
    for agent in BUILT_IN:
        info = AgentInfo(agent.id, "built-in", agent.description)
        asks = agent.id in WITH_MODEL
        found[agent.id] = info._replace(model=model, problem=lack) if asks else info
    redact = redactor(config, os.environ).text
    infos = await asyncio.gather(*(_agent_info(agent, redact) for agent in config.known_agents))
    return list((found | {info.id: info for info in infos}).values())


async def list_tools(config: Config, server: str = "") -> ToolsInfo:
    """All tools, or those of one server. Raises Refused for one that there isn't, and ActorError
    if no server at all can be asked."""
    redact = redactor(config, os.environ).text
    rules = rules_of(config)
    async with unrecorded(config) as roster:
        if server:
            servers = ToolServers(roster, _only(config, server))
            found = [(server, tool) for tool in await servers.all()]
        else:
            toolbox = Toolbox(config, load_registry(config), roster)
            servers = toolbox.servers
            found = await toolbox.all()
    told = ("state", "error", "name", "version")
    return ToolsInfo(
        [_info(rules, source, tool) for source, tool in found],
        {name: {key: redact(state[key]) for key in told} for name, state in servers.states.items()},
    )


async def list_offered(
    config: Config, what: Literal["resources", "prompts"], server: str = ""
) -> Offered:
    """The resources or prompts of all servers, or of one. Raises as `list_tools` does."""
    redact = redactor(config, os.environ)
    async with unrecorded(config) as roster:
        servers = ToolServers(roster, _only(config, server))
        found = await (servers.resources() if what == "resources" else servers.prompts())
    errors = {name: why.removeprefix(f"{name}: ") for name, why in found["errors"].items()}
    return Offered(redact.value(found[what]), redact.value(errors))


async def log_in(config: Config, server: str, show: Callable[[str], None]) -> None:
    """Have a person log in at a server of tools, and keep that for the runs to come; `show` gets
    the address to open in a browser. Raises Refused and ActorError."""
    if not server:
        raise Refused("usage", "which server?", f"there are {', '.join(config.tools) or 'none'}")
    async with unrecorded(config) as roster:
        await ToolServers(roster, _only(config, server)).log_in(server, show)


@asynccontextmanager
async def unrecorded(config: Config) -> AsyncIterator[Roster]:
    """For actors that are stopped at the end, without a word in any log."""
    roster = Roster(None, redactor(config, os.environ).text)
    try:
        yield roster
    finally:
        await roster.close()


async def _agent_info(entry: Agent, redact: Callable[[str], str]) -> AgentInfo:
    kind = "python" if entry.python else "command" if entry.command else "address"
    try:
        known = loaded(entry) if entry.python else await described(entry, redact)
    except (Refused, ActorError) as error:
        about, problem = entry.description, str(error)
    else:
        about, problem = known.description, ""
    return AgentInfo(entry.id, kind, about, problem=problem, address=entry.address)


def _model(config: Config) -> tuple[str, str]:
    """The model of the agents that ask one by themselves, and why it can't be asked."""
    name = config.planner.model or DEFAULT_MODEL
    try:
        return named_model(name, os.environ, config.models), ""
    except ModelFault as fault:
        return "", str(fault)


def _only(config: Config, server: str) -> Config:
    if not server:
        return config
    if server not in config.tools:
        known = ", ".join(config.tools) or "none"
        raise Refused("usage", f"there is no tool server {server!r}", f"there are {known}")
    return replace(config, tools={server: config.tools[server]})


def _info(rules: Rules, source: str, tool: Tool) -> ToolInfo:
    request = Request(
        key="",
        type="tool",
        name=tool.name,
        arguments="{}",
        scope=Scope("", DEFAULT, "", 0),
        effect=tool.effect,
        by_model=True,
        unprotected=tool.unprotected,
    )
    verdict, exceptions = foreseen(rules, request)
    return ToolInfo(tool.name, source, tool.effect, verdict, exceptions, tool.description)
