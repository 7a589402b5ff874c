"""The configuration: where it is looked for, what a file may say, and how mistakes are told."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axtui.runtime.config import (
    Agent,
    Budget,
    Config,
    ModelProvider,
    Models,
    OAuth,
    ServerLimits,
    ServerTls,
    ServerToken,
    Tls,
    ToolServer,
    Ui,
)
from axtui.runtime.config_file import MAX_BYTES, ConfigError, load
from axtui.runtime.config_values import MAX_SECONDS, parse_duration

HASHED = {"name": "a", "hash": "a" * 64, "role": "viewer"}
FULL = """\
server:
  address: 0.0.0.0:9000
  tls: {cert: tls/cert.pem, key: /key.pem, client_ca: ~/ca.pem, clients: {"ops-*": admin}}
  tokens:
    - name: ann
      hash: sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
      role: operator
      expires: 2027-01-31
  limits: {calls: 5, message: 4MiB}
eventlog: {sqlite: {filename: logs/run.db}}
models:
  default: local:llama
  providers:
    local: {kind: openai, base_url: "http://127.0.0.1:${PORT:-8080}/v1", key_env: LOCAL_KEY}
    anthropic: {base_url: https://proxy.example}
agents:
  - id: writer
    description: "Writes for ${AUDIENCE:-everyone}, for $$5"
    python: my.agents:writer
    timeout: 1h30m
  - {id: reader, python: "my.agents:Reader.main", timeout: 2.5}
tools:
  git:
    command: [mcp-server-git, --repository, "${REPO:-.}"]
    env: {TOKEN: secret}
    cwd: ~/work
    approve: {"*": ask}
    readonly: [git_log, "git_show*"]
    idempotent: []
    timeout: 1m
    max_output: 5000
  far:
    url: https://example.org/mcp
    headers: {Authorization: Bearer x}
    oauth: {client_id: me, client_secret_env: SECRET, issuer: "https://example.org"}
skills: {paths: [mine, ~/theirs]}
policy:
  approve: {"bash*": ask, read: allow, rm: deny}
  budget: {steps: "${STEPS}", seconds: 5m}
  redact: ["*_KEY", DB_URL]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with the user's folders beside it."""
    monkeypatch.setattr("platformdirs.user_config_dir", lambda _: str(tmp_path / "user"))
    monkeypatch.setattr("platformdirs.user_data_dir", lambda _: str(tmp_path / "data"))
    (tmp_path / "user").mkdir()
    (tmp_path / "cwd").mkdir()
    return tmp_path / "cwd"


def read(folder: Path, content: str | bytes, name: str = "axtui.yaml", **environ: str) -> Config:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    return load(name, None, environ, folder)


def problems(
    folder: Path, content: str | bytes, name: str = "axtui.yaml", **environ: str
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, content, name, **environ)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


class TestDuration:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            *(("90", 90), ("0.5", 0.5), ("90s", 90), ("5m", 300), ("1h30m", 5400)),
            *(("250ms", 0.25), ("0", 0), ("1.5h", 5400), ("1d1h1m1s1ms", 90_061.001)),
        ],
    )
    def test_amounts(self, text: str, seconds: float) -> None:
        assert parse_duration(text) == pytest.approx(seconds)

    @pytest.mark.parametrize(
        "text", ["", "s", "5x", "-5s", "5 s", "1m1h", "1h1h", "nan", "inf", "1e3", "٣s", "5s\n"]
    )
    def test_anything_else_is_refused_with_the_form_to_use(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a duration; write it like 90s"):
            parse_duration(text)

    @pytest.mark.parametrize("text", ["36501d", "9" * 400, "9" * 400 + "h"])
    def test_too_long_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="too long"):
            parse_duration(text)
        assert parse_duration(f"{MAX_SECONDS:.0f}") == MAX_SECONDS


class TestWhereItIsFrom:
    def test_nothing_is_needed(self, folder: Path) -> None:
        config = load(None, None, {}, folder)
        assert config == Config(data_dir=folder.parent / "data")
        assert config.log_path == folder.parent / "data" / "log.db"
        assert config.path is None
        assert config.agents == ()
        assert config.policy.budget == Budget(steps=10_000, seconds=86_400)

    def test_without_a_file_no_yaml_and_no_pydantic_is_loaded(self, tmp_path: Path) -> None:
        code = (
            "import sys, pathlib, platformdirs\n"
            "from axtui.runtime.config_file import load\n"
            "platformdirs.user_config_dir = lambda name: sys.argv[1]\n"
            "load(None, None, {}, pathlib.Path(sys.argv[1]))\n"
            "print({'yaml', 'pydantic', 'pydantic_core'} & set(sys.modules))\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"

    def test_the_first_file_found_wins(self, folder: Path) -> None:
        places = [
            folder.parent / "user" / "axtui.yaml",
            folder / "ax.yaml",
            folder / "axtui.yaml",
            folder / "env.yaml",
            folder / "flag.yaml",
        ]
        for place in places[:3]:
            place.write_text("")
            assert load(None, None, {"AXTUI_CONFIG": ""}, folder).path == place
        for place in places[3:]:
            place.write_text("")
        environ = {"AXTUI_CONFIG": "env.yaml"}
        assert load(None, None, environ, folder).path == folder / "env.yaml"
        assert load("flag.yaml", None, environ, folder).path == folder / "flag.yaml"

    def test_a_named_file_that_is_missing_is_an_error(self, folder: Path) -> None:
        for flag, environ in (("no.yaml", {}), (None, {"AXTUI_CONFIG": "no.yaml"})):
            with pytest.raises(ConfigError, match=r"^no\.yaml:1:1: can't be read: No such file"):
                load(flag, None, environ, folder)

    @pytest.mark.parametrize("flag", ["", ".", "a\0b"])
    def test_a_name_that_is_no_file_is_an_error(self, folder: Path, flag: str) -> None:
        with pytest.raises(ConfigError, match="can't be read"):
            load(flag, None, {}, folder)

    def test_the_data_directory(self, folder: Path) -> None:
        environ = {"AXTUI_DATA_DIR": "/env"}
        assert load(None, "/flag", environ, folder).data_dir == Path("/flag")
        assert load(None, None, environ, folder).data_dir == Path("/env")
        assert load(None, "here", environ, folder).data_dir == folder / "here"
        assert load(None, "~/x", environ, folder).data_dir == Path.home() / "x"

    def test_the_log_is_named_from_the_folder_of_the_file(self, folder: Path) -> None:
        (folder / "sub").mkdir()
        text = "eventlog: {sqlite: {filename: %s}}"
        relative = read(folder, text % "a/log.db", "sub/axtui.yaml")
        assert relative.log_path == folder / "sub" / "a" / "log.db"
        assert read(folder, text % "/abs/log.db").log_path == Path("/abs/log.db")
        assert read(folder, text % "~/log.db").log_path == Path.home() / "log.db"

    def test_all_that_lies_beside_the_log_is_axtuis_own(self, folder: Path) -> None:
        (folder / "real").mkdir()
        (folder / "runs.db").symlink_to("real/log.db")
        config = read(folder, "eventlog: {sqlite: {filename: runs.db}}")
        assert set(config.own_paths) == {
            str(config.data_dir),
            str(folder / "background.log"),
            *(
                f"{folder}/{log}{end}"
                for log in ("runs.db", "runs.db.search", "real/log.db", "real/log.db.search")
                for end in ("", "-wal", "-shm", "-journal", ".lock")
            ),
        }


class TestWhatAFileMaySay:
    def test_everything(self, folder: Path) -> None:
        config = read(folder, FULL, STEPS="7")
        assert config.server.address == "0.0.0.0:9000"
        assert config.server_tls == ServerTls(
            str(folder / "tls/cert.pem"),
            "/key.pem",
            str(Path.home() / "ca.pem"),
            {"ops-*": "admin"},
        )
        assert config.server.tokens == (ServerToken("ann", "a" * 64, "operator", "2027-01-31"),)
        assert config.server.limits == ServerLimits(calls=5, message=4 << 20)
        writer = Agent("writer", "my.agents:writer", "Writes for everyone, for $5", 5400.0)
        assert config.agents == (writer, Agent("reader", "my.agents:Reader.main", timeout=2.5))
        assert config.tools == {
            "git": ToolServer(
                command=("mcp-server-git", "--repository", "."),
                env={"TOKEN": "secret"},
                cwd=str(Path.home() / "work"),
                approve={"*": "ask"},
                readonly=("git_log", "git_show*"),
                idempotent=(),
                timeout=60,
                max_output=5000,
            ),
            "far": ToolServer(
                url="https://example.org/mcp",
                headers={"Authorization": "Bearer x"},
                oauth=OAuth("me", "SECRET", "https://example.org"),
            ),
        }
        local = ModelProvider("openai", "http://127.0.0.1:8080/v1", "LOCAL_KEY")
        proxy = ModelProvider(base_url="https://proxy.example")
        assert config.models == Models("local:llama", {"local": local, "anthropic": proxy})
        assert config.policy.approve == {"bash*": "ask", "read": "allow", "rm": "deny"}
        assert list(config.policy.approve) == ["bash*", "read", "rm"]
        assert config.policy.budget == Budget(steps=7, seconds=300)
        assert config.skills.paths == ("mine", f"{Path.home()}/theirs")
        assert config.policy.redact == ("*_KEY", "DB_URL")

    @pytest.mark.parametrize(
        "address", ["a:1", "agents.example.org:50051", "10.0.0.1:65535", "[::1]:1", "unix:/run/a b"]
    )
    def test_where_an_agent_is_served(self, folder: Path, address: str) -> None:
        text = f"agents: [{{id: a, address: '{address}'}}, {{id: b, command: [node, main.js]}}]"
        assert read(folder, text).agents == (
            Agent("a", address=address),
            Agent("b", command=("node", "main.js")),
        )

    def test_certificates_are_named_from_the_folder_of_the_file(self, folder: Path) -> None:
        text = "agents: [{id: a, address: 'a:1', tls: {ca: ca.pem, cert: /c.pem, key: ~/k.pem}}]"
        (agent,) = read(folder, text).known_agents
        assert agent.tls == Tls(f"{folder}/ca.pem", "/c.pem", f"{Path.home()}/k.pem")

    @pytest.mark.parametrize(
        ("written", "meant"),
        [("axtui", "axtui"), ("ax", "ax"), ("axp", "ax"), ("ax-harness", "ax-harness")],
    )
    def test_what_is_spoken_with_it(self, folder: Path, written: str, meant: str) -> None:
        text = f"agents: [{{id: a, address: 'a:1', protocol: {written}}}]"
        assert read(folder, text).agents[0].protocol == meant

    @pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\ufeff", "~", "{}"])
    def test_an_empty_file_is_the_defaults(self, folder: Path, text: str) -> None:
        config = read(folder, text)
        assert config == Config(data_dir=folder.parent / "data", path=folder / "axtui.yaml")

    def test_an_empty_section_is_its_defaults(self, folder: Path) -> None:
        text = "agents:\neventlog: {sqlite: }\npolicy: {approve: , budget: }\n"
        config = read(folder, text)
        assert config == Config(data_dir=folder.parent / "data", path=folder / "axtui.yaml")

    def test_an_alias_is_its_value(self, folder: Path) -> None:
        text = "agents: [{id: a, python: &it m:f}, {id: b, python: *it}]"
        assert [agent.python for agent in read(folder, text).agents] == ["m:f", "m:f"]

    def test_keys_and_dates_are_text_as_written(self, folder: Path) -> None:
        text = (
            "agents: [{id: 010, python: m:f, description: 2024-02-31}]\n"
            "policy: {approve: {on: ask, 3: deny}}"
        )
        config = read(folder, text)
        assert config.agents[0] == Agent("010", "m:f", "2024-02-31")
        assert config.policy.approve == {"on": "ask", "3": "deny"}

    @pytest.mark.parametrize(
        ("text", "filled"),
        [
            *(("${A}-${A}", "1-1"), ("${NO:-x y}", "x y"), ("${NO:-}", ""), ("${EMPTY:-x}", "x")),
            *(
                ("<${EMPTY}>", "<>"),
                ("$$${A}", "$1"),
                ("$${A}", "${A}"),
                ("$A for 5$", "$A for 5$"),
            ),
        ],
    )
    def test_variables(self, folder: Path, text: str, filled: str) -> None:
        config = read(
            folder, f"agents: [{{id: a, python: m:f, description: '{text}'}}]", A="1", EMPTY=""
        )
        assert config.agents[0].description == filled

    def test_a_variable_is_never_yaml(self, folder: Path) -> None:
        text = "agents:\n- id: a\n  python: m:f\n  description: ${A}\n"
        assert read(folder, text, A="x\n  timeout: 3").agents[0].description == "x\n  timeout: 3"


class TestMistakes:
    def test_all_are_told_at_once_in_the_order_of_the_file(self, folder: Path) -> None:
        text = (
            "agents:\n"
            "  - id: a\n"
            "    pyton: m:f\n"
            "    timeout: soon\n"
            "  - {id: a, python: m, addres: x, description: 5}\n"
            "policy: {approve: {bash: yes, rm: }, budget: {steps: ten, tokens: 0}}\n"
            "telemetry: {}\n"
            "eventlg: ~\n"
            "telemetry: 3\n"
        )
        duration = "a number of seconds above zero or a duration such as '90s' or '1h30m'"
        assert problems(folder, text) == [
            "axtui.yaml:3:5: unknown key 'pyton' in agents[0]; did you mean 'python'?",
            f"axtui.yaml:4:14: expected {duration}, got the text 'soon'",
            "axtui.yaml:5:10: duplicate agent id 'a', first on line 2; choose another",
            "axtui.yaml:5:21: expected text of the form 'module:object', got the text 'm'",
            "axtui.yaml:5:24: unknown key 'addres' in agents[1]; did you mean 'address'?",
            "axtui.yaml:5:48: expected text, got the number 5",
            "axtui.yaml:6:26: expected 'allow', 'ask' or 'deny', got the truth value yes",
            "axtui.yaml:6:34: expected 'allow', 'ask' or 'deny', got nothing",
            "axtui.yaml:6:54: expected a whole number from 1 to 1000000000, got the text 'ten'",
            "axtui.yaml:6:67: expected a whole number from 1 to 1000000000000, got the number 0",
            "axtui.yaml:7:1: 'telemetry' is not supported by this version of axtui",
            "axtui.yaml:8:1: unknown key 'eventlg'; did you mean 'eventlog'?",
            "axtui.yaml:9:1: duplicate key 'telemetry', first on line 7; keep one",
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("hello", "1:1: expected a mapping, got the text 'hello'"),
            ("- a", "1:1: expected a mapping, got a list"),
            ("agents: {}", "1:9: expected a list, got a mapping"),
            ("agents: [~]", "1:10: expected a mapping, got nothing"),
            ("policy: {approve: [a]}", "1:19: expected a mapping, got a list"),
            (
                "policy:\n  approve:\n    'shell(rm *': deny",
                "3:5: expected AGENT/TOOL(ARGUMENT), of which only TOOL is needed, got the text "
                "'shell(rm *'",
            ),
            ("policy: {approve: {a/b/c: deny}}", "1:20: expected AGENT/TOOL(ARGUMENT), of which"),
            ("policy: {approve: {'': deny}}", "1:20: expected AGENT/TOOL(ARGUMENT), of which"),
            ("policy: {budget: {steps: 1.5}}", "1:26: expected a whole number"),
            ("policy: {budget: {steps: true}}", "1:26: expected a whole number"),
            ("policy: {budget: {steps: 0}}", "1:26: expected a whole number from 1"),
            ("policy: {budget: {seconds: .inf}}", "1:28: expected a number of seconds above"),
            ("policy: {budget: {seconds: 0}}", "1:28: expected a number of seconds above zero"),
            ("eventlog: {sqlite: {filename: ''}}", "1:31: expected the path of a file"),
            ("policy: {redact: [A B]}", "1:19: expected the name of an environment variable"),
            ("eventlog: {sqlite: {filename: ~nobody-here/x}}", "1:31: expected the path of a"),
            ("agents: [{id: a b, python: m:f}]", "1:15: expected text without spaces"),
            ("models: {default: gpt}", "1:19: expected text of the form 'provider:model'"),
            ("models: {default: 'gemini: x'}", "1:19: expected text of the form 'provider:model'"),
            (
                "models: {default: gemni:x}",
                "1:19: expected a model of a known provider, got the text 'gemni:x'; did you mean "
                "'gemini'?",
            ),
            ("models: {providers: {x: ~}}", "1:25: expected a mapping, got nothing"),
            (
                "models: {providers: {x: {kind: openai}}}",
                "1:22: 'base_url' is missing in models.providers.x; add it",
            ),
            (
                "models: {providers: {x: {base_url: 'http://x'}}}",
                "1:22: 'kind' is missing in models.providers.x; add it",
            ),
            (
                "models: {providers: {gemini: {kind: gpt}}}",
                "1:37: expected 'openai', 'anthropic' or 'gemini', got the text 'gpt'",
            ),
            ("models: {providers: {gemini: {base_url: 'ftp://x'}}}", "1:41: expected a URL that"),
            ("models: {providers: {gemini: {key_env: a b}}}", "1:40: expected the name of an env"),
            (
                "models: {providers: {gemini: {base_uri: ''}}}",
                "1:31: unknown key 'base_uri' in models.providers.gemini; did you mean 'base_url'?",
            ),
            (
                "zzz: 1",
                "1:1: unknown key 'zzz'; known here: server, eventlog, planner, models, ",
            ),
            ("server: {address: here}", "1:19: expected an address such as 127.0.0.1:8494"),
            ("server: {address: '1.2.3.4:70000'}", "1:19: expected an address such as"),
            (
                "server: {adress: ''}",
                "1:10: unknown key 'adress' in server; did you mean",
            ),
            ("server: {tls: {cert: a}}", "1:15: 'key' is missing in server.tls; add it"),
            (
                "server: {tls: {cert: a, key: b, clients: {a: viewer}}}",
                "1:15: expected 'clients' only beside 'client_ca', got a mapping",
            ),
            (
                "server: {tls: {cert: a, key: b, client_ca: c, clients: {a: root}}}",
                "1:60: expected 'viewer', 'operator' or 'admin', got the text 'root'",
            ),
            (
                f"server: {{tokens: [{{name: a, hash: {'0' * 63}, role: viewer}}]}}",
                "1:35: expected the SHA-256 of a token: 64 hex digits",
            ),
            (
                f"server: {{tokens: [{{name: a, hash: {'a' * 64}, role: viewer, expires: soon}}]}}",
                "1:124: expected a time such as 2027-01-31",
            ),
            (
                f"server: {{tokens: {[HASHED, HASHED]!s}}}",
                "1:9: expected tokens of different names, got a mapping",
            ),
            ("server: {limits: {calls: 0}}", "1:26: expected a whole number from 1 to 1000000"),
            ("server: {limits: {message: 2GiB}}", "1:28: expected a size of at most 1GiB"),
            ("agents: !secret x", "1:9: the tag '!secret' is not supported; remove it"),
            ("<<: {agents: []}", "1:1: merge keys are not supported"),
            ("? [a]\n: 1", "1:3: a key has to be text"),
            ('"\\ud800": 1', "1:1: a key has to be text"),
            ('eventlog: "\\ud800"', "1:11: the text '\\ud800' is not valid Unicode"),
            ("a: 'b", "1:6: not YAML: while scanning a quoted scalar, found unexpected end"),
            ("a: b: c", "1:5: not YAML: mapping values are not allowed here; check"),
            ("*: ask", "1:2: not YAML: while scanning an alias"),
            ("a: 1\n--- b", "2:1: not YAML: expected a single document in the stream, but"),
            ('a: "\\UFFFFFFFF"', "1:7: not YAML: a number is too large"),
            ("a: \0", "1:4: the character '\\x00' is not allowed; remove it"),
            (b"a: 1\nbc\xff", "2:3: not UTF-8 text; save the file as UTF-8"),
            ("a: 1\n".encode("utf-16"), "1:1: not UTF-8 text"),
            ("[" * 40 + "]" * 40, "1:34: nested deeper than 32 levels"),
            ("- " * 5000, "nested deeper than 32 levels"),
            ("a: &a [*a]", "1:4: nested deeper than 32 levels"),
            ("#" * (MAX_BYTES + 1), "1:1: larger than 1048576 bytes; make the file smaller"),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_one(self, folder: Path, text: str | bytes, problem: str) -> None:
        found = problems(folder, text)
        assert len(found) == 1
        assert problem in found[0]
        assert re.match(r"axtui\.yaml:\d+:\d+: ", found[0])

    def test_of_agents_all_at_once(self, folder: Path) -> None:
        text = (
            "agents:\n"
            "  - {id: none}\n"
            "  - {id: both, python: m:f, address: 'a:1'}\n"
            "  - {id: command, command: serve}\n"
            "  - {id: empty, command: []}\n"
            "  - {id: port, address: localhost}\n"
            "  - {id: high, address: 'localhost:65536'}\n"
            "  - {id: six, address: '::1:80'}\n"
            "  - {id: url, address: 'http://a:80'}\n"
            "  - {id: path, address: 'unix:'}\n"
            "  - {id: later, address: 'a:1', protocol: a2a}\n"
            "  - {id: ax, command: [serve], protocol: axp}\n"
            "  - {id: inline, address: 'a:1', isolation: inline}\n"
            "  - {id: half, address: 'a:1', tls: {cert: a}}\n"
            "  - {id: local, command: [serve], tls: {}}\n"
        )
        one = "expected one of 'python', 'command' and 'address', got a mapping"
        address = "the address of a server: 'host:port', '[IPv6]:port' or 'unix:PATH'"
        protocol = "axtui, ax or ax-harness (not a2a or acp in this version)"
        assert problems(folder, text) == [
            f"axtui.yaml:2:5: {one}",
            f"axtui.yaml:3:5: {one}",
            "axtui.yaml:4:28: expected a list, got the text 'serve'",
            f"axtui.yaml:5:5: {one}",
            f"axtui.yaml:6:25: expected {address}, got the text 'localhost'",
            f"axtui.yaml:7:25: expected {address}, got the text 'localhost:65536'",
            f"axtui.yaml:8:24: expected {address}, got the text '::1:80'",
            f"axtui.yaml:9:24: expected {address}, got the text 'http://a:80'",
            f"axtui.yaml:10:25: expected {address}, got the text 'unix:'",
            f"axtui.yaml:11:43: expected {protocol}, got the text 'a2a'",
            "axtui.yaml:12:5: expected 'protocol: ax' only beside 'address', got a mapping",
            "axtui.yaml:13:5: expected 'isolation: inline' only beside 'python', got a mapping",
            "axtui.yaml:14:37: expected 'cert' and 'key' together, got a mapping",
            "axtui.yaml:15:5: expected 'tls' only beside 'address', got a mapping",
        ]

    def test_of_tools_all_at_once(self, folder: Path) -> None:
        text = (
            "tools:\n"
            "  time: {command: [mcp-server-time, 5], env: {A: 1}, comand: x}\n"
            "  'not a name': {command: [a]}\n"
            "  both: {command: [a], url: 'http://x'}\n"
            "  none: {}\n"
            "  ftp: {url: 'ftp://x'}\n"
            "  web: {url: 'http://x', approve: {'*': maybe}, oauth: {client_id: a, isuer: b}}\n"
            "  mixed: {command: [a], headers: {A: b}}\n"
            "  number: {command: [a], max_output: 0}\n"
        )
        name = "a name of letters, digits, '-' and '_', 1 to 64 characters"
        assert problems(folder, text) == [
            "axtui.yaml:2:37: expected text, got the number 5",
            "axtui.yaml:2:50: expected text, got the number 1",
            "axtui.yaml:2:54: unknown key 'comand' in tools.time; did you mean 'command'?",
            f"axtui.yaml:3:3: expected {name}, got the text 'not a name'",
            "axtui.yaml:4:9: expected either 'command' or 'url', got a mapping",
            "axtui.yaml:5:9: expected either 'command' or 'url', got a mapping",
            "axtui.yaml:6:8: expected a 'url' that begins with http:// or https://, got a mapping",
            "axtui.yaml:7:41: expected 'allow', 'ask' or 'deny', got the text 'maybe'",
            "axtui.yaml:7:56: 'client_secret_env' is missing in tools.web.oauth; add it",
            "axtui.yaml:7:56: 'issuer' is missing in tools.web.oauth; add it",
            "axtui.yaml:7:71: unknown key 'isuer' in tools.web.oauth; did you mean 'issuer'?",
            "axtui.yaml:8:10: expected 'headers' and 'oauth' only beside 'url', got a mapping",
            "axtui.yaml:9:38: expected a whole number from 1 to 16777216, got the number 0",
        ]

    def test_an_alias_bomb_is_refused(self, folder: Path) -> None:
        ten = ", ".join(["*{0}"] * 10)
        levels = [f"{new}: &{new} [{ten.format(old)}]" for old, new in pairwise("abcde")]
        bomb = "\n".join(["a: &a [" + "1, " * 10 + "]", *levels])
        assert "more than 10000 values, aliases included" in problems(folder, bomb)[0]

    def test_an_unset_variable_is_named(self, folder: Path) -> None:
        text = "policy:\n  budget:\n    steps: ${A}\n    seconds: ${B}\nmodles: '${C'\n"
        assert problems(folder, text) == [
            "axtui.yaml:3:12: the variable A is not set; set it or write ${A:-default}",
            "axtui.yaml:4:14: the variable B is not set; set it or write ${B:-default}",
            "axtui.yaml:5:1: unknown key 'modles'; did you mean 'models'?",
            "axtui.yaml:5:9: '${' names no variable; write ${NAME}, ${NAME:-default} or $$ for $",
        ]

    def test_a_value_of_the_environment_is_never_shown(self, folder: Path) -> None:
        text = FULL.replace("id: writer", "id: ${KEY}").replace("id: reader", "id: ${KEY}")
        text = text.replace("5m", "${KEY}").replace("my.agents:writer", "${KEY}")
        text = text.replace("allow", "${KEY}").replace("2.5", "${KEY}")
        text = text.replace("${KEY}", "'${KEY}'")
        found = problems(folder, text, KEY="hunter2", STEPS="hunter2")
        assert len(found) == 6
        assert "hunter2" not in str(found)
        assert "got the text '${STEPS}'" in str(found)


PIECES = st.sampled_from(
    [
        *(*FULL.split(), "\n", "  ", "- ", "{", "}", "[", "]", ": ", "&a", "*a", "<<: ", "!!int "),
        *("'", '"', "|\n", "? ", "# ", "\t", "~", "---\n", "%YAML 1.", "${KEY}", "${", "0x", "1:2"),
        *("models:", "\ud800", "\a", "\u2028", '"\\udc80"', "!!binary ", "!!bool ", "\\u"),
        "9" * 5000,
    ]
)


def encoded(pieces: list[str]) -> bytes:
    return "".join(pieces).encode(errors="surrogatepass")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = FULL
    for piece in draw(st.lists(PIECES, max_size=6)):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + piece + text[start + draw(st.integers(0, 8)) :]
    return encoded([text])


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(), mutated(), mutated(), st.lists(PIECES).map(encoded)))
def test_any_file_is_a_configuration_or_a_list_of_problems(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "fuzz.yaml").write_bytes(content)
    found: list[str] = []
    try:
        assert load("fuzz.yaml", "data", {"KEY": "hunter2"}, folder).log_path
    except ConfigError as error:
        found = error.problems or ["a ConfigError without problems"]
    for problem in found:
        assert re.fullmatch(r"fuzz\.yaml:\d+:\d+: .+", problem)
        assert problem.isprintable()
        assert "hunter2" not in problem


def test_keys_of_the_terminal_ui(tmp_path: Path) -> None:
    file = tmp_path / "axtui.yaml"
    file.write_text(
        "ui: {keymap: vim, keys: {runs.cancel: 'X,ctrl+x'}, theme: nord, ascii: true}\n"
    )
    assert load(None, None, {}, tmp_path).ui == Ui("vim", {"runs.cancel": "X,ctrl+x"}, "nord", True)
    file.write_text("ui:\n  keys:\n    runs.cancl: X\n    runs.fork: ctl+x\n    runs.pause: R\n")
    with pytest.raises(ConfigError) as caught:
        load(None, None, {}, tmp_path)
    assert caught.value.problems == [
        "axtui.yaml:3:5: there is no action 'runs.cancl'; did you mean 'runs.cancel'?",
        "axtui.yaml:4:5: 'ctl+x' is no key; write them like x, ctrl+x, f5 or question_mark",
        "axtui.yaml:5:5: the key 'R' is that of 'runs.resume' as well; choose another, or give "
        "'runs.resume' one",
    ]
