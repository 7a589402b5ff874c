"""What a model is told of skills: which there are, what one says, and the tools to use them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from axtui.agent import Effect
from axtui.runtime.skills.loader import Skill

MAX_SHOWN_DESCRIPTION = 2048
MAX_LISTED_FILES = 200


@dataclass(frozen=True)
class SkillTool:
    """A tool as it is offered to a model: `schema` is that of its arguments, as JSON Schema."""

    name: str
    description: str
    schema: dict[str, Any]
    effect: Effect


def catalogue(skills: Mapping[str, Skill]) -> str:
    """Names and descriptions, as XML; nothing where there are no skills."""
    if not skills:
        return ""
    lines = ["<available_skills>"]
    for name, skill in skills.items():
        description = skill.description
        if len(description) > MAX_SHOWN_DESCRIPTION:
            description = description[:MAX_SHOWN_DESCRIPTION] + "…"
        lines += [
            "  <skill>",
            f"    <name>{escape(name)}</name>",
            f"    <description>{escape(description)}</description>",
            "  </skill>",
        ]
    return "\n".join([*lines, "</available_skills>"])


def activation(skill: Skill) -> str:
    """What a skill says, and which files it has, as XML around its Markdown."""
    # Left as it is, for it is full of code; it only can't pretend to end.
    body = re.sub(r"<(?=/?skill_(content|files)\b)", "&lt;", skill.body, flags=re.I)
    lines = [f'<skill_content name="{escape(skill.name)}">', body, ""]
    if skill.compatibility:
        lines.append(f"What it needs: {escape(skill.compatibility)}")
    lines.append(f"Its folder, from which its paths count: {escape(str(skill.path))}")
    if skill.files:
        listed = skill.files[:MAX_LISTED_FILES]
        lines += ["<skill_files>", *(f"  <file>{escape(name)}</file>" for name in listed)]
        if more := len(skill.files) - len(listed):
            lines.append(f"  and {more} more")
        lines.append("</skill_files>")
    return "\n".join([*lines, "</skill_content>"])


def skill_tools(skills: Mapping[str, Skill]) -> tuple[SkillTool, ...]:
    """The tools for these skills; only those that there is a use for."""
    with_files = [name for name, skill in skills.items() if skill.files]
    with_scripts = [name for name, skill in skills.items() if skill.scripts]
    tools = []
    if skills:
        tools.append(
            SkillTool(
                "activate_skill",
                "Load the instructions of a skill. Do so before a task that its description fits.",
                _schema({"name": _one_of(skills)}),
                effect="readonly",
            )
        )
    if with_files:
        file = {"type": "string", "description": "relative to the folder of the skill"}
        tools.append(
            SkillTool(
                "read_skill_file",
                "Read a text file of a skill, such as one that its instructions refer to.",
                _schema({"skill": _one_of(with_files), "file": file}),
                effect="readonly",
            )
        )
    if with_scripts:
        script = {"type": "string", "description": "its path, such as scripts/convert.py"}
        arguments = {"type": "array", "items": {"type": "string"}, "default": []}
        tools.append(
            SkillTool(
                "run_skill_script",
                "Run a script of a skill in the workspace.",
                _schema(
                    {"skill": _one_of(with_scripts), "script": script, "arguments": arguments},
                    optional=("arguments",),
                ),
                effect="",
            )
        )
    return tuple(tools)


def _one_of(names: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(names)}


def _schema(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
