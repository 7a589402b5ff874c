"""Requests that are well formed, and mean no good."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.message_factory import GetMessageClass

from axtui.model.events import Draft
from axtui.model.ids import new_id
from axtui.remote.messages import records_of
from axtui.remote.service import MAX_LISTED
from axtui.runtime.config import Config, Environment
from axtui.runtime.eventlog.base import LogDamaged
from axtui.runtime.eventlog.schema import connect
from axtui.runtime.folders import folder_of
from axtui.v1 import event_pb2 as pb
from axtui.v1 import service_pb2 as sv

from .harness import CONTROLLER, Serve

OPTIONS = sv.RunOptions
_METHODS = {method.name.lower(): method for method in CONTROLLER.methods}


@pytest.mark.parametrize(
    "name", [".", "..", "...", "../..", "/etc", "a/../..", "a/b", "ü" * 200, "%2e%2e", "a" * 200]
)
def test_every_conversation_has_a_folder_of_its_own(tmp_path: Path, name: str) -> None:
    config = Config(data_dir=tmp_path / "data", environment=Environment(workspace=str(tmp_path)))
    folder = folder_of(config, name)
    folder.mkdir()
    assert folder.resolve().parent == tmp_path


def test_no_two_have_the_same(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path / "data")
    names = [".", "..", "%2E", "%2E%2E", "a", "a/", "ü" * 199, "ü" * 200, "a" * 200]
    assert len({folder_of(config, name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("method", "request_", "said"),
    [
        ("start", {"input": "x" * (16 * 1024 * 1024 + 1)}, "the input is longer than"),
        ("start", {"request_id": "x" * 201}, "the id of a request has at most 200"),
        ("start", {"options": OPTIONS(config="1e999")}, "the agent's configuration isn't JSON"),
        ("start", {"options": OPTIONS(config="[" * 5000)}, "the agent's configuration isn't JSON"),
        ("start", {"options": OPTIONS(approve="everything")}, "there is no 'everything'"),
        ("start", {"options": OPTIONS(on_interrupted="x")}, "there is no 'x'"),
        ("start", {"conversation_id": "$control"}, "can't be the id of a conversation"),
        ("start", {"conversation_id": "a\0b"}, "can't be the id of a conversation"),
        ("start", {"conversation_id": ""}, "can't be the id of a conversation"),
        ("start", {"conversation_id": "x" * 201}, "an id has at most 200 characters"),
        ("cancel", {"reason": "x" * 10_001}, "the reason is longer than 10,000"),
        ("delete", {"reason": "x" * 10_001}, "the reason is longer than 10,000"),
        ("tell", {"text": "x" * (1024 * 1024 + 1)}, "the message is longer than 1,048,576"),
        ("answer", {"text": "x" * (1024 * 1024 + 1)}, "the answer is longer than"),
        ("fork", {"edit": "[]"}, "the edit isn't a JSON object"),
        ("fork", {"edit": '{"a": 1e999}'}, "the edit isn't JSON"),
        ("list", {"limit": MAX_LISTED + 1}, "a list has at most 10,000"),
        ("list", {"states": ["x"] * 101}, "at most 100 states"),
        ("read", {"kinds": ["x"] * 101}, "at most 100 states or kinds"),
        ("prunable", {"states": ["x"] * 101}, "at most 100 states"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_too_much_or_makes_no_sense(
    served: Serve, method: str, request_: dict[str, Any], said: str
) -> None:
    server = await served()
    stub = server.stub()
    await stub("start", sv.StartRequest(conversation_id="c", agent="echo", request_id=new_id()))
    message = GetMessageClass(_METHODS[method].input_type)
    name = "source_id" if method == "fork" else "conversation_id"
    named = {name: "c"} if name in message.DESCRIPTOR.fields_by_name else {}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub(method, message(**{**named, **request_}))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(caught.value.details())
    assert os.listdir(str(server.config.environment.workspace)) == ["c"]


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63)])
async def test_numbers_from_the_ends_of_their_range(served: Serve, number: int) -> None:
    server = await served()
    stub = server.stub()
    await stub("start", sv.StartRequest(conversation_id="c", agent="echo", request_id=new_id()))
    read = await stub("read", sv.ReadRequest(conversation_id="c", after=0, limit=number))
    assert records_of(read)
    assert not (await stub("prunable", sv.PrunableRequest(before_us=-1))).conversations
    await stub("read", sv.ReadRequest(conversation_id="c", after=number))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub("get_state", sv.GetStateRequest(conversation_id="c", seq=number))
    assert caught.value.code() == grpc.StatusCode.OUT_OF_RANGE


async def test_a_log_that_is_damaged_is_told_to_those_who_watch(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axtui.runtime.eventlog.writer.FRESH_EVENTS", 1)
    server = await served()
    log = (await server.local.hold()).log
    conversation = await log.conversation("c", create=True)
    await conversation.append(*(Draft(pb.Note(text=str(number))) for number in range(300)))
    with closing(connect(server.config.data_dir / "log.db", write=True)) as connection:
        connection.execute("UPDATE blocks SET records = x'ff' WHERE first = 129")
    with pytest.raises(LogDamaged, match=r"log.db is damaged"):
        async for _ in server.client().watch("c", 0):
            pass


def test_what_a_server_sends_instead_of_events_is_told() -> None:
    with pytest.raises(LogDamaged, match="are no events"):
        records_of(sv.Page(records=[b"\xff"]))
