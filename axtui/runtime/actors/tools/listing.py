"""What a server has to offer, as plain JSON, and bounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

from mcp_types import PaginatedResult, Tool, ToolAnnotations

from axtui.runtime.config import ToolServer

MAX_PAGES = 1_000
MAX_ENTRIES = 1_000
MAX_LISTING = 8 << 20
MAX_DESCRIPTION = 16 << 10


@dataclass(frozen=True)
class Listing:
    """The tools of a server. `error` says what of them is left out, if anything is."""

    tools: dict[str, dict[str, Any]]
    error: str

    def digest(self, instructions: str) -> str:
        """Of all that a model is told of the server."""
        return _digest([instructions, *sorted(tool["digest"] for tool in self.tools.values())])


async def entries(
    fetch: Callable[..., Coroutine[Any, Any, PaginatedResult]], kind: str
) -> tuple[list[Any], bool]:
    """What a list has on all its pages under `kind`, and whether that is everything."""
    found: list[Any] = []
    size, cursor = 0, None
    for _ in range(MAX_PAGES):
        page = await fetch(cursor=cursor)
        for entry in getattr(page, kind):
            size += len(entry.model_dump_json())
            if len(found) == MAX_ENTRIES or size > MAX_LISTING:
                return found, False
            found.append(entry)
        cursor = page.next_cursor
        if cursor is None:
            return found, True
    return found, False


async def list_tools(
    server: str,
    config: ToolServer,
    fetch: Callable[..., Coroutine[Any, Any, PaginatedResult]],
) -> Listing:
    """The tools, by the names that the server gives them."""
    tools, complete = await entries(fetch, "tools")
    error = f"it lists more than {MAX_ENTRIES:,} tools, or {MAX_LISTING >> 20} MiB of them"
    return Listing(
        {tool.name: _entry(server, config, tool) for tool in tools},
        "" if complete else f"{error}; the rest is left out",
    )


def shortened(text: str | None) -> str:
    """A description, as far as it can be given to a model."""
    text = text or ""
    return text if len(text) <= MAX_DESCRIPTION else text[:MAX_DESCRIPTION] + "…"


def _entry(server: str, config: ToolServer, tool: Tool) -> dict[str, Any]:
    hints = tool.annotations or ToolAnnotations()
    readonly = _holds(tool.name, config.readonly, hints.read_only_hint)
    description = tool.description or tool.title or ""
    said = {
        "name": tool.name,
        "description": description,
        "schema": tool.input_schema,
        "output_schema": tool.output_schema,
        "annotations": hints.model_dump(by_alias=True, exclude_none=True),
    }
    entry = {
        "name": f"{server}.{tool.name}",
        "description": shortened(description),
        "schema": tool.input_schema,
        "readonly": readonly,
        "idempotent": readonly or _holds(tool.name, config.idempotent, hints.idempotent_hint),
        "destructive": not readonly and hints.destructive_hint is not False,
        "digest": _digest(said),
    }
    if tool.output_schema is not None:
        entry["output_schema"] = tool.output_schema
    return entry


def _holds(name: str, patterns: Sequence[str] | None, hint: bool | None) -> bool:
    """Whether a tool is what the patterns say or, without any, the server."""
    if patterns is None:
        return bool(hint)
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
