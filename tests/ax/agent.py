"""An agent of Google AX in a process of its own: `python -m tests.ax.agent [ADDRESS]`.

It prints its address, and then each request as a line of JSON. What it does is the first word of
what the user has said last:

    say WORDS     says each of them
    rich          says what is no text: a thought, a call, a result, an image, and deltas
    secret WORD   says it to itself, and something to all
    ask QUESTION  asks for a confirmation, and says what it was told
    once WORDS    the first time it stops without an end after the first word
    drop, fail, die, wrong, hang
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc

from tests.ax.client import say, shown
from tests.ax.wire import message

AgentResponse, HarnessResponse = message("AgentResponse"), message("HarnessResponse")
Message = message("Message")
_tries: Counter[str] = Counter()


class Dropped(Exception):
    """The stream ends, and has no end."""


def text(said: str, **more: Any) -> Any:
    return Message(role="assistant", content={"text": {"text": said}}, **more)


def content(**kind: Any) -> Any:
    return Message(role="model", content=kind)


def work(conversation: str, messages: list[Any], context: Any) -> Iterator[list[Any]]:
    """What the agent says, batch by batch."""
    last = messages[-1].content
    if last.WhichOneof("type") == "confirmation":
        yield [text("approved" if last.confirmation.approval.approved else "declined")]
        return
    verb, _, rest = last.text.text.partition(" ")
    match verb:
        case "say":
            for word in rest.split():
                yield [text(word)]
        case "rich":
            yield [content(text_delta={"text": "half of it "})]
            summary = [{"text": {"text": "hmm"}}]
            yield [content(thought={"summary": summary, "signature": b"sig"})]
            yield [content(tool_call={"id": "1", "function_call": {"name": "look"}})]
            yield [content(tool_result={"call_id": "1", "function_result": {"name": "look"}})]
            yield [content(image={"mime_type": 1, "data": b"png"}), text("seen")]
        case "secret":
            yield [text(f"session {rest}", internal_only=True), text("noted")]
        case "ask":
            yield [text("one moment")]
            yield [content(confirmation={"id": "k1", "question": rest})]
        case "once":
            first, *others = rest.split()
            yield [text(first)]
            _tries[conversation] += 1
            if _tries[conversation] == 1:
                raise Dropped
            yield [text(word) for word in others]
        case _:
            yield [text("partial")]
            spoil(verb, context)


def spoil(verb: str, context: Any) -> None:
    if verb == "drop":
        raise Dropped
    if verb == "die":
        os._exit(1)
    if verb == "fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this")
    if verb == "hang":
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait()
        say({"left": True})


def connect(request: Any, context: Any) -> Iterator[Any]:
    """AgentService."""
    metadata = dict(context.invocation_metadata())
    say({"request": shown(request), "execution-id": metadata.get("execution-id")})
    ids = {"conversation_id": request.conversation_id, "exec_id": request.exec_id}
    messages = list(request.start.messages)
    if messages[-1].content.text.text == "wrong":
        ids["exec_id"] = "another"
    try:
        for said in work(request.conversation_id, messages, context):
            yield AgentResponse(**ids, outputs={"messages": said})
    except Dropped:
        return
    yield AgentResponse(**ids, end={})


def connect_harness(requests: Iterator[Any], context: Any) -> Iterator[Any]:
    """HarnessService."""
    request = next(requests)
    say({"request": shown(request)})
    known = request.conversation_id
    messages = list(request.start.messages)
    word = messages[-1].content.text.text
    if word in ("hang", "fail"):
        yield HarnessResponse(conversation_id=known, outputs={"messages": [text("partial")]})
    if word == "hang":
        say({"cancel": shown(next(requests))})
        yield HarnessResponse(conversation_id=known, end={"state": 4})
    elif word == "fail":
        error = {"code": 9, "description": "not like this"}
        yield HarnessResponse(conversation_id=known, end={"state": 2, "error": error})
    else:
        for said in work(known, messages, context):
            yield HarnessResponse(conversation_id=known, outputs={"messages": said})
        yield HarnessResponse(conversation_id=known, end={"state": 3})


def health(request: Any, context: Any) -> Any:
    ill = os.environ.get("AX_ILL", "")
    return message("HealthCheckResponse")(healthy=not ill, message=ill)


def handlers() -> list[grpc.GenericRpcHandler]:
    def made(kind: Any, function: Any, takes: str, gives: str) -> Any:
        return kind(
            function,
            request_deserializer=message(takes).FromString,
            response_serializer=message(gives).SerializeToString,
        )

    stream = grpc.unary_stream_rpc_method_handler
    both = grpc.stream_stream_rpc_method_handler
    agent = {
        "Connect": made(stream, connect, "AgentRequest", "AgentResponse"),
        "HealthCheck": made(
            grpc.unary_unary_rpc_method_handler,
            health,
            "HealthCheckRequest",
            "HealthCheckResponse",
        ),
    }
    harness = {"Connect": made(both, connect_harness, "HarnessRequest", "HarnessResponse")}
    return [
        grpc.method_handlers_generic_handler("ax.AgentService", agent),
        grpc.method_handlers_generic_handler("ax.HarnessService", harness),
    ]


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(handlers())
    port = server.add_insecure_port(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:0")
    server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
