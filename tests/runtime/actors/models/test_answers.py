"""What every kind of provider answers, and is asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from axtui.runtime.actors.models.host import ModelHost
from axtui.runtime.config import Models
from tests.runtime.actors.models.conftest import KINDS, OTHERS, Call, Called, Json, user

FULL = {
    "thought": ["Let me ", "think."],
    "signature": "c2lnbmF0dXJl",
    "text": ["Hello", " world"],
    "calls": [
        {"id": "one", "name": "add", "arguments": {"a": 1, "b": [2.5, None]}},
        {"id": "two", "name": "no_such_tool", "arguments": {}},
    ],
    "usage": {"input": 100, "output": 20, "cached": 30, "thought": 5},
}
ADD = {
    "name": "add",
    "description": "adds",
    "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def plain(content: list[Json]) -> list[Json]:
    """Parts without what only their provider knows."""
    return [{name: value for name, value in part.items() if name != "opaque"} for part in content]


def results(call: str = "one", content: Any = 3, error: bool = False) -> Json:
    result = {"id": call, "name": "add", "content": content, "error": error}
    return {"role": "tool", "content": [{"tool_result": result}]}


async def test_an_answer_with_everything(call: Call, model: str) -> None:
    called = await call(FULL)
    reply = await called(model, tools=[ADD])
    assert plain(reply["content"]) == [
        {"thought": "Let me think."},
        {"text": "Hello world"},
        {"tool_call": {"id": "one", "name": "add", "arguments": {"a": 1, "b": [2.5, None]}}},
        {"tool_call": {"id": "two", "name": "no_such_tool", "arguments": {}}},
    ]
    assert called.deltas == [
        ("thought", "Let me "),
        ("thought", "think."),
        ("text", "Hello"),
        ("text", " world"),
    ]
    provider, _, name = model.partition(":")
    assert (reply["provider"], reply["model"], reply["finish"]) == (provider, name, "tool_calls")
    thought = 0 if KINDS[model] == "anthropic" else 5  # Anthropic doesn't say.
    assert reply["usage"] == {
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_tokens": 30,
        "cache_write_tokens": 0,
        "thought_tokens": thought,
    }
    assert json.loads(json.dumps(reply, allow_nan=False)) == reply


async def test_what_it_costs_is_known_or_none(call: Call, model: str) -> None:
    called = await call(FULL, {"text": "free?", "usage": None})
    cost = (await called(model))["cost_usd"]
    unknown = await called(model)
    assert (unknown["usage"], unknown["cost_usd"]) == ({}, None)
    if KINDS[model] == "chat":
        assert cost is None
    else:
        assert 0 < cost < 0.01


@pytest.mark.parametrize(
    ("turn", "finish"),
    [
        ({"text": "all of it"}, "stop"),
        ({"text": "half of", "finish": "length"}, "length"),
        ({"text": "oh no", "finish": "filtered"}, "filtered"),
        ({"finish": "length"}, "length"),
        ({"text": "odd", "finish": "OTHER"}, "stop"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_how_it_ends(call: Call, model: str, turn: Json, finish: str) -> None:
    called = await call(turn)
    reply = await called(model)
    assert reply["finish"] == finish
    assert [part["text"] for part in reply["content"]] == ([turn["text"]] if "text" in turn else [])


async def test_text_comes_as_it_is_sent(call: Call, model: str) -> None:
    called: Called = await call({"text": ["first", " second"], "hold": "first"})
    came = asyncio.Event()
    seen: list[str] = []

    def show(channel: str, text: str) -> None:
        seen.append(text)
        came.set()

    request = {"model": model, "messages": [user("hi")]}
    answering = asyncio.create_task(called.host.complete(request, show))
    await came.wait()
    # The server holds the rest back until now.
    assert seen == ["first"]
    assert not answering.done()
    called.server.release("first")
    assert (await answering)["content"][0]["text"] == "first second"
    assert seen == ["first", " second"]


async def test_a_tool_call_may_be_malformed(call: Call, model: str) -> None:
    if KINDS[model] == "gemini":
        pytest.skip("its arguments are objects on the wire already")
    raw = ['{"a": 1', "[1]", '"text"', '{"a": NaN}', '{"a": 1e999}']
    called = await call({"calls": [{"name": "add", "arguments": text} for text in raw]})
    content = (await called(model, tools=[ADD]))["content"]
    calls = [part["tool_call"] for part in content]
    assert [(call["arguments"], call["malformed"]) for call in calls] == [
        ({}, text) for text in raw
    ]


@pytest.mark.parametrize("turn", [{}, {"thought": "Let me think.", "signature": "c2ln"}])
async def test_an_answer_of_nothing_is_not_sent_back(call: Call, model: str, turn: Json) -> None:
    called = await call({**turn, "finish": "length"}, {"text": "ok"})
    nothing = await called(model)
    said = {"role": "assistant", "content": nothing["content"]}
    await called(model, user("first"), said, user("second"))
    body = called.body()
    sent = body.get("contents") or body.get("input") or body["messages"]
    assert len(sent) == 1
    assert "first" in str(sent)
    assert "second" in str(sent)


def _texts(value: Any) -> list[str]:
    """All that is said in what was sent, wherever it is."""
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if not isinstance(value, dict):
        return []
    names = ("text", "output", "content", "error", "return_value")
    own = [value[name] for name in names if isinstance(value.get(name), str)]
    return [*own, *(text for item in value.values() for text in _texts(item))]


@pytest.mark.parametrize("blank", ["", " \n"])
async def test_nothing_that_is_sent_is_blank(call: Call, model: str, blank: str) -> None:
    called = await call({"text": "ok"}, {"text": "ok"})
    two = [{"tool_call": {"id": id, "name": "add", "arguments": {}}} for id in ("one", "two")]
    said = {"role": "assistant", "content": [{"text": blank}, *two]}
    none = {"role": "assistant", "content": [{"text": blank}]}
    answers = results("one", blank), results("two", blank, True)
    await called(model, user("hi", blank), said, *answers, none, user(blank))
    await called(model, user(blank))
    for request in called.server.requests:
        body = request["body"]
        sent = body.get("contents") or body.get("input") or body["messages"]
        texts = _texts(sent)
        assert texts
        assert all(map(str.strip, texts)), sent


async def test_the_roles_take_turns(call: Call, model: str) -> None:
    called = await call({"text": "ok"})
    said = [{"role": "assistant", "content": [{"text": text}]} for text in ("looking", "there")]
    await called(model, user("where?"), user("quick"), *said, user("and now?"))
    body = called.body()
    sent = body.get("contents") or body.get("input") or body["messages"]
    if KINDS[model] != "responses":
        roles = [message["role"].replace("model", "assistant") for message in sent]
        assert roles == ["user", "assistant", "user"]
    for text in ("where?", "quick", "looking", "there", "and now?"):
        assert text in json.dumps(sent)


async def test_half_a_character_keeps_nothing_from_being_sent(call: Call, model: str) -> None:
    arguments: Any = {"name": "half\ud83d"}
    if KINDS[model] != "gemini":
        arguments = json.dumps(arguments)
    called = await call({"calls": [{"name": "add", "arguments": arguments}]}, {"text": "ok"})
    content = (await called(model, tools=[ADD]))["content"]
    said = {"role": "assistant", "content": content}
    result = results("call_1", {"files\ud83d": ["a\udcff"]})
    reply = await called(model, user("hi \ud83d"), said, result, system="\ud83d")
    assert reply["content"][0]["text"] == "ok"
    sent = json.dumps(called.body()).replace("\\", "")
    for text in ("half?", "files?", "a?", "hi ?"):
        assert text in sent


async def test_a_call_without_arguments(call: Call, model: str) -> None:
    arguments: Any = {} if KINDS[model] == "gemini" else ""
    called = await call({"calls": [{"name": "now", "arguments": arguments}]})
    (part,) = plain((await called(model))["content"])
    assert part == {"tool_call": {"id": "call_1", "name": "now", "arguments": {}}}


async def test_its_maker_gets_back_what_is_opaque(call: Call, model: str) -> None:
    called = await call(FULL, {"text": "done"})
    content = (await called(model, tools=[ADD]))["content"]
    answer = {"role": "assistant", "content": json.loads(json.dumps(content))}
    await called(model, user("hi"), answer, results(), results("two", "no such tool", True))
    sent = json.dumps(called.body())
    if KINDS[model] == "chat":
        assert '"reasoning": "Let me think."' in sent
    else:
        assert FULL["signature"] in sent
    assert called.server.turns == [0, 1]


@pytest.mark.parametrize("to", [*OTHERS, "openai:gpt-6-luna"])
async def test_what_one_said_can_be_sent_to_another(call: Call, model: str, to: str) -> None:
    if to.partition(":")[0] == model.partition(":")[0]:
        pytest.skip("that is no other")
    called = await call(FULL, {"text": "done"})
    content = (await called(model))["content"]
    answer = {"role": "assistant", "content": content}
    reply = await called(to, user("hi"), answer, results(), results("two", "none", True))
    assert reply["content"][0]["text"] == "done"
    sent = json.dumps(called.body())
    assert "Hello world" in sent
    assert FULL["signature"] not in sent
    assert "Let me think." not in sent
    assert '"rs_1"' not in sent
    assert '"msg_1"' not in sent


async def test_results_of_tools(call: Call, model: str) -> None:
    called = await call({"text": "ok"})
    calls = [
        {"tool_call": {"id": "a", "name": "add", "arguments": {"n": 1}}},
        {"tool_call": {"id": "b", "name": "add", "arguments": {}, "malformed": '{"n": oops'}},
    ]
    said = {"role": "assistant", "content": calls}
    first, second = results("a", {"sum": [1, "two"]}), results("b", "that was no JSON", True)
    first["content"].append({"media": {"type": "image/png", "data": PNG}})
    await called(model, user("hi"), said, first, second, user("and now?"))
    sent = json.dumps(called.body()).replace("\\", "").replace("-", "+")
    for text in ('sum":', '"two"]', "that was no JSON", "oops", "and now?", PNG):
        assert text in sent
    failed = '"is_error": true' if KINDS[model] == "anthropic" else '"error":'
    assert sent.count(failed) == 1


async def test_images_and_documents(call: Call, model: str) -> None:
    called = await call({"text": "a dot"})
    image = {"media": {"type": "image/png", "data": PNG}}
    document = {"media": {"type": "application/pdf", "data": "JVBERi0="}}
    await called(model, user("What is this?", image, document))
    # Google has another alphabet for base64.
    sent = json.dumps(called.body()).replace("-", "+")
    assert PNG in sent
    assert "JVBERi0=" in sent


async def test_an_image_elsewhere_is_named(call: Call, model: str) -> None:
    if KINDS[model] == "gemini":
        pytest.skip("it takes no URLs: the image would be fetched first")
    called = await call({"text": "a dot"})
    url = "https://images.example/dot.png"
    await called(model, user({"media": {"type": "image/png", "url": url}}))
    assert url in json.dumps(called.body())


@pytest.mark.parametrize("model", KINDS | OTHERS)
async def test_what_is_asked(call: Call, model: str) -> None:
    called = await call({"text": "ok", "repeat": True})
    await called(model, system="Be brief.", tools=[ADD], settings={"max_tokens": 77})
    sent = json.dumps(called.body())
    assert "Be brief." in sent
    assert '"adds"' in sent
    assert '"integer"' in sent
    assert ": 77" in sent
    api = called.server.requests[0]["api"]
    assert api == (KINDS | OTHERS)[model]
    headers = called.server.requests[0]["headers"]
    keys = dict.fromkeys(("vertex", "proxy", "gateway"), "key-of-another")
    key = keys.get(model.partition(":")[0], "key-of-the-tests")
    assert ("no-key" if api == "chat" else key) in headers.get(
        "x-goog-api-key", headers.get("authorization", "")
    )


async def test_thinking_and_temperature(call: Call, model: str) -> None:
    called = await call({"text": "ok", "repeat": True})
    await called(model, settings={"thinking": "low"})
    asked = json.dumps(called.body()).lower()
    if KINDS[model] != "chat":  # Of whose models nobody knows whether they think.
        assert '"low"' in asked
    if KINDS[model] in ("gemini", "chat"):
        await called(model, settings={"temperature": 0.25})
        assert '"temperature": 0.25' in json.dumps(called.body())


async def test_json_by_a_schema(call: Call, model: str) -> None:
    called = await call({"text": '{"city": "Bern"}', "repeat": True})
    for tools in ([], [ADD]):
        reply = await called(model, schema=SCHEMA, tools=tools)
        assert reply["content"][0]["text"] == '{"city": "Bern"}'
        assert '"city"' in json.dumps(called.body())


async def test_a_model_that_holds_no_schema_is_told_of_it(call: Call) -> None:
    called = await call({"text": '{"city": "Bern"}', "repeat": True})
    await called("gemini:gemini-2.5-flash", schema=SCHEMA, tools=[ADD])
    body = called.body()
    assert "city" in json.dumps(body["systemInstruction"])
    assert "responseJsonSchema" not in body["generationConfig"]


async def test_what_is_sent_twice_may_come_from_a_cache(call: Call) -> None:
    called = await call({"text": "ok"})
    await called("anthropic:claude-sonnet-5-5", system="Long.", tools=[ADD])
    body = called.body()
    assert all("cache_control" in part for part in (body, body["system"][-1], body["tools"][-1]))


async def test_openai_need_not_keep_anything(call: Call) -> None:
    called = await call({"text": "ok"})
    await called("openai:gpt-6.1-terra")
    assert called.body()["store"] is False


async def test_thoughts_that_are_hidden_are_kept(call: Call) -> None:
    called = await call({"thought": [""], "signature": "c2VjcmV0", "text": "ok"}, {"text": "more"})
    reply = await called("openai:gpt-6.1-terra")
    assert reply["content"][0]["thought"] == ""
    await called("openai:gpt-6.1-terra", user("a"), {"role": "assistant", **reply}, user("b"))
    assert "c2VjcmV0" in json.dumps(called.body())


async def test_answers_side_by_side_on_connections_that_stay(call: Call, model: str) -> None:
    called: Called = await call({"text": "ok", "repeat": True})
    for _ in range(3):
        await called(model)
    assert called.server.connections == 1
    both = await asyncio.gather(called(model), called(model))
    assert [reply["finish"] for reply in both] == ["stop", "stop"]
    assert called.server.connections == 2


async def test_who_stops_waiting_ends_the_stream(call: Call, model: str) -> None:
    called: Called = await call({"text": ["so", " far"], "fault": "silent"}, {"text": "next"})
    came = asyncio.Event()
    request = {"model": model, "messages": [user("hi")]}
    answering = asyncio.create_task(called.host.complete(request, lambda *_: came.set()))
    await came.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    await called.server.left.wait()
    assert (await called(model))["content"][0]["text"] == "next"


async def test_vertex_by_a_service_account(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives import serialization

    called: Called = await call({"text": "ok"})
    url = called.server.url
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "client_email": "tests@project.example",
        "private_key": key.decode(),
        "token_uri": f"{url}/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    environ = {"GOOGLE_CLOUD_PROJECT": "mine", "GOOGLE_VERTEX_BASE_URL": url}
    host = ModelHost(Models(), environ)
    vertex = Called(called.server, host)
    assert (await vertex("vertex:gemini-3.8-flash"))["finish"] == "stop"
    (request,) = called.server.requests
    assert "/projects/mine/locations/global/" in request["path"]
    assert request["headers"]["authorization"] == "Bearer a-token"
    await host.aclose()
    file.unlink()
    unknown = Called(called.server, ModelHost(Models(), environ))
    assert (await unknown.fault("vertex:gemini-3.8-flash")).code == "auth"
    await unknown.host.aclose()
