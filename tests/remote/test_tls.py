"""Servers that speak TLS, with certificates on one side or on both."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from axtui.model.tokens import secret_hash
from axtui.remote.client import RemoteClient
from axtui.runtime.config import ServerTls, ServerToken
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused, Unreachable

from .authority import Authority, Pair
from .harness import Serve, Served


def https(server: Served, host: str = "localhost") -> str:
    return f"https://{host}:{server.address.rpartition(':')[2]}"


async def looks(client: RemoteClient) -> None:
    """Raises what hinders it."""
    assert await client.conversations() == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_that_verifies(served: Serve, authority: Authority, host: str) -> None:
    server = await served(tls=ServerTls(*authority.pair()))
    await looks(server.client(address=https(server, host), ca=authority.ca))


async def test_over_ipv6(served: Serve, authority: Authority) -> None:
    server = await served("[::1]:0", tls=ServerTls(*authority.pair()))
    assert server.address.startswith("[::1]:")
    await looks(server.client(address=f"https://{server.address}", ca=authority.ca))


async def test_tokens_over_tls_from_any_address(served: Serve, authority: Authority) -> None:
    tokens = (ServerToken("ann", secret_hash("s3cret").hex(), "operator"),)
    server = await served("0.0.0.0:0", tls=ServerTls(*authority.pair()), tokens=tokens)
    client = server.client("s3cret", https(server), ca=authority.ca)
    await client.start("c", "hello", "echo", RunOptions())
    assert (await server.records("c"))[0].event().principal == "ann"
    with pytest.raises(Refused, match="a token is needed"):
        await looks(server.client(address=https(server), ca=authority.ca))


class TestClientsWithCertificates:
    async def test_who_has_one_is_who_it_says(self, served: Serve, authority: Authority) -> None:
        server = await served("0.0.0.0:0", tls=ServerTls(*authority.pair(), authority.ca))
        client = _shows(server, authority, authority.pair("ann"))
        await client.start("c", "hello", "echo", RunOptions())
        assert (await server.records("c"))[0].event().principal == "ann"

    async def test_and_may_do_what_its_name_may(self, served: Serve, authority: Authority) -> None:
        roles = {"ann": "operator", "watch-*": "viewer"}
        tls = ServerTls(*authority.pair(), authority.ca, roles)  # type: ignore[arg-type]
        server = await served(tls=tls)
        await _shows(server, authority, authority.pair("ann")).start(
            "c", "hello", "echo", RunOptions()
        )
        viewer = _shows(server, authority, authority.pair("watch-2"))
        assert len(await viewer.conversations()) == 1
        with pytest.raises(Refused, match="watch-2 is a viewer, and Cancel takes the role operat"):
            await viewer.cancel("c", "")
        with pytest.raises(Refused, match="nobody has given the certificate of eve a role"):
            await _shows(server, authority, authority.pair("eve")).conversations()

    async def test_a_token_says_more_than_the_certificate(
        self, served: Serve, authority: Authority
    ) -> None:
        server = await served(tls=ServerTls(*authority.pair(), authority.ca))
        secret = await server.token("operator", "bob")
        client = _shows(server, authority, authority.pair("ann"), secret)
        await client.start("c", "hello", "echo", RunOptions())
        assert (await server.records("c"))[0].event().principal == "bob"

    async def test_one_that_names_nobody_is_nobody_s(
        self, served: Serve, authority: Authority
    ) -> None:
        tls = ServerTls(*authority.pair(), authority.ca, {"*": "viewer"})
        server = await served(tls=tls)
        with pytest.raises(Refused, match="the certificate has no common name"):
            await looks(_shows(server, authority, authority.pair("")))

    async def test_without_one_nobody_connects(self, served: Serve, authority: Authority) -> None:
        server = await served(tls=ServerTls(*authority.pair(), authority.ca))
        with pytest.raises(Unreachable, match="wants a certificate of ours"):
            await looks(server.client(address=https(server), ca=authority.ca))

    async def test_nor_with_one_of_somebody_else(
        self, served: Serve, authority: Authority, tmp_path: Path
    ) -> None:
        server = await served(tls=ServerTls(*authority.pair(), authority.ca))
        other = Authority(tmp_path / "other").pair("ann")
        with pytest.raises(Unreachable, match="doesn't take our certificate"):
            await looks(_shows(server, authority, other))


def _shows(server: Served, authority: Authority, pair: Pair, token: str = "") -> RemoteClient:
    """A client with a certificate."""
    return server.client(token, https(server), ca=authority.ca, cert=pair.cert, key=pair.key)


class TestNewCertificates:
    async def test_are_used_from_the_next_connection_on(
        self, served: Serve, authority: Authority, tmp_path: Path
    ) -> None:
        other = Authority(tmp_path / "other")
        pair = authority.pair()
        server = await served(tls=ServerTls(*pair))
        before = server.client(address=https(server), ca=authority.ca)
        await looks(before)
        _replace(pair, other.pair())
        await looks(server.client(address=https(server), ca=other.ca))
        with pytest.raises(Unreachable, match="nobody we know has signed"):
            await looks(server.client(address=https(server, "127.0.0.1"), ca=authority.ca))
        # What is connected stays so.
        await looks(before)

    async def test_that_can_t_be_used_leave_the_old_ones(
        self, served: Serve, authority: Authority, capfd: pytest.CaptureFixture[str]
    ) -> None:
        pair = authority.pair()
        server = await served(tls=ServerTls(*pair))
        key = _rewrite(pair.key, "no key\n")
        for host in ("localhost", "127.0.0.1"):
            await looks(server.client(address=https(server, host), ca=authority.ca))
        told = capfd.readouterr().err
        assert told.count("the certificates stay as they were") == 1
        assert pair.cert in told
        assert "PRIVATE" not in told
        # The other half of a pair that was written file by file.
        _rewrite(pair.key, key)
        await looks(server.client(address=https(server), ca=authority.ca))
        assert capfd.readouterr().err == ""


def _rewrite(name: str, text: str) -> str:
    path = Path(name)
    before = path.read_text()
    path.write_text(text)
    return before


def _replace(pair: Pair, other: Pair) -> None:
    for old, new in zip(pair, other, strict=True):
        Path(new).replace(old)


@pytest.mark.parametrize("missing", ["cert", "key", "client_ca"])
async def test_files_that_are_missing_are_named(
    served: Serve, authority: Authority, tmp_path: Path, missing: str
) -> None:
    cert, key = authority.pair()
    files = {"cert": cert, "key": key, "client_ca": authority.ca, missing: str(tmp_path / "none")}
    with pytest.raises(Refused, match="none: No such file"):
        await served(tls=ServerTls(**files))


async def test_files_that_don_t_fit_are_named(served: Serve, authority: Authority) -> None:
    one, other = authority.pair(), authority.pair()
    with pytest.raises(Refused, match="can't be used: key values mismatch"):
        await served(tls=ServerTls(one.cert, other.key))
    with pytest.raises(Refused, match="can't be used"):
        await served(tls=ServerTls(one.key, one.cert))


class TestWhereItListens:
    @pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", ":0", "*:0"])
    async def test_beyond_this_machine_takes_tls_and_an_answer_to_who(
        self, served: Serve, authority: Authority, address: str
    ) -> None:
        tokens = (ServerToken("ann", "0" * 64, "operator"),)
        for unsafe in ({}, {"tls": ServerTls(*authority.pair())}, {"tokens": tokens}):
            with pytest.raises(Refused, match="takes TLS, and tokens or client certificates"):
                await served(address, **unsafe)
        await served(address, tls=ServerTls(*authority.pair()), tokens=tokens)

    async def test_unless_somebody_insists(self, served: Serve) -> None:
        server = await served("0.0.0.0:0", insecure=True)
        port = server.address.rpartition(":")[2]
        await looks(server.client(address=f"127.0.0.1:{port}"))

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
    async def test_on_this_machine_takes_nothing(self, served: Serve, host: str) -> None:
        server = await served(f"{host}:0")
        await looks(server.client())

    async def test_a_unix_socket_is_for_its_user_alone(self, served: Serve, tmp_path: Path) -> None:
        path = tmp_path / "socket"
        server = await served(f"unix:{path}")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await server.token("viewer")
        client = server.client()
        await client.start("c", "hello", "echo", RunOptions())
        assert (await server.records("c"))[0].event().principal == server.local._principal
        # It isn't the folder of whoever asks.
        state = await client.state("c")
        assert state.run.workspace == str(tmp_path / "work" / "c")

    async def test_a_port_that_is_taken(self, served: Serve) -> None:
        server = await served()
        with pytest.raises(Refused, match=f"on {server.address}: Address already in use"):
            await server.server.start([server.address])

    async def test_a_socket_that_is_taken(self, served: Serve, tmp_path: Path) -> None:
        server = await served(f"unix:{tmp_path}/socket")
        with pytest.raises(Refused, match="somebody listens on"):
            await server.server.start([server.address])

    async def test_a_socket_whose_path_is_too_long(self, served: Serve) -> None:
        with pytest.raises(Refused, match=r"can't listen on unix:x*: AF_UNIX path too long"):
            await served(f"unix:{'x' * 150}")

    @pytest.mark.parametrize("address", ["", "localhost", "a:b", "1.2.3.4:99999", "unix:", "h:1:2"])
    async def test_what_is_no_address(self, served: Serve, address: str) -> None:
        with pytest.raises(Refused, match="is no address of a server"):
            await served(address)


@pytest.mark.parametrize(
    "address", ["http://", "https://:1", "a b", "*:1", "x:0", "unix:", "ax:y:z"]
)
async def test_addresses_that_no_server_can_have(served: Serve, address: str) -> None:
    server = await served()
    with pytest.raises(Refused, match="is no address of a server"):
        server.client(address=address)


async def test_a_token_isn_t_sent_in_the_clear(served: Serve) -> None:
    server = await served()
    with pytest.raises(Refused, match=r"would be sent to example\.org in the clear"):
        server.client("s3cret", "example.org")
    server.client("s3cret", "example.org", insecure=True)
    server.client("s3cret", "https://example.org")
