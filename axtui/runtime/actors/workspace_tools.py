"""The tools by which a model works in a workspace: commands and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from axtui.agent import Tool, ToolError, call
from axtui.runtime.actors.environment import Environment
from axtui.runtime.actors.files import MAX_LINES, MAX_LISTED

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
}


async def shell(**arguments: Any) -> dict[str, Any]:
    """Run a command for a model: see `Environment.run`."""
    check(_SHELL, arguments)
    this = call()
    return await this.environment.run(
        arguments["command"],
        workspace=this.workspace,
        timeout=arguments.get("timeout"),
        on_output=this.delta,
        variables={"AXTUI_IDEMPOTENCY_KEY": this.idempotency_key},
    )


def _on_files(name: str, parameters: Mapping[str, Any]) -> Callable[..., str]:
    """The function that calls a method of the files of the step's workspace."""

    def use(**arguments: Any) -> str:
        check(parameters, arguments)
        this = call()
        files = cast("Environment", this.environment).files(this.workspace)
        return cast("str", getattr(files, name)(**arguments))

    return use


def check(parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raise ToolError for arguments that don't fit; what is in a list has to be text."""
    known = parameters["properties"]
    missing = [name for name in parameters["required"] if name not in arguments]
    if missing:
        raise ToolError(f"missing: {', '.join(missing)}")
    for name, value in arguments.items():
        if name not in known:
            raise ToolError(f"there is no argument {name!r}; there are {', '.join(known)}")
        kind, least = known[name]["type"], known[name].get("minimum")
        if not isinstance(value, _KINDS[kind]) or isinstance(value, bool):
            raise ToolError(f"{name} has to be of type {kind}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise ToolError(f"{name} has to be a list of texts")
        if least is not None and value < least:
            raise ToolError(f"{name} has to be at least {least}")


def _schema(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _number(description: str, kind: str = "integer") -> dict[str, Any]:
    return {"type": kind, "description": description, "minimum": 1}


_FILE = _text("Path of the file, relative to the workspace.")
_SHELL = _schema(
    {"command": _text("The command line, for /bin/sh.")},
    timeout=_number("Seconds after which the command is ended, if less than the limit.", "number"),
)
_READ = _schema(
    {"path": _FILE},
    start_line=_number("The first line to read, counted from 1."),
    lines=_number(f"How many lines to read; {MAX_LINES} if left out, and at most."),
)
_WRITE = _schema({"path": _FILE, "content": _text("All that is to be in the file.")})
_EDIT = _schema(
    {
        "path": _FILE,
        "old": _text("The text to replace, exactly as it is in the file, white space included."),
        "new": _text("The text to put in its place."),
    }
)
_LIST = _schema(
    {},
    path=_text("Path of the folder, relative to the workspace; the workspace if left out."),
    pattern=_text("Such as `*.py` for names, or `src/*.py` for paths below the folder."),
)

_TOOLS = (
    Tool(
        "shell",
        shell,
        effect="",
        description=(
            "Runs a command line with /bin/sh in the workspace, and gives back its exit status "
            "and its output. It has no input and no terminal. Each call begins afresh: folders "
            "changed into, variables and background processes don't last. Often it has no "
            "network, and of long output the middle is left out."
        ),
        schema=_SHELL,
    ),
    Tool(
        "read_file",
        _on_files("read_file", _READ),
        effect="readonly",
        description=(
            "Reads lines of a text file in the workspace. A note in brackets at the end, which "
            "isn't in the file, says which lines these are if there are more."
        ),
        schema=_READ,
    ),
    Tool(
        "write_file",
        _on_files("write_file", _WRITE),
        effect="idempotent",
        description=(
            "Writes a text file in the workspace: makes it, with the folders it is in, or "
            "replaces all that was in it. To change a part of a file use edit_file."
        ),
        schema=_WRITE,
    ),
    Tool(
        "edit_file",
        _on_files("edit_file", _EDIT),
        effect="",
        description=(
            "Replaces one piece of text in a file in the workspace. `old` has to be in the file "
            "just once: take in as many lines around it as that needs."
        ),
        schema=_EDIT,
    ),
    Tool(
        "list_files",
        _on_files("list_files", _LIST),
        effect="readonly",
        description=(
            "Lists a folder in the workspace, names of folders ending in a slash. With a "
            "pattern, lists the files in that folder and below it that fit, * standing for any "
            f"characters; .git is left out. At most {MAX_LISTED} names are given back."
        ),
        schema=_LIST,
    ),
)
WORKSPACE_TOOLS = {tool.name: tool for tool in _TOOLS}
