"""Who is let in, and as what."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from axtui.model.ids import new_id
from axtui.model.tokens import new_secret, secret_hash
from axtui.remote import messages as msg
from axtui.remote.client import RemoteClient
from axtui.remote.roles import LEAST
from axtui.runtime.config import ServerToken
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused
from axtui.v1 import service_pb2 as sv

from .harness import Serve, Served

HOUR = 3600 * 10**6


def now_us() -> int:
    return time.time_ns() // 1000


async def refusal(client: RemoteClient) -> Refused:
    """What a client that only looks is told."""
    with pytest.raises(Refused) as caught:
        await client.conversations()
    return caught.value


async def test_on_this_machine_nobody_needs_a_token(served: Serve) -> None:
    server = await served()
    client = server.client()
    await client.start("c", "hello", "echo", RunOptions())
    started = (await server.records("c"))[0].event()
    assert started.principal == "anonymous"


async def test_once_there_is_a_token_everybody_needs_one(served: Serve) -> None:
    server = await served()
    client = server.client()
    assert await client.conversations() == []
    secret = await server.token("viewer")
    refused = await refusal(client)
    assert (refused.code, str(refused)) == ("denied", "a token is needed")
    assert await server.client(secret).conversations() == []


async def test_and_the_last_one_that_is_revoked_opens_nothing(served: Serve) -> None:
    server = await served()
    await server.token("viewer")
    await server.local.revoke_token("viewer")
    assert str(await refusal(server.client())) == "a token is needed"


async def test_a_token_of_nobody(served: Serve) -> None:
    server = await served()
    await server.token("viewer")
    secret = new_secret()
    refused = await refusal(server.client(secret))
    assert (refused.code, str(refused)) == ("denied", "the token is none of this server's")
    assert secret not in refused.hint


@pytest.mark.parametrize("value", ["Basic x", "Bearer", "Bearer ", "x" * 4000, "Bearer a b"])
async def test_no_token_at_all(served: Serve, value: str) -> None:
    # Nobody has none, not even where somebody has hashed an empty variable.
    server = await served(tokens=(ServerToken("nobody", secret_hash("").hex(), "admin"),))
    stub = server.stub()
    stub.metadata = (*stub.metadata, ("authorization", value))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub("list", sv.ListRequest())
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_that_is_revoked_or_expired(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await served()
    secret = await server.token("viewer", "ann")
    assert await server.client(secret).conversations() == []
    await server.local.revoke_token("ann")
    assert str(await refusal(server.client(secret))) == "the token ann was revoked"
    short = new_secret()
    await server.local.create_token("bob", "viewer", secret_hash(short), now_us() + HOUR)
    client = server.client(short)
    assert await client.conversations() == []
    monkeypatch.setattr("axtui.runtime.tokens._now_us", lambda: now_us() + HOUR)
    assert str(await refusal(client)) == "the token bob has expired"


async def test_an_open_stream_of_it_gets_nothing_more(served: Serve) -> None:
    server = await served()
    secret = await server.token("viewer", "ann")
    await server.local.start("c", "", "asker", RunOptions())
    seen = server.client(secret).watch("c", 0)
    assert await anext(seen)
    await server.local.revoke_token("ann")
    await server.local.cancel("c", "")
    with pytest.raises(Refused, match="let in no more"):
        async for _ in seen:
            pass


async def test_tokens_of_the_configuration(served: Serve) -> None:
    secret, old = new_secret(), new_secret()
    tokens = (
        ServerToken("ann", secret_hash(secret).hex(), "operator"),
        ServerToken("bob", secret_hash(old).hex(), "viewer", expires="2020-01-01"),
    )
    server = await served(tokens=tokens)
    await server.client(secret).start("c", "hello", "echo", RunOptions())
    assert (await server.records("c"))[0].event().principal == "ann"
    assert str(await refusal(server.client(old))) == "the token bob has expired"
    assert str(await refusal(server.client())) == "a token is needed"
    with pytest.raises(Refused, match="one of the configuration"):
        await server.local.revoke_token("ann")
    with pytest.raises(Refused, match="there is a token 'ann' already"):
        await server.local.create_token("ann", "viewer", secret_hash(new_secret()), 0)


async def test_what_is_made_survives_and_only_its_hash_is_kept(served: Serve) -> None:
    server = await served()
    secret = await server.token("admin", "ann")
    client = server.client(secret)
    other = new_secret()
    await client.create_token("bob", "viewer", secret_hash(other), now_us() + HOUR)
    made = {token.name: token for token in await client.tokens()}
    assert made["bob"].created_by == "ann"
    assert made["bob"].hash == b""
    log = b"".join(record.data for record in await server.records())
    assert secret.encode() not in log
    assert other.encode() not in log
    assert secret_hash(other) in log


async def test_the_same_request_twice_makes_one_token(served: Serve) -> None:
    server = await served()
    stub = server.stub()
    request = sv.CreateTokenRequest(
        name="ann", role="admin", hash=secret_hash("x"), request_id=new_id()
    )
    await stub("create_token", request)
    stub = server.stub("x")
    await stub("create_token", request)
    other = sv.RevokeTokenRequest(name="ann", request_id=request.request_id)
    with pytest.raises(grpc.aio.AioRpcError, match="has caused something else already"):
        await stub("revoke_token", other)
    assert [token.state(0) for token in await server.local.tokens()] == ["valid"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a b"}, "can't be the name of a token"),
        ({"name": ""}, "can't be the name of a token"),
        ({"name": "x" * 65}, "can't be the name of a token"),
        ({"role": "root"}, "there is no role 'root'"),
        ({"hash": b"short"}, "its SHA-256"),
        ({"expires_us": 1}, "can't have expired"),
        ({"expires_us": -1}, "can't have expired"),
    ],
)
async def test_what_is_no_token_is_not_made(
    served: Serve, change: dict[str, object], message: str
) -> None:
    server = await served()
    said = {"name": "ann", "role": "viewer", "hash": bytes(32), "expires_us": 0, **change}
    with pytest.raises(Refused, match=message):
        await server.client().create_token(**said)  # type: ignore[arg-type]
    assert await server.local.tokens() == []


class TestRoles:
    async def test_every_method_that_is_served_has_one(self, served: Serve) -> None:
        server = await served()
        with grpc.insecure_channel(server.address) as channel:
            found = await asyncio.to_thread(_methods, channel)
        assert set(found) <= set(LEAST)
        assert {name for name in LEAST if name.startswith("/axtui.")} <= set(found)

    @pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
    async def test_it_is_the_least_that_a_method_takes(self, served: Serve, role: str) -> None:
        server = await served()
        stub = server.stub(await server.token(role))
        order = ["", "viewer", "operator", "admin"]
        for name, least in LEAST.items():
            if name.startswith("/axtui.v1.Controller/"):
                # The same bytes for any method. Only of what is sent in one piece with the call
                # does gRPC's client surely tell what the server said, when that comes at once.
                call = stub.channel.unary_stream(name)(b"\xff", metadata=stub.metadata)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    async for _ in call:
                        pass
                allowed = order.index(role) >= order.index(least)
                expected = "INVALID_ARGUMENT" if allowed else "PERMISSION_DENIED"
                assert (name, caught.value.code().name) == (name, expected)
                if not allowed:
                    method = name.rpartition("/")[2]
                    assert f"{method} takes the role {least}" in str(caught.value.details())

    async def test_our_client_is_told_which_it_takes(self, served: Serve) -> None:
        server = await served()
        client = server.client(await server.token("operator", "ann"))
        with pytest.raises(Refused, match="ann is an operator, and Delete takes the role admin"):
            await client.delete("c", "")

    async def test_anybody_may_ask_whether_the_server_is_well(self, served: Serve) -> None:
        server = await served()
        await server.token("viewer")
        health = health_pb2_grpc.HealthStub(server.stub().channel)
        reply = await health.Check(health_pb2.HealthCheckRequest())
        assert reply.status == health_pb2.HealthCheckResponse.SERVING

    async def test_but_not_what_there_is(self, served: Serve) -> None:
        server = await served()
        await server.token("viewer")
        with (
            grpc.insecure_channel(server.address) as channel,
            pytest.raises(grpc.RpcError) as caught,
        ):
            await asyncio.to_thread(_methods, channel)
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def _methods(channel: grpc.Channel) -> list[str]:
    database = ProtoReflectionDescriptorDatabase(channel)
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool(database)
    return [
        f"/{service}/{method.name}"
        for service in database.get_services()
        for method in pool.FindServiceByName(service).methods
    ]


async def test_who_did_what_is_in_the_log(served: Serve) -> None:
    server = await served()
    ann = server.client(await server.token("operator", "ann"))
    bob = server.client(await server.token("admin", "bob"))
    await ann.start("c", "", "asker", RunOptions())
    async for _ in bob.watch("c", 0):
        if (await bob.state("c")).questions:
            break
    await bob.answer("c", "", "", "go", False)
    await _ended(server, "c")
    await ann.fork("c", None, "d", None)
    await bob.delete("d", "")
    await bob.purge("d")
    who = {
        record.kind: record.event().principal
        for name in ("c", "$control")
        for record in await server.records(name)
    }
    assert who["run.started"] == "ann"
    assert who["approval.answered"] == "bob"
    assert who["conversation.purged"] == "bob"


async def test_an_import_that_is_refused_says_why(served: Serve) -> None:
    server = await served()
    client = server.client(await server.token("viewer", "ann"))
    for lines in (["x"], ["x" * 1000] * 3, ["x" * 3_000_000] * 3):
        for _ in range(10):
            with pytest.raises(Refused, match="ann is a viewer, and Restore takes the role admin"):
                await client.restore(lines)


async def test_the_control_log_can_t_be_purged(served: Serve) -> None:
    server = await served()
    client = server.client(await server.token("admin"))
    with pytest.raises(Refused, match="tells what became"):
        await client.purge("$control")


async def test_a_run_that_hasn_t_ended_can_t_be_purged(served: Serve) -> None:
    server = await served()
    client = server.client(await server.token("admin"))
    await client.start("c", "sleep 9", "shell", RunOptions())
    with pytest.raises(Refused, match="a run of c is in flight"):
        await client.purge("c")
    await client.pause("c", "")
    with pytest.raises(Refused, match="the run of c hasn't ended"):
        await client.purge("c")
    await client.delete("c", "")
    await client.purge("c")


async def test_a_run_that_is_purged_while_a_server_starts(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await served()
    client = server.client()
    for name in ("a", "b"):
        await client.start(name, "sleep 9", "shell", RunOptions(on_interrupted="skip"))
    assert server.local.host
    controller = server.local.host.controller
    await controller.suspend()
    resume = controller.resume

    async def slowly(name: str, *rest: Any) -> Any:
        monkeypatch.setattr(controller, "resume", resume)
        other = {"a": "b", "b": "a"}[name]
        await client.delete(other, "")
        await client.purge(other)
        return await resume(name, *rest)

    monkeypatch.setattr(controller, "resume", slowly)
    assert await controller.drive_all("ann") == {}
    assert len(await client.conversations()) == 1


async def test_a_client_of_another_version(served: Serve) -> None:
    server = await served()
    stub = server.stub()
    stub.metadata = (("axtui-api", "0"),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub("list", sv.ListRequest())
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    problem = dict(caught.value.trailing_metadata())["axtui-problem-bin"]
    assert msg.error_of(sv.Problem.FromString(problem)).__class__.__name__ == "Unreachable"


async def _ended(server: Served, conversation_id: str) -> None:
    task = server.local.host and server.local.host.controller.driven(conversation_id)
    if task is not None:
        await asyncio.wait({task})
