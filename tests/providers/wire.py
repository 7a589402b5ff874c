"""The turns of a script as providers stream them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
# Its kind (start, thought, text, call, end, or error for what is only sent on failure) and bytes.
Frame = tuple[str, bytes]


@dataclass(frozen=True)
class Api:
    """One provider's API, known by a part of its path."""

    name: str
    path: str
    stream: Callable[[Json, str], Iterator[tuple[str, str, Json]]]
    error: Callable[[int, str], Json]

    def frames(self, turn: Json, path: str, asked: Json) -> list[Frame]:
        """The whole answer. What is asked for gives the name of the model."""
        model = turn.get("model") or asked.get("model") or path.rpartition("/")[2].partition(":")[0]
        events = list(self.stream(turn, model))
        if turn.get("fault") == "error":
            message = turn.get("message", "as the script says")
            error = self.error(turn["status"], message)
            if self.name == "responses":
                error = {**error["error"], "type": "error", "sequence_number": 99}
            events.append(("error", "error", error))
        return [(kind, _sse(self.name, event, data)) for kind, event, data in events]


def _sse(api: str, event: str, data: Json) -> bytes:
    text = json.dumps(data) if data else "[DONE]"
    # Only these two name their events, and Anthropic's client listens to the names.
    name = f"event: {event}\n" if api in ("anthropic", "responses") else ""
    return f"{name}data: {text}\n\n".encode()


def _pieces(turn: Json, name: str) -> list[str]:
    value = turn.get(name) or []
    return [value] if isinstance(value, str) else value


def _calls(turn: Json) -> list[tuple[str, str, Any]]:
    return [
        (call.get("id", f"call_{number}"), call["name"], call.get("arguments", {}))
        for number, call in enumerate(turn.get("calls", ()), 1)
    ]


def _raw(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _usage(turn: Json) -> Json | None:
    usage = turn.get("usage", {})
    if usage is None:
        return None
    return {"input": 10, "output": 5, "cached": 0, "thought": 0, **usage}


def _finish(turn: Json, words: dict[str, str]) -> str:
    finish = turn.get("finish") or ("tool_calls" if turn.get("calls") else "stop")
    return words.get(finish, finish)


def _gemini(turn: Json, model: str) -> Iterator[tuple[str, str, Json]]:
    signature = turn.get("signature")

    def chunk(part: Json | None, **more: Any) -> Json:
        nonlocal signature
        content = {"role": "model", "parts": [part] if part else []}
        if part and signature and not part.get("thought"):
            part["thoughtSignature"], signature = signature, None
        return {
            "candidates": [{"content": content, "index": 0, **more}],
            "modelVersion": model,
            "responseId": "answer-1",
        }

    for piece in _pieces(turn, "thought"):
        yield "thought", "", chunk({"text": piece, "thought": True})
    for piece in _pieces(turn, "text"):
        yield "text", "", chunk({"text": piece})
    for id, name, arguments in _calls(turn):
        call = {"id": id, "name": name, "args": arguments}
        yield "call", "", chunk({"functionCall": call})
    words = {
        "stop": "STOP",
        "tool_calls": "STOP",
        "length": "MAX_TOKENS",
        "filtered": "SAFETY",
    }
    end = chunk(None, finishReason=_finish(turn, words))
    if usage := _usage(turn):
        end["usageMetadata"] = {
            "promptTokenCount": usage["input"],
            "candidatesTokenCount": usage["output"] - usage["thought"],
            "thoughtsTokenCount": usage["thought"],
            "cachedContentTokenCount": usage["cached"],
            "totalTokenCount": usage["input"] + usage["output"],
        }
    yield "end", "", end


def _gemini_error(status: int, message: str) -> Json:
    words = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }
    word = words.get(status, "UNKNOWN")
    return {"error": {"code": status, "message": message, "status": word}}


def _anthropic(turn: Json, model: str) -> Iterator[tuple[str, str, Json]]:
    index = 0

    def event(name: str, **more: Any) -> tuple[str, Json]:
        return name, {"type": name, **more}

    def start(**block: Any) -> tuple[str, Json]:
        return event("content_block_start", index=index, content_block=block)

    def delta(**delta: Any) -> tuple[str, Json]:
        return event("content_block_delta", index=index, delta=delta)

    def stop() -> tuple[str, Json]:
        nonlocal index
        index += 1
        return event("content_block_stop", index=index - 1)

    usage = _usage(turn)
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    if usage:
        message["usage"] = {
            "input_tokens": usage["input"] - usage["cached"],
            "cache_read_input_tokens": usage["cached"],
            "cache_creation_input_tokens": 0,
            "output_tokens": 1,
        }
    yield "start", *event("message_start", message=message)
    if thoughts := _pieces(turn, "thought"):
        yield "thought", *start(type="thinking", thinking="", signature="")
        for piece in thoughts:
            yield "thought", *delta(type="thinking_delta", thinking=piece)
        yield "thought", *delta(type="signature_delta", signature=turn.get("signature", "none"))
        yield "thought", *stop()
    if texts := _pieces(turn, "text"):
        yield "start", *start(type="text", text="")
        for piece in texts:
            yield "text", *delta(type="text_delta", text=piece)
        yield "end", *stop()
    for id, name, arguments in _calls(turn):
        yield "call", *start(type="tool_use", id=id, name=name, input={})
        raw = _raw(arguments)
        for piece in (raw[: len(raw) // 2], raw[len(raw) // 2 :]):
            yield "call", *delta(type="input_json_delta", partial_json=piece)
        yield "call", *stop()
    words = {
        "stop": "end_turn",
        "tool_calls": "tool_use",
        "length": "max_tokens",
        "filtered": "refusal",
    }
    finish = {"stop_reason": _finish(turn, words), "stop_sequence": None}
    used = {"output_tokens": usage["output"] if usage else 0}
    yield "end", *event("message_delta", delta=finish, usage=used)
    yield "end", *event("message_stop")


def _anthropic_error(status: int, message: str) -> Json:
    words = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "api_error",
        529: "overloaded_error",
    }
    return {
        "type": "error",
        "error": {"type": words.get(status, "api_error"), "message": message},
    }


def _chat(turn: Json, model: str) -> Iterator[tuple[str, str, Json]]:
    def chunk(delta: Json, finish: str | None = None) -> Json:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_790_000_000,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    yield "start", "", chunk({"role": "assistant", "content": ""})
    for piece in _pieces(turn, "thought"):
        yield "thought", "", chunk({"reasoning": piece})
    for piece in _pieces(turn, "text"):
        yield "text", "", chunk({"content": piece})
    for index, (id, name, arguments) in enumerate(_calls(turn)):
        call: Json = {"index": index, "id": id, "type": "function"}
        call["function"] = {"name": name, "arguments": ""}
        yield "call", "", chunk({"tool_calls": [call]})
        raw = _raw(arguments)
        for piece in (raw[: len(raw) // 2], raw[len(raw) // 2 :]):
            more = {"index": index, "function": {"arguments": piece}}
            yield "call", "", chunk({"tool_calls": [more]})
    yield "end", "", chunk({}, _finish(turn, {"filtered": "content_filter"}))
    if usage := _usage(turn):
        last = {**chunk({}), "choices": []}
        last["usage"] = {
            "prompt_tokens": usage["input"],
            "completion_tokens": usage["output"],
            "total_tokens": usage["input"] + usage["output"],
            "prompt_tokens_details": {"cached_tokens": usage["cached"]},
            "completion_tokens_details": {"reasoning_tokens": usage["thought"]},
        }
        yield "end", "", last
    yield "end", "", {}


def _openai_error(status: int, message: str) -> Json:
    words = {
        400: ("invalid_request_error", None),
        401: ("invalid_request_error", "invalid_api_key"),
        404: ("invalid_request_error", "model_not_found"),
        429: ("requests", "rate_limit_exceeded"),
        500: ("server_error", "server_error"),
        503: ("server_error", "server_is_overloaded"),
    }
    kind, code = words.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _responses(turn: Json, model: str) -> Iterator[tuple[str, str, Json]]:
    output: list[Json] = []
    sequence = 0

    def event(name: str, **more: Any) -> tuple[str, Json]:
        nonlocal sequence
        sequence += 1
        return name, {"type": name, "sequence_number": sequence, **more}

    def response(status: str, **more: Any) -> Json:
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1_790_000_000,
            "model": model,
            "status": status,
            "output": output,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            **more,
        }

    def item(kind: str, item: Json, done: bool = False) -> tuple[str, Json]:
        if done:
            output.append(item)
        return event(f"response.output_item.{kind}", output_index=len(output) - done, item=item)

    yield "start", *event("response.created", response=response("in_progress"))
    if thoughts := _pieces(turn, "thought"):
        reasoning: Json = {"id": "rs_1", "type": "reasoning", "summary": []}
        yield "thought", *item("added", reasoning)
        place = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        yield "thought", *event("response.reasoning_summary_part.added", part=part, **place)
        for piece in thoughts:
            name = "response.reasoning_summary_text.delta"
            yield "thought", *event(name, delta=piece, **place)
        whole = {"type": "summary_text", "text": "".join(thoughts)}
        signature = turn.get("signature")
        done = {**reasoning, "summary": [whole], "encrypted_content": signature}
        yield "thought", *item("done", done, True)
    if texts := _pieces(turn, "text"):
        message: Json = {"id": "msg_1", "type": "message", "role": "assistant"}
        message |= {"status": "in_progress", "content": []}
        yield "start", *item("added", message)
        place = {"item_id": "msg_1", "output_index": len(output), "content_index": 0}
        empty: Json = {"type": "output_text", "text": "", "annotations": []}
        yield "start", *event("response.content_part.added", part=empty, **place)
        for piece in texts:
            yield "text", *event("response.output_text.delta", delta=piece, logprobs=[], **place)
        text = "".join(texts)
        yield "end", *event("response.output_text.done", text=text, logprobs=[], **place)
        content = [{**empty, "text": text}]
        yield "end", *item("done", {**message, "status": "completed", "content": content}, True)
    for id, name, arguments in _calls(turn):
        call: Json = {"id": f"fc_{id}", "type": "function_call", "call_id": id, "name": name}
        yield "call", *item("added", {**call, "arguments": "", "status": "in_progress"})
        raw = _raw(arguments)
        place = {"item_id": f"fc_{id}", "output_index": len(output)}
        for piece in (raw[: len(raw) // 2], raw[len(raw) // 2 :]):
            yield "call", *event("response.function_call_arguments.delta", delta=piece, **place)
        yield "call", *event("response.function_call_arguments.done", arguments=raw, **place)
        yield "call", *item("done", {**call, "arguments": raw, "status": "completed"}, True)
    usage = _usage(turn)
    used = usage and {
        "input_tokens": usage["input"],
        "input_tokens_details": {"cached_tokens": usage["cached"]},
        "output_tokens": usage["output"],
        "output_tokens_details": {"reasoning_tokens": usage["thought"]},
        "total_tokens": usage["input"] + usage["output"],
    }
    finish = _finish(turn, {"length": "max_output_tokens", "filtered": "content_filter"})
    if finish in ("stop", "tool_calls"):
        yield "end", *event("response.completed", response=response("completed", usage=used))
    else:
        why = {"reason": finish}
        last = response("incomplete", usage=used, incomplete_details=why)
        yield "end", *event("response.incomplete", response=last)


APIS = (
    Api("gemini", ":streamGenerateContent", _gemini, _gemini_error),
    Api("anthropic", "/v1/messages", _anthropic, _anthropic_error),
    Api("chat", "/chat/completions", _chat, _openai_error),
    Api("responses", "/responses", _responses, _openai_error),
)
