"""The resources and prompts of a server, as plain JSON, and bounded."""

from __future__ import annotations

from typing import Any

from mcp.client import Client
from mcp_types import Resource, ResourceTemplate

from axtui.runtime.actors.tools.listing import entries, shortened
from axtui.runtime.actors.tools.results import bounded, contents_of, parts_of

Entry = dict[str, Any]


async def list_resources(server: str, client: Client) -> list[Entry]:
    """Each as {"uri": "SERVER.URI", "name", "description", "type"}; of a template, "template"
    stands for "uri"."""
    if client.server_capabilities.resources is None:
        return []
    resources, _ = await entries(client.list_resources, "resources")
    templates, _ = await entries(client.list_resource_templates, "resource_templates")
    return [
        *({"uri": f"{server}.{held.uri}", **_told(held)} for held in resources),
        *({"template": f"{server}.{held.uri_template}", **_told(held)} for held in templates),
    ]


async def read_resource(client: Client, uri: str, max_text: int) -> dict[str, Any]:
    """What a resource holds: {"contents": parts}."""
    result = await client.read_resource(uri)
    return {"contents": bounded(contents_of(result.contents), max_text)}


async def list_prompts(server: str, client: Client) -> list[Entry]:
    """Each as {"name": "SERVER.PROMPT", "description", "arguments": [{"name", "description",
    "required"}]}."""
    if client.server_capabilities.prompts is None:
        return []
    prompts, _ = await entries(client.list_prompts, "prompts")
    return [
        {
            "name": f"{server}.{prompt.name}",
            "description": shortened(prompt.description or prompt.title),
            "arguments": [
                {
                    "name": argument.name,
                    "description": shortened(argument.description or argument.title),
                    "required": bool(argument.required),
                }
                for argument in prompt.arguments or ()
            ],
        }
        for prompt in prompts
    ]


async def get_prompt(
    client: Client, name: str, arguments: dict[str, str], max_text: int
) -> dict[str, Any]:
    """A prompt, filled in: {"description", "messages": [{"role", "content": parts}]}."""
    result = await client.get_prompt(name, arguments)
    parts = parts_of([message.content for message in result.messages], max_text)
    return {
        "description": shortened(result.description),
        "messages": [
            {"role": message.role, "content": [part]}
            for message, part in zip(result.messages, parts, strict=False)
        ],
    }


def _told(held: Resource | ResourceTemplate) -> Entry:
    return {
        "name": held.title or held.name,
        "description": shortened(held.description),
        "type": held.mime_type or "",
    }
