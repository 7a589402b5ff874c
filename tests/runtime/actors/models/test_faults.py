"""How model calls fail, for every kind of provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from axtui.runtime.actors.models import host
from axtui.runtime.actors.models.faults import RETRYABLE
from tests.runtime.actors.models.conftest import KEY, KINDS, Call, Called, Json, user

FAULTS = {
    "truncated": {"text": ["Once upon", " a time"], "fault": "cut"},
    "truncated before a word": {"text": ["Once upon"], "fault": "cut", "after": 0},
    "truncated behind calls": {"calls": [{"name": "add", "arguments": {}}], "fault": "cut"},
    "network": {"text": ["Once upon", " a time"], "fault": "drop"},
    "malformed": {"text": ["Once upon", " a time"], "fault": "broken"},
    "malformed at once": {"text": ["Once upon"], "fault": "broken", "after": 0},
    "empty": {},
    "empty but for a blank": {"text": [" \n"]},
    "empty but for thoughts": {"thought": ["Hm."]},
    "filtered": {"finish": "filtered"},
    "rate_limited": {"status": 429},
    "overloaded": {"status": 529},
    "unavailable": {"status": 500},
    "unavailable in the stream": {"text": ["Once"], "fault": "error", "status": 500},
    "auth": {"status": 401},
    "auth forbidden": {"status": 403},
    "invalid": {"status": 400, "message": "a tool has a bad name"},
    "invalid entity": {"status": 422},
    "not_found": {"status": 404},
}
TOO_LONG = {
    "gemini": "The input token count (9) exceeds the maximum number of tokens allowed (8)",
    "anthropic": "prompt is too long: 9 tokens > 8 maximum",
    "responses": "Your input exceeds the maximum context length of 8 tokens",
    "chat": "This model's maximum context length is 8 tokens",
}


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_has_its_code(call: Call, model: str, name: str) -> None:
    called: Called = await call(FAULTS[name])
    fault = await called.fault(model)
    code = name.partition(" ")[0]
    assert fault.code == code
    assert fault.retryable == (code in RETRYABLE)
    assert fault.message.startswith(model.partition(":")[0])
    assert "\n" not in fault.message
    # Nobody has tried again: that is for the journal to do.
    assert called.server.turns == [0]


async def test_a_message_says_what_the_provider_said(call: Call, model: str) -> None:
    called = await call({"status": 400, "message": "the tool 'a b' has a bad name"})
    fault = await called.fault(model)
    assert "HTTP status 400: the tool 'a b' has a bad name" in fault.message


async def test_how_long_to_wait(call: Call, model: str) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=900), usegmt=True)
    turns = [
        {"status": 429, "headers": {"retry-after": value}}
        for value in ("7", later, "soon", "999999999")
    ]
    called = await call(*turns)
    waits = [(await called.fault(model)).retry_after for _ in turns]
    assert waits[0] == 7
    assert waits[1] is not None
    assert 0 <= waits[1] <= 900
    assert waits[2:] == [None, 86_400]


async def test_a_prompt_that_is_too_long(call: Call, model: str) -> None:
    called = await call({"status": 400, "message": TOO_LONG[KINDS[model]]})
    assert (await called.fault(model)).code == "context_too_long"


async def test_a_prompt_that_is_too_long_for_ones_own_server(call: Call) -> None:
    message = "request (9 tokens) exceeds the available context size (8 tokens), try increasing it"
    called = await call({"status": 400, "message": message})
    assert (await called.fault("vllm:llama-4")).code == "context_too_long"


async def test_a_quota_that_is_used_up_is_no_matter_of_waiting(call: Call) -> None:
    message = "Your credit balance is too low to access the API"
    called = await call({"status": 400, "message": message})
    fault = await called.fault("anthropic:claude-sonnet-5-5")
    assert (fault.code, fault.retryable) == ("quota", False)


@pytest.mark.parametrize("after", [0, 1])
async def test_time_is_limited_for_a_call(call: Call, model: str, after: int) -> None:
    silent = {"when": "tale", "text": ["Once", " upon"], "fault": "silent", "after": after}
    called: Called = await call(silent, {"when": "hi", "text": "ok"})
    # Where much else goes on it may be over before the server is reached at all.
    fault = await called.fault(model, user("a tale"), timeout=0.2)
    assert (fault.code, fault.retryable) == ("timeout", True)
    assert fault.message == f"{model} didn't finish within 0.2 s"
    assert (await called(model, user("hi"), timeout=600))["finish"] == "stop"


async def test_nobody_listens(call: Call, model: str) -> None:
    called: Called = await call()
    await called.server.__aexit__()
    fault = await called.fault(model)
    assert fault.code == "network"
    assert "can't be reached" in fault.message
    assert called.server.url in fault.message


async def test_gemini_gives_up_on_a_call(call: Call) -> None:
    called = await call({"finish": "MALFORMED_FUNCTION_CALL"})
    fault = await called.fault("gemini:gemini-3.8-flash")
    assert (fault.code, fault.retryable) == ("malformed", True)
    assert "MALFORMED_FUNCTION_CALL" in fault.message


@pytest.mark.parametrize(
    "turn",
    [
        {"text": ["12345", "67890", "!", "more"], "hold": "", "after": 3},
        {"calls": [{"name": "add", "arguments": {"numbers": "12345"}}], "hold": ""},
    ],
    ids=["text", "calls"],
)
async def test_an_answer_that_never_ends(
    call: Call, model: str, turn: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "MAX_REPLY_CHARACTERS", 10)
    called: Called = await call(turn)
    fault = await called.fault(model)
    assert fault.code == "malformed"
    assert "longer than 10 characters" in fault.message
    await called.server.left.wait()


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": []},
        {"role": "user", "content": "text"},
        {"role": "user", "content": [{"txt": "x"}]},
        {"role": "user", "content": [{"media": {"type": "image/png", "data": "%"}}]},
        {"role": "user", "content": [{"tool_result": {"id": "1"}}]},
        {"role": "assistant", "content": [{"tool_call": {"id": "1", "name": "x"}}]},
    ],
    ids=str,
)
async def test_what_is_no_message_is_not_sent(call: Call, message: Json) -> None:
    called: Called = await call({"text": "ok"})
    fault = await called.fault("vllm:llama-4", message)
    assert (fault.code, called.server.requests) == ("invalid", [])


async def test_what_a_model_takes_no_part_of(call: Call) -> None:
    called: Called = await call({"text": "ok"})
    video = {"media": {"type": "video/mp4", "data": "AAAA"}}
    fault = await called.fault("anthropic:claude-sonnet-5-5", user(video))
    assert (fault.code, called.server.requests) == ("invalid", [])
    fault = await called.fault("vllm:llama-4", settings={"magic": 1})
    assert fault.code == "invalid"
    assert "magic" in fault.message


async def test_keys_are_told_to_nobody(call: Call, model: str) -> None:
    echo = f"bad keys: key-of-the-tests {KEY} at https://user:{KEY}@example.com"
    called: Called = await call({"status": 401, "message": echo})
    fault = await called.fault(model)
    assert "bad keys: [key] [key] at https://example.com" in fault.message
