"""Images and other media that tools return are shown to the model, within bounds."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from axtui.agent import ActorError, Tool
from axtui.runtime.actors.models.host import ModelHost
from axtui.runtime.agents import results
from axtui.runtime.agents.planner import planner
from axtui.runtime.config import Models, Planner
from tests.providers import ProviderServer, environment
from tests.runtime.conftest import CrashEverywhere, MakeWorld
from tests.runtime.scripted import Json, Model, says, turns, wants

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n not >?> really").decode()
WAV = base64.b64encode(b"RIFF").decode()


def _image(data: str = PNG, kind: str = "image/png") -> Json:
    return {"media": {"type": kind, "data": data}}


def _returning(*parts: Any, name: str = "look") -> Tool:
    async def look() -> Json:
        return {"content": list(parts), "error": False}

    return Tool(name, look, effect="readonly")


def _shown(request: Json) -> tuple[list[str], list[Json]]:
    """What a model is told last: the text of each result, and all that stands behind them."""
    parts = request["messages"][-1]["content"]
    texts = [part["tool_result"]["content"] for part in parts if "tool_result" in part]
    return texts, parts[len(texts) :]


@pytest.mark.parametrize(
    "name", ["gemini:gemini-3.8-flash", "anthropic:claude-sonnet-5-5", "openai:gpt-6", "ollama:x"]
)
async def test_the_bytes_of_an_image_reach_the_provider(make_world: MakeWorld, name: str) -> None:
    script = [{"calls": [{"name": "look"}]}, {"text": "A dot."}]
    async with ProviderServer(script) as server:
        host = ModelHost(Models(), environment(server.url))

        async def complete(**request: Any) -> Json:
            return await host.complete({**request, "model": name}, lambda *_: None)

        model = Tool("default", complete, effect="idempotent")
        tool = _returning({"text": "Here:"}, _image())
        world = make_world(replace(planner, models=(model,), tools=(tool,)))
        assert await world.run(planner, "What is there?") == "A dot."
        await host.aclose()
        first, second = (json.dumps(request["body"]) for request in server.requests)
    # Google has another alphabet for base64.
    assert PNG in second.replace("-", "+").replace("_", "/")
    assert second.count("media 1") == 2
    assert PNG[:20] not in first


async def test_a_model_finds_each_medium_by_its_number(make_world: MakeWorld) -> None:
    held = {"resource": {"uri": "file:///s.wav", "type": "audio/wav", "data": WAV}}
    read = {"resource": {"uri": "file:///a", "type": "text/plain", "text": "an a"}}
    model = Model(turns(says("", wants("one"), wants("two")), says("Seen.")))
    world = make_world(
        model.agent(
            _returning({"text": "first"}, _image(), {"text": "last"}, name="one"),
            _returning(held, read, name="two"),
        )
    )
    await world.run(planner)
    (one, two), behind = _shown(model.requests[1])
    assert one == "first\n[image/png, see media 1 below]\nlast"
    assert two["content"] == [{"text": "[audio/wav, see media 2 below]"}, read]
    sound = {"media": {"type": "audio/wav", "data": WAV}}
    assert behind == [{"text": "media 1:"}, _image(), {"text": "media 2:"}, sound]


async def test_what_is_too_much_or_no_medium_is_named(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_MEDIA_CHARS", 3 * len(PNG))
    monkeypatch.setattr(results, "MAX_MEDIA", 2)
    odd = [_image("not base64"), _image(kind="image/svg+xml"), _image(kind=""), _image("A" * 1000)]
    model = Model(turns(says("", wants("look")), says("Seen.")))
    world = make_world(model.agent(_returning(*odd, _image(), _image(), _image())))
    await world.run(planner)
    (text,), behind = _shown(model.requests[1])
    assert text.splitlines() == [
        "[image/png left out: it is damaged]",
        "[image/svg+xml left out: models don't take it]",
        "[binary data left out: models don't take it]",
        "[image/png left out: it is too large to be shown]",
        "[image/png, see media 1 below]",
        "[image/png, see media 2 below]",
        "[image/png left out: more than 2 media are not shown at once]",
    ]
    assert [part for part in behind if "media" in part] == [_image(), _image()]


async def test_a_result_of_any_form_is_told_as_it_is(make_world: MakeWorld) -> None:
    model = Model(turns(says("", wants("look")), says("Seen.")))
    world = make_world(model.agent(_returning("plain", 5, {"text": 5}, {"media": "none"})))
    await world.run(planner)
    (value,), behind = _shown(model.requests[1])
    assert value["content"] == ["plain", 5, {"text": 5}, {"media": "none"}]
    assert not behind


@pytest.mark.parametrize("taken", ["image", "nothing"])
async def test_a_model_that_takes_no_such_media_goes_on_without(
    make_world: MakeWorld, taken: str
) -> None:
    def answer(request: Json) -> Json:
        kinds = {
            part["media"]["type"].partition("/")[0]
            for message in request["messages"]
            for part in message["content"]
            if "media" in part
        }
        if kinds - {taken}:
            raise ActorError("invalid", "no such input")
        return turns(says("", wants("look")), says("I heard nothing."))(request)

    model = Model(answer)
    world = make_world(model.agent(_returning(_image(), _image(WAV, "audio/wav"))))
    assert await world.run(planner) == "I heard nothing."
    _, behind = _shown(model.requests[-1])
    image = _image() if taken == "image" else {"text": "[image/png left out]"}
    assert behind[1::2] == [image, {"text": "[audio/wav left out]"}]
    thoughts = [e["data"]["content"][0].get("thought") for e in await world.events(kind="message")]
    assert "It goes on without audio: no such input" in thoughts


async def test_media_make_a_history_long_and_are_not_summed_up(
    make_world: MakeWorld, crash_everywhere: CrashEverywhere
) -> None:
    def answer(request: Json) -> Json:
        if request["system"].startswith("Sum up"):
            return says("There were dots.")
        text = json.dumps(request["messages"][0])
        return says("All seen.") if "dots" in text else says("", wants("look"))

    model = Model(answer)
    world = make_world(model.agent(_returning(_image())), planner=Planner(history_chars=20_000))
    await crash_everywhere(world, planner, "Look", calls=[])
    summed_up = [r for r in model.requests if r["system"].startswith("Sum up")]
    assert summed_up
    assert all(PNG not in json.dumps(request) for request in summed_up)
    assert "[image/png left out]" in json.dumps(summed_up[0])
    # Some four of them would be too long together with the rest.
    assert max(json.dumps(request).count(PNG) for request in model.requests) <= 4
