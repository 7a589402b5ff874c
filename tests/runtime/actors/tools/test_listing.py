"""What is made of the lists of servers: what a tool does, and how to tell that it has changed."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import ListToolsResult

from axtui.runtime.actors.tools import listing
from axtui.runtime.actors.tools.listing import Listing, list_tools
from axtui.runtime.config import ToolServer


async def listed(*pages: list[dict[str, Any]], **config: Any) -> Listing:
    async def fetch(cursor: str | None) -> ListToolsResult:
        at = int(cursor or 0)
        tools = [{"inputSchema": {}, **tool} for tool in pages[at]]
        more = str(at + 1) if at + 1 < len(pages) else None
        return ListToolsResult.model_validate({"tools": tools, "nextCursor": more})

    return await list_tools("s", ToolServer(command=("x",), **config), fetch)


def effects(tool: dict[str, Any]) -> tuple[bool, bool, bool]:
    return tool["readonly"], tool["idempotent"], tool["destructive"]


@pytest.mark.parametrize(
    ("hints", "config", "found"),
    [
        # Nobody said anything: the worst.
        (None, {}, (False, False, True)),
        ({}, {}, (False, False, True)),
        ({"readOnlyHint": True}, {}, (True, True, False)),
        ({"readOnlyHint": False, "destructiveHint": False}, {}, (False, False, False)),
        ({"idempotentHint": True}, {}, (False, True, True)),
        # The configuration has the last word, either way.
        (None, {"readonly": ["t*"]}, (True, True, False)),
        ({"readOnlyHint": True}, {"readonly": []}, (False, False, True)),
        ({"readOnlyHint": True}, {"readonly": ["other"]}, (False, False, True)),
        (None, {"idempotent": ["t?ol"]}, (False, True, True)),
        ({"idempotentHint": True}, {"idempotent": []}, (False, False, True)),
        ({"readOnlyHint": True}, {"idempotent": []}, (True, True, False)),
    ],
)
async def test_effects(
    hints: dict[str, bool] | None, config: dict[str, list[str]], found: tuple[bool, bool, bool]
) -> None:
    tools = (await listed([{"name": "tool", "annotations": hints}], **config)).tools
    assert effects(tools["tool"]) == found


async def test_an_entry() -> None:
    (entry,) = (
        await listed(
            [
                {
                    "name": "t.x",
                    "title": "Tee",
                    "inputSchema": {"type": "object"},
                    "outputSchema": {"type": "string"},
                }
            ]
        )
    ).tools.values()
    assert len(entry.pop("digest")) == 64
    assert entry == {
        "name": "s.t.x",
        "description": "Tee",
        "schema": {"type": "object"},
        "output_schema": {"type": "string"},
        "readonly": False,
        "idempotent": False,
        "destructive": True,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"description": "Now with more."},
        {"inputSchema": {"type": "object", "required": ["x"]}},
        {"outputSchema": {"type": "object"}},
        {"annotations": {"readOnlyHint": True}},
    ],
)
async def test_the_digest_is_of_all_that_matters(change: dict[str, Any]) -> None:
    tool = {"name": "t", "description": "Does.", "inputSchema": {"type": "object"}}
    digests = []
    for one in (tool, {**reversed_keys(tool)}, {**tool, **change}):
        found = await listed([one])
        (entry,) = found.tools.values()
        digests.append((entry["digest"], found.digest("Hello.")))
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[2][0]
    assert digests[0][1] != digests[2][1]
    assert found.digest("Hello.") != found.digest("Bye.")


def reversed_keys(value: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(value.items()))


async def test_all_pages_are_read() -> None:
    found = await listed([{"name": "a"}, {"name": "b"}], [], [{"name": "c"}])
    assert list(found.tools) == ["a", "b", "c"]
    assert found.error == ""


async def test_a_list_that_is_too_large_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_LISTING", 1000)
    found = await listed([{"name": "a"}, {"name": "b", "description": "x" * 1000}, {"name": "c"}])
    assert list(found.tools) == ["a"]
    assert "the rest is left out" in found.error
    monkeypatch.setattr(listing, "MAX_LISTING", 10_000)
    monkeypatch.setattr(listing, "MAX_PAGES", 2)
    found = await listed([{"name": "a"}], [{"name": "b"}], [{"name": "c"}])
    assert list(found.tools) == ["a", "b"]
    assert "the rest is left out" in found.error


async def test_a_long_description_is_cut() -> None:
    long = "x" * (listing.MAX_DESCRIPTION + 1)
    (entry,) = (await listed([{"name": "a", "description": long}])).tools.values()
    assert entry["description"] == long[:-1] + "…"
