"""The one door: what front ends use, whether the controller is in this process or elsewhere.

Front ends import from here, and from `axtui.model`; nothing of the runtime below.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

from axtui.agent import ActorError
from axtui.host import Server
from axtui.local import LocalClient
from axtui.model.events import Record
from axtui.model.search import FOUND, Hit
from axtui.model.summary import Listed
from axtui.model.tokens import Token
from axtui.remote.addresses import is_loopback, listen_address, server_address
from axtui.remote.credentials import ANONYMOUS, Credentials
from axtui.remote.door import Holder
from axtui.runtime.ax_log import AxLog
from axtui.runtime.checkup import Check, checkup
from axtui.runtime.config import Config
from axtui.runtime.config_file import ConfigError
from axtui.runtime.config_file import load as load_config
from axtui.runtime.config_values import parse_duration
from axtui.runtime.controller import Accepted, RunOptions
from axtui.runtime.errors import Refused, Unreachable, Warned
from axtui.runtime.eventlog.base import (
    CONTROL_LOG,
    PAGE,
    LeaseHeld,
    LogDamaged,
    LogError,
    Taken,
    UnknownConversation,
)
from axtui.runtime.inventory import AgentInfo, Offered, ToolInfo, ToolsInfo
from axtui.runtime.journal import Delta
from axtui.runtime.policy import NO_RULE
from axtui.runtime.skills.loader import Found as FoundSkill
from axtui.runtime.skills.loader import Problem as SkillProblem
from axtui.runtime.skills.loader import find_skills
from axtui.runtime.skills.loader import validate as check_skill
from axtui.runtime.transfer import Imported
from axtui.runtime.verify import Fault
from axtui.v1 import state_pb2 as st

if TYPE_CHECKING:
    from axtui.remote.server import Serving as Serving

__all__ = [
    "CONTROL_LOG",
    "NO_RULE",
    "Accepted",
    "ActorError",
    "AgentInfo",
    "AxLog",
    "Check",
    "Client",
    "Config",
    "ConfigError",
    "Credentials",
    "Delta",
    "Fault",
    "FoundSkill",
    "Holder",
    "Imported",
    "LeaseHeld",
    "LogDamaged",
    "LogError",
    "Offered",
    "Refused",
    "RunOptions",
    "SkillProblem",
    "Taken",
    "Token",
    "ToolInfo",
    "ToolsInfo",
    "UnknownConversation",
    "Unreachable",
    "Warned",
    "check_skill",
    "checkup",
    "connect",
    "find_skills",
    "is_loopback",
    "listen_address",
    "load_config",
    "parse_duration",
    "serving",
]


class Client(Protocol):
    """What can be done with conversations. Raises Refused and LogError, nothing else expected."""

    async def start(
        self, conversation_id: str, input: str, agent: str, options: RunOptions
    ) -> Accepted: ...
    async def resume(self, conversation_id: str, options: RunOptions) -> st.State: ...
    async def mark_resumed(self, conversation_id: str) -> st.State: ...
    async def pause(self, conversation_id: str, reason: str) -> None: ...
    async def cancel(self, conversation_id: str, reason: str) -> None: ...
    async def answer(
        self,
        conversation_id: str,
        question_id: str,
        choice: str,
        text: str = "",
        always: bool = False,
        edit: dict[str, Any] | None = None,
    ) -> st.State: ...
    async def tell(self, conversation_id: str, text: str, actor: str = "") -> None: ...
    async def fork(
        self, source_id: str, seq: int | None, new: str, edit: dict[str, Any] | None
    ) -> str: ...
    async def delete(self, conversation_id: str, reason: str) -> None: ...
    async def purge(self, conversation_id: str) -> None: ...
    async def create_token(self, name: str, role: str, hash: bytes, expires_us: int) -> None: ...
    async def revoke_token(self, name: str) -> None: ...
    async def tokens(self) -> list[Token]: ...
    async def find(self, conversation_id: str) -> Listed | None: ...
    async def resolve(self, name: str) -> Listed: ...
    async def conversations(
        self,
        *,
        states: Sequence[str] = (),
        agent: str = "",
        since_us: int = 0,
        deleted: bool = False,
        limit: int = PAGE,
    ) -> list[Listed]: ...
    async def state(self, conversation_id: str, seq: int | None = None) -> st.State: ...
    async def read(
        self,
        conversation_id: str,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = PAGE,
        kinds: Sequence[str] = (),
        step: str = "",
        newest_first: bool = False,
    ) -> list[Record]: ...
    async def search(
        self,
        text: str,
        *,
        conversation_id: str = "",
        limit: int = FOUND,
        tell: Callable[[int], None] | None = None,
    ) -> list[Hit]: ...
    async def blob(self, digest: bytes) -> bytes: ...
    def watch(self, conversation_id: str, after: int) -> AsyncIterator[list[Record | Delta]]: ...
    def export(self, conversation_id: str) -> AsyncIterator[str]: ...
    async def restore(self, lines: Iterable[str]) -> Imported: ...
    def verify(self, conversation_id: str | None) -> AsyncIterator[Fault | str]: ...
    async def size(self) -> int: ...
    async def agents(self) -> list[AgentInfo]: ...
    async def tools(self, server: str = "") -> ToolsInfo: ...
    async def log_in(self, server: str, show: Callable[[str], None]) -> None: ...
    async def resources(self, server: str = "") -> Offered: ...
    async def prompts(self, server: str = "") -> Offered: ...
    async def join(self, *, start: bool) -> bool: ...
    async def holder(self) -> Holder: ...
    async def refusals(self) -> Mapping[str, str]: ...
    @property
    def hosts(self) -> bool: ...
    def take_warning(self) -> Warned | None: ...
    async def prunable(self, before_us: int, states: Sequence[str]) -> list[Listed]: ...
    async def suspend(self, reason: str, stopped: str = "") -> None: ...
    async def close(self) -> None: ...


def connect(config: Config, server: str = "", credentials: Credentials = ANONYMOUS) -> Client:
    """The client of a server, one of Google AX at `ax://HOST:PORT`, or else of the data directory.
    Raises Refused if that can't be."""
    if not server:
        return LocalClient(config, _serve)
    if server.startswith("ax://"):
        from axtui.remote.ax.client import AxClient

        return AxClient(server_address(server.removeprefix("ax://")).target)
    from axtui.remote.client import RemoteClient
    from axtui.remote.dialing import Elsewhere

    return RemoteClient(Elsewhere(server, credentials))


def serving(
    config: Config, addresses: Sequence[str], *, insecure: bool = False
) -> AbstractAsyncContextManager[Serving]:
    """While entered: this process holds the lease, drives every run that should be running, and
    serves. Raises LeaseHeld, or Refused for an address that can't be had, or isn't safe and
    `insecure` isn't wanted."""
    from axtui.remote import server

    return server.serving(config, addresses, insecure=insecure)


async def _serve(client: LocalClient, address: str) -> Server:
    from axtui.remote.server import serve

    return await serve(client, address)
