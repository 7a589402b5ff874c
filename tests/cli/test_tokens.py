"""Tokens as people make and use them, and where a server listens."""

from __future__ import annotations

import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from axtui.cli import COMMANDS
from axtui.model.tokens import new_secret, secret_hash

from .harness import Cli, here


def created(cli: Cli, monkeypatch: pytest.MonkeyPatch, *rest: str) -> str:
    """A new admin's token, used from now on."""
    done = cli("token", "create", "ann", "--role", "admin", *rest)
    assert done.status == 0
    monkeypatch.setenv("AXTUI_TOKEN", done.out.strip())
    return done.out.strip()


def test_it_is_printed_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no tokens" in cli("token", "list").out
    secret = created(cli, monkeypatch, "--expires", "90d")
    assert re.fullmatch(r"axtui_[\w-]{43}", secret)
    listed = cli("token", "list")
    assert listed.out.splitlines()[1].split()[:3] == ["ann", "admin", "valid"]
    (told,) = cli("token", "list", "--output", "json").json()
    assert told["role"] == "admin"
    assert secret not in f"{listed}{told}{cli('events', '$control', '--output', 'json')}"


def test_json(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = cli("token", "create", "ann", "--role", "viewer", "--output", "json").json()
    assert set(told) == {"token", "role", "expires", "secret"}
    monkeypatch.setenv("AXTUI_TOKEN", told["secret"])
    assert cli("list").status == 0


def test_revoked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    created(cli, monkeypatch)
    assert cli("token", "create", "bob", "--role", "viewer").status == 0
    assert cli("token", "revoke", "bob").status == 0
    states = [row.split()[2] for row in cli("token", "list").out.splitlines()[1:]]
    assert states == ["valid", "revoked"]
    again = cli("token", "revoke", "bob")
    assert (again.status, "is revoked already" in again.err) == (4, True)
    unknown = cli("token", "revoke", "eve")
    assert (unknown.status, "there is no token 'eve'" in unknown.err) == (4, True)
    assert cli("token", "create", "bob", "--role", "viewer").status == 0
    kinds = [event["kind"] for event in cli("events", "$control", "--output", "json").json()]
    assert kinds == [*["token.created"] * 2, "token.revoked", "token.created"]


@pytest.mark.parametrize(
    "args",
    [
        ["create"],
        ["create", "ann"],
        ["create", "a b", "--role", "viewer"],
        ["create", "ann", "--role", "root"],
        ["create", "ann", "--role", "viewer", "--expires", "soon"],
        ["list", "ann"],
        ["revoke"],
        ["revoke", "ann", "--role", "viewer"],
        ["make"],
    ],
)
def test_wrong_calls_make_nothing(cli: Cli, args: list[str]) -> None:
    done = cli("token", *args)
    assert (done.status, done.out) == (2, "")
    assert "no tokens" in cli("token", "list").out


@here
class TestClients:
    """Of a server whose log has tokens."""

    @pytest.fixture
    def server(self, cli: Cli) -> Iterator[Cli]:
        assert cli("token", "create", "ann", "--role", "viewer").status == 0
        with cli.started("serve", "--address", "127.0.0.1:0") as process:
            assert process.stdout
            cli.reach = [*cli.reach, "--server", process.stdout.readline().split()[-1]]
            yield cli

    def test_without_a_token(self, server: Cli) -> None:
        done = server("list", "--output", "json")
        assert done.status == 4
        assert done.error()["code"] == "denied"
        assert done.error()["message"] == "a token is needed"

    def test_with_a_wrong_one(self, server: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        secret = new_secret()
        monkeypatch.setenv("AXTUI_TOKEN", secret)
        done = server("list", "-v")
        assert (done.status, secret in done.err) == (4, False)

    def test_a_doctor_tries_it(self, server: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        def check() -> tuple[str, str]:
            checks = server("doctor", "--output", "json").json()
            (found,) = [check for check in checks if check["check"] == "server"]
            return found["state"], found["result"]

        address = server.reach[-1]
        assert check() == ("failed", "a token is needed")
        monkeypatch.setenv("AXTUI_TOKEN", _made(server, "bob"))
        state, result = check()
        assert state == "ok"
        assert result.startswith(f"{address} answers, but not to all: bob is a viewer, and ")
        monkeypatch.setenv("AXTUI_TOKEN", _made(server, "eve", "admin"))
        assert check() == ("ok", f"{address} answers")

    def test_with_one_of_too_low_a_role(self, server: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AXTUI_TOKEN", _made(server, "bob"))
        assert server("list").status == 0
        done = server("exec", "--input", "x", "--agent", "echo", "--output", "json")
        assert done.status == 4
        assert done.error()["code"] == "denied"
        assert done.error()["message"] == "bob is a viewer, and Start takes the role operator"

    @pytest.mark.parametrize("content", ["", "two words", "\0", "ü", "x" * 2000])
    def test_a_file_without_a_token(self, server: Cli, content: str) -> None:
        file = server.folder / "token"
        file.write_text(content)
        done = server("list", "--token-file", str(file))
        assert done.status == 2
        assert f"--token-file {file} holds no token" in done.err
        assert server("list", "--token-file", "none").status == 2

    def test_a_file_beats_the_environment(
        self, server: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AXTUI_TOKEN", new_secret())
        file = server.folder / "token"
        file.write_text(f"{_made(server, 'bob')}\n")
        assert server("list", "--token-file", str(file)).status == 0


def _made(cli: Cli, name: str, role: str = "viewer") -> str:
    """A token, made beside the server."""
    command = ("token", "create", name, "--role", role, "--data-dir", str(cli.data_dir))
    return cli.program(*command).out.strip()


@here
def test_a_token_is_never_sent_in_the_clear(cli: Cli) -> None:
    secret = new_secret()
    done = cli.program("list", "--server", "example.org:1", env={"AXTUI_TOKEN": secret})
    assert done.status == 2
    assert "in the clear" in done.err
    assert secret not in done.err


@here
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--server", "a:b:c d"], "is no address of a server"),
        (["--server", "localhost:1", "--ca", "x"], "are for TLS"),
        (["--server", "https://localhost:1", "--cert", "x"], "go together"),
        (
            ["--server", "https://localhost:1", "--ca", "none.pem"],
            "none.pem can't be used: No such",
        ),
    ],
)
def test_wrong_addresses_and_files(cli: Cli, args: list[str], message: str) -> None:
    done = cli.program("list", *args)
    assert (done.status, message in done.err, len(done.err.splitlines())) == (2, True, 2)


@here
class TestServe:
    def test_it_listens_where_the_configuration_says(self, cli: Cli) -> None:
        (cli.folder / "axtui.yaml").write_text("server: {address: 'unix:here.sock'}\n")
        with cli.started("serve", "--output", "json") as server:
            assert server.stdout
            assert '"address": "unix:here.sock"' in server.stdout.readline()
            assert stat.S_IMODE((cli.folder / "here.sock").stat().st_mode) == 0o600
            done = cli.program(
                "exec", "--agent", "echo", "--input", "x", "--server", "unix:here.sock"
            )
            assert (done.status, done.out.splitlines()[1]) == (0, "x")

    def test_it_listens_beyond_this_machine_only_where_that_is_safe(self, cli: Cli) -> None:
        done = cli.run("serve", "--address", "0.0.0.0:0", "--output", "json")
        assert done.status == 2
        error = done.error()
        assert error["message"] == (
            "listening on 0.0.0.0:0 takes TLS, and tokens or client certificates"
        )
        assert "--insecure" in error["hint"]

    def test_or_where_somebody_insists(self, cli: Cli) -> None:
        with cli.started("serve", "--address", "0.0.0.0:0", "--insecure") as server:
            assert server.stdout
            assert server.stderr
            address = server.stdout.readline().split()[-1]
            assert server.stderr.readline() == (
                f"axtui: warning: {address}: whoever reaches it may do everything, run commands "
                "included\n"
            )

    def test_a_port_that_is_taken(self, cli: Cli) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = cli.run("serve", "--address", address)
        assert done.status == 2
        assert f"can't listen on {address}: Address already in use" in done.err

    def test_no_server(self, cli: Cli) -> None:
        done = cli.program("list", "--server", "127.0.0.1:1", "--output", "json")
        assert done.status == 5
        assert done.error()["code"] == "unreachable"
        assert done.error()["message"] == "nothing listens at 127.0.0.1:1"


@here
def test_no_secret_is_in_any_help_or_error(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = new_secret()
    monkeypatch.setenv("AXTUI_TOKEN", secret)
    told = "".join(f"{cli(command, '--help')}" for command in COMMANDS)
    for server in ("127.0.0.1:1", "https://127.0.0.1:1", "x:y", "nobody.invalid"):
        told += f"{cli('list', '--server', server, '-v')}"
    kept = secret_hash(secret).hex()
    Path("axtui.yaml").write_text(f"server: {{tokens: [{{name: a, hash: {kept}, role: x}}]}}\n")
    told += f"{cli('list')}"
    assert secret not in told
    assert kept not in told
