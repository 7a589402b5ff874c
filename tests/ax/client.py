"""A client of Google AX in a process of its own, told what to do by lines of JSON.

`{"call": N, "method": M, "request": R}` begins a call, `{"call": N, "cancel": true}` ends it. It
answers with `{"call": N, "message": R}` for each message, and `{"call": N, "status": S, "details":
D}` at the end.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import grpc
from google.protobuf import json_format

from tests.ax.wire import METHODS, UNARY, message

_lock = threading.Lock()


def say(value: dict[str, Any]) -> None:
    with _lock:
        print(json.dumps(value), flush=True)


def read(name: str, value: dict[str, Any]) -> Any:
    return json_format.ParseDict(value, message(name)())


def shown(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(value, preserving_proto_field_name=True)
    return found


def begin(channel: grpc.Channel, method: str, request: dict[str, Any]) -> Any:
    takes, gives = METHODS[method]
    kind = channel.unary_unary if method in UNARY else channel.unary_stream
    call = kind(
        method,
        request_serializer=message(takes).SerializeToString,
        response_deserializer=message(gives).FromString,
    )
    return call.future(read(takes, request)) if method in UNARY else call(read(takes, request))


def follow(number: int, method: str, call: Any) -> None:
    try:
        for found in [call.result()] if method in UNARY else call:
            say({"call": number, "message": shown(found)})
    except (grpc.RpcError, grpc.FutureCancelledError):
        pass
    code = call.code() or grpc.StatusCode.CANCELLED
    say({"call": number, "status": code.name, "details": call.details()})


def main() -> None:
    channel = grpc.insecure_channel(sys.argv[1])
    calls = {}
    for line in sys.stdin:
        told = json.loads(line)
        number = told["call"]
        if told.get("cancel"):
            calls[number].cancel()
            continue
        calls[number] = begin(channel, told["method"], told["request"])
        threading.Thread(
            target=follow, args=(number, told["method"], calls[number]), daemon=True
        ).start()
    channel.close()


if __name__ == "__main__":
    main()
