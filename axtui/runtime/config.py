"""What a configuration holds, and what it is when nobody wrote one."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from axtui.model.tokens import Role
from axtui.runtime.config_values import (
    AbsoluteFolder,
    Address,
    AgentId,
    Calls,
    Characters,
    Dollars,
    FilePath,
    FolderPath,
    ListenAddress,
    MessageSize,
    ModelName,
    Moment,
    OutputSize,
    Processes,
    Protocol,
    PythonName,
    Seconds,
    ServerName,
    Size,
    Steps,
    Temperature,
    TokenHash,
    Tokens,
    Url,
    VariableGlob,
    VariableName,
    Verdict,
)

SECRET_VARIABLES = (
    *("*API_KEY", "*APIKEY", "*ACCESS_KEY", "*PRIVATE_KEY*", "*SECRET*", "*TOKEN"),
    *("*PASSWORD*", "*PASSWD", "*PASSPHRASE*", "*CREDENTIALS"),
)


class _Section:
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


@dataclass(frozen=True)
class Sqlite(_Section):
    """`filename`: where the log is, `~` already expanded; None means in the data directory."""

    filename: FilePath | None = None


@dataclass(frozen=True)
class EventLog(_Section):
    """Where events are stored."""

    sqlite: Sqlite = Sqlite()


@dataclass(frozen=True)
class ModelProvider(_Section):
    """Where models are called. `kind` is what is spoken there, `openai` meaning the chat
    completions that most servers offer; `key_env` names the variable that holds the key, None
    meaning that none is needed. Of a provider that is built in, what is None stays as it is.
    """

    kind: Literal["openai", "anthropic", "gemini"] | None = None
    base_url: Url | None = None
    key_env: VariableName | None = None


@dataclass(frozen=True)
class Models(_Section):
    """Which models can be called. `default`, as "provider:model", is the one that is used where
    nobody names one; None leaves the choice to the keys that are there.
    """

    default: ModelName | None = None
    providers: Mapping[str, ModelProvider] = field(default_factory=dict)


@dataclass(frozen=True)
class Skills(_Section):
    """`paths`: folders with skills in them, before the usual ones; `~` already expanded."""

    paths: tuple[FolderPath, ...] = ()


@dataclass(frozen=True)
class Tls(_Section):
    """How a server is reached over TLS: whose certificates are believed, `ca` being None for the
    usual ones, and the certificate and key that we show, if it asks for one. A relative path counts
    from the folder of the file.
    """

    ca: FilePath | None = None
    cert: FilePath | None = None
    key: FilePath | None = None

    def __post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            raise ValueError("'cert' and 'key' together")

    def below(self, folder: Path) -> "Tls":
        """The same with full names."""
        return Tls(*(name and str(folder / name) for name in (self.ca, self.cert, self.key)))


@dataclass(frozen=True)
class Agent(_Section):
    """An agent that `--agent` can name. It is one of three: `python`, what to import, as
    "module:object", and to run in a process of its own, or `inline`, in that of the controller; a
    `command` that serves an agent while it is needed; or the `address` where one is served, as
    "host:port" or "unix:PATH", over `tls` if there is one. `protocol` is what is spoken with the
    last two. `timeout` is in seconds, None meaning that only the run's budget bounds it.
    """

    id: AgentId
    python: PythonName = ""
    description: str = ""
    timeout: Seconds | None = None
    isolation: Literal["process", "inline"] = "process"
    command: tuple[str, ...] = ()
    address: Address = ""
    protocol: Protocol = "axtui"
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if [bool(self.python), bool(self.command), bool(self.address)].count(True) != 1:
            raise ValueError("one of 'python', 'command' and 'address'")
        if self.isolation == "inline" and not self.python:
            raise ValueError("'isolation: inline' only beside 'python'")
        if self.protocol != "axtui" and not self.address:
            raise ValueError(f"'protocol: {self.protocol}' only beside 'address'")
        if self.tls and not self.address:
            raise ValueError("'tls' only beside 'address'")


@dataclass(frozen=True)
class OAuth(_Section):
    """Client credentials for the `url` of a tool server. The secret is the value of the variable
    `client_secret_env`, and `issuer` is the one authorization server that is told it.
    """

    client_id: str
    client_secret_env: str
    issuer: str
    scope: str | None = None


@dataclass(frozen=True)
class ToolServer(_Section):
    """A server of tools: a `command` that speaks MCP over its input and output, or a `url`.

    A relative `cwd` counts from the workspace. All patterns are globs over the names that the
    server gives its tools. `approve` gives the verdict for each, in the file's order; `readonly`
    and `idempotent` are the tools that are so, and where they are given the server's own hints
    don't count. `timeout` is of one call, in seconds; `max_output` of one result's text, in
    characters.
    """

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: FilePath | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    oauth: OAuth | None = None
    approve: Mapping[str, Verdict] = field(default_factory=dict)
    readonly: tuple[str, ...] | None = None
    idempotent: tuple[str, ...] | None = None
    timeout: Seconds | None = None
    max_output: Characters = 1 << 20

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("either 'command' or 'url'")
        if self.command and (self.headers or self.oauth):
            raise ValueError("'headers' and 'oauth' only beside 'url'")
        if self.url and (self.env or self.cwd):
            raise ValueError("'env' and 'cwd' only beside 'command'")
        if self.url and not re.match("https?://[^/]", self.url):
            raise ValueError("a 'url' that begins with http:// or https://")


@dataclass(frozen=True)
class Planner(_Section):
    """How the agents that ask a model by themselves are set up. `model` is "provider:model",
    `timeout` is of one call of it, `max_steps` are its turns before a person is asked whether to
    go on, and `history_chars` how long the history gets before its older part is summed up; where
    nothing is said, what the agent thinks right. `temperature` and `max_tokens`, of one answer, are
    the model's own to choose else.
    """

    model: str | None = None
    system_prompt: str | None = None
    max_steps: Steps | None = None
    timeout: Seconds | None = None
    history_chars: Steps | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None


@dataclass(frozen=True)
class Limits(_Section):
    """What one command may use: seconds, bytes of output that are kept, processes and threads at a
    time, bytes of memory and of a file that it writes.
    """

    time: Seconds = 600.0
    output: OutputSize = 1 << 20
    processes: Processes = 512
    memory: Size = 4 << 30
    file_size: Size = 1 << 30


@dataclass(frozen=True)
class Environment(_Section):
    """Where commands are run. Commands of a run work in its `workspace`: this one, else the folder
    that axtui was started in. `env` names variables that they get beside a few harmless ones,
    `readable` folders that they may read beside the system's.
    """

    sandbox: Literal["auto", "bubblewrap", "none"] = "auto"
    network: bool = False
    workspace: AbsoluteFolder | None = None
    env: tuple[VariableName, ...] = ()
    readable: tuple[AbsoluteFolder, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True)
class Budget(_Section):
    """What one run may use before it waits for a person to grant more. `seconds` counts only
    while the run is running; `tokens` are those that models read and write, `cost_usd` is by list
    prices, and 0 is no limit for both.
    """

    steps: Steps = 10_000
    seconds: Seconds = 86_400.0
    tokens: Tokens = 0
    cost_usd: Dollars = 0.0


@dataclass(frozen=True)
class Policy(_Section):
    """`approve` gives the verdict for each glob over tool and step names, in the file's order.
    `redact` has globs over the names of environment variables, in any case: their values are
    shown nowhere.
    """

    approve: Mapping[str, Verdict] = field(default_factory=dict)
    budget: Budget = Budget()
    redact: tuple[VariableGlob, ...] = SECRET_VARIABLES


@dataclass(frozen=True)
class ServerTls(_Section):
    """The files of the server's certificate and its key, in PEM; they are read again when they
    change. With `client_ca` clients need a certificate that it has signed: `clients` gives the role
    of each by its common name, as globs in the file's order; without it all are admins.
    """

    cert: FilePath
    key: FilePath
    client_ca: FilePath | None = None
    clients: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.clients and not self.client_ca:
            raise ValueError("'clients' only beside 'client_ca'")


@dataclass(frozen=True)
class ServerToken(_Section):
    """A token that the configuration lets in. `hash` is its SHA-256, `expires` a time or date of
    ISO 8601, in UTC where it doesn't say otherwise."""

    name: ServerName
    hash: TokenHash
    role: Role
    expires: Moment | None = None


@dataclass(frozen=True)
class ServerLimits(_Section):
    """What each client of a server (a token, a certificate or else a machine) may use, and what
    all of them together: calls at the same time, streams included, new ones in a second, and runs
    in flight; and bytes of one message.
    """

    calls: Calls = 100
    requests: Calls = 500
    runs: Calls = 50
    all_calls: Calls = 2_000
    all_requests: Calls = 5_000
    all_runs: Calls = 500
    # The longest input, all of whose characters may take four bytes, and some more.
    message: MessageSize = 72 << 20


@dataclass(frozen=True)
class Server(_Section):
    """Where `axtui serve` listens, and whom it lets in."""

    address: ListenAddress = "127.0.0.1:8494"
    tls: ServerTls | None = None
    tokens: tuple[ServerToken, ...] = ()
    limits: ServerLimits = ServerLimits()

    def __post_init__(self) -> None:
        if len({token.name for token in self.tokens}) < len(self.tokens):
            raise ValueError("tokens of different names")


@dataclass(frozen=True)
class Ui(_Section):
    """How the terminal UI is set up. `keys` has, by the id of an action, the keys that call it,
    separated by commas, before those of the `keymap`. Where `theme` or `ascii` is None, what was
    chosen last, or what the terminal can draw.
    """

    keymap: Literal["default", "vim", "emacs"] = "default"
    keys: Mapping[str, str] = field(default_factory=dict)
    theme: str | None = None
    ascii: bool | None = None


@dataclass(frozen=True)
class Settings(_Section):
    """All that a file can say."""

    server: Server = Server()
    eventlog: EventLog = EventLog()
    planner: Planner = Planner()
    models: Models = Models()
    agents: tuple[Agent, ...] = ()
    tools: Mapping[ServerName, ToolServer] = field(default_factory=dict)
    skills: Skills = Skills()
    environment: Environment = Environment()
    policy: Policy = Policy()
    ui: Ui = Ui()


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """The settings in force, and where they are from.

    `data_dir` is the absolute folder of all that axtui keeps (it may not exist yet); `path` is the
    absolute path of the file that was read, None without one.
    """

    data_dir: Path
    path: Path | None = None

    @property
    def log_path(self) -> Path:
        """The file of the SQLite log; a relative name counts from the folder of `path`."""
        filename = self.eventlog.sqlite.filename
        return self.data_dir / "log.db" if filename is None else self._base / filename

    @property
    def server_tls(self) -> ServerTls | None:
        """`server.tls` with full names; a relative one counts from the folder of `path`."""
        tls = self.server.tls
        if tls is None:
            return None
        names = (name and str(self._base / name) for name in (tls.cert, tls.key, tls.client_ca))
        cert, key, client_ca = names
        return ServerTls(str(cert), str(key), client_ca, tls.clients)

    @property
    def skill_paths(self) -> list[Path]:
        """The folders of `skills.paths`; a relative one counts from the folder of `path`."""
        return [self._base / name for name in self.skills.paths]

    @property
    def known_agents(self) -> list[Agent]:
        """The agents; relative files of their TLS sections count from the folder of `path`."""
        return [
            replace(agent, tls=agent.tls and agent.tls.below(self._base)) for agent in self.agents
        ]

    @property
    def _base(self) -> Path:
        return self.path.parent if self.path else self.data_dir

    @property
    def logins(self) -> Path:
        """The folder of what people have logged in with at servers of tools."""
        return self.data_dir / "logins"

    @property
    def own_paths(self) -> tuple[str, ...]:
        """What is axtui's own, and nothing for the commands of a run."""
        log = self.log_path
        # The lease and SQLite have their files beside what a link leads to.
        found = dict.fromkeys((str(log), os.path.realpath(log)))
        files = [f"{path}{end}" for path in found for end in ("", ".search")]
        ends = ("", "-wal", "-shm", "-journal", ".lock")
        beside = (f"{file}{end}" for file in files for end in ends)
        return str(self.data_dir), str(log.parent / "background.log"), *beside
