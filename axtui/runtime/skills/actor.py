"""The skills of a controller as tools: to read one, its files, and to run its scripts."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from axtui.agent import Retry, Tool, ToolError, call
from axtui.runtime.actors.workspace_tools import check
from axtui.runtime.skills.access import SkillError, read_file, script_command
from axtui.runtime.skills.catalogue import activation, catalogue, skill_tools
from axtui.runtime.skills.loader import Skill, find_skills, usable

_NAMES = ("activate_skill", "read_skill_file", "run_skill_script")


class Skills:
    """What is found in the folders of skills. Looked for again by each run that wants to know."""

    def __init__(
        self, paths: Sequence[Path], folder: Path, unprotected: Callable[[], Awaitable[str]]
    ) -> None:
        self._paths = paths
        self._folder = folder
        self._unprotected = unprotected
        self._known: Mapping[str, Skill] | None = None

    async def all(self) -> list[Tool]:
        """The tools that there is a use for; what skills there are is said of the first."""
        self._known = await asyncio.to_thread(self._look)
        does: tuple[Callable[..., Any], ...] = (self._activate, self._read, self._run)
        functions = dict(zip(_NAMES, does, strict=True))
        tools = [
            Tool(
                tool.name,
                partial(_checked, functions[tool.name], tool.schema),
                effect=tool.effect,
                retry=Retry() if tool.effect else Retry(attempts=1),
                description=tool.description,
                schema=tool.schema,
            )
            for tool in skill_tools(self._known)
        ]
        if tools:
            told = f"{tools[0].description}\n{catalogue(self._known)}"
            tools[0] = replace(tools[0], description=told)
        return [
            tool if tool.effect else replace(tool, unprotected=await self._unprotected())
            for tool in tools
        ]

    async def find(self, name: str) -> Tool | None:
        """The tool of that name."""
        if name not in _NAMES:
            return None
        return next((tool for tool in await self.all() if tool.name == name), None)

    def _look(self) -> Mapping[str, Skill]:
        return usable(find_skills(self._paths, self._folder, Path.home()))

    def _skill(self, name: str) -> Skill:
        known = self._known or {}
        if name not in known:
            raise ToolError(f"there is no skill {name!r}; there are {', '.join(known) or 'none'}")
        return known[name]

    async def _activate(self, name: str) -> dict[str, Any]:
        # With the digest the log says which text it was that the model went by.
        skill = self._skill(name)
        return {"content": [{"text": activation(skill)}], "digest": skill.digest}

    async def _read(self, skill: str, file: str) -> str:
        found = self._skill(skill)
        try:
            return await asyncio.to_thread(read_file, found, file)
        except SkillError as error:
            raise ToolError(str(error)) from None

    async def _run(self, skill: str, script: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
        found = self._skill(skill)
        try:
            # A link to it may lead nowhere in the sandbox.
            real = await asyncio.to_thread(os.path.realpath, found.path)
            found = replace(found, path=Path(real))
            command = await asyncio.to_thread(script_command, found, script, arguments)
        except SkillError as error:
            raise ToolError(str(error)) from None
        this = call()
        return await this.environment.run(
            shlex.join(command),
            workspace=this.workspace,
            on_output=this.delta,
            variables={"AXTUI_IDEMPOTENCY_KEY": this.idempotency_key},
            readable=[str(found.path)],
        )


async def _checked(
    function: Callable[..., Awaitable[Any]], schema: Mapping[str, Any], /, **arguments: Any
) -> Any:
    check(schema, arguments)
    return await function(**arguments)
