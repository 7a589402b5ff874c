"""What goes over the wire, as the messages of `service.proto`, and back."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from hashlib import sha256
from itertools import chain
from typing import Any

from google.protobuf.message import DecodeError

from axtui.agent import ActorError
from axtui.model.codec import dump_json, typed_json
from axtui.model.events import Record
from axtui.model.records import unpack
from axtui.model.search import Hit
from axtui.model.summary import Listed, Summary
from axtui.model.tokens import Token
from axtui.runtime.config import Config, Settings
from axtui.runtime.controller import RunOptions
from axtui.runtime.errors import Refused, Unreachable
from axtui.runtime.eventlog.base import (
    LogDamaged,
    LogError,
    Taken,
    UnknownConversation,
    UnknownEvent,
)
from axtui.runtime.inventory import AgentInfo, Offered, ToolInfo, ToolsInfo
from axtui.runtime.journal import Delta
from axtui.runtime.policy import Verdict
from axtui.v1 import service_pb2 as sv

API = "2"
# They go into the metadata of an answer, which hold a few thousand bytes.
MAX_WORDS = 1500
# Of the events of a message, or one event has more.
PAGE_BYTES = 1 << 20
# The longest input, all of whose characters may take four bytes, and some more.
MAX_MESSAGE = 72 << 20

_LOG_ERRORS = {
    "unknown": UnknownConversation,
    "no_event": UnknownEvent,
    "taken": Taken,
    "damaged": LogDamaged,
}


def digest(config: Config) -> bytes:
    """Of all that a configuration says, and of the folder that its agents are imported from."""
    said = {field.name: getattr(config, field.name) for field in fields(Settings)}
    folder = os.getcwd() if any(agent.python for agent in config.agents) else ""
    return sha256(repr((said, folder)).encode()).digest()


def problem(error: Exception) -> sv.Problem:
    """What a client is told of an error that is foreseen."""
    hint = getattr(error, "hint", "")
    match error:
        case Refused() | ActorError():
            code = error.code
        case OSError():
            code = "system"
        case LogError():
            names = (name for name, kind in _LOG_ERRORS.items() if isinstance(error, kind))
            code = next(names, "log")
        case _:
            code = "internal"
    kind = "" if isinstance(error, Refused) else "actor" if isinstance(error, ActorError) else "log"
    return sv.Problem(code=code, message=str(error)[:MAX_WORDS], hint=hint[:MAX_WORDS], kind=kind)


def error_of(told: sv.Problem) -> Exception:
    """The error that a server has met."""
    match told.kind:
        case "" if told.code == "version":
            return Unreachable(told.message, told.hint)
        case "":
            return Refused(told.code, told.message, told.hint)  # type: ignore[arg-type]
        case "actor":
            return ActorError(told.code, told.message)
    kind: type[LogError] = _LOG_ERRORS.get(told.code, LogError)
    # Theirs are made of what the message is about, which only it tells here.
    error = kind.__new__(kind, told.message)
    error.hint = told.hint
    return error


def records_of(page: sv.Page) -> list[Record]:
    """The events of a page. Raises LogDamaged if these are none."""
    try:
        return [*chain.from_iterable(map(unpack, page.records))]
    except DecodeError as error:
        raise LogDamaged(
            f"what the server has sent are no events: {error}", "`axtui verify` says what is wrong"
        ) from None


def delta(delta: Delta) -> sv.Delta:
    """Provisional text."""
    said: dict[str, Any] = delta._asdict()
    del said["conversation_id"]
    return sv.Delta(**said)


def delta_of(conversation_id: str, told: sv.Delta) -> Delta:
    """Provisional text."""
    return Delta(conversation_id, *(getattr(told, name) for name in Delta._fields[1:]))


def listed(found: Listed) -> sv.Listed:
    """The line of a list."""
    said: dict[str, Any] = found.summary._asdict()
    name = said.pop("id")
    return sv.Listed(conversation_id=name, seq=found.seq, updated_us=found.updated_us, **said)


def listed_of(told: sv.Listed) -> Listed:
    """The line of a list."""
    fields = (getattr(told, name) for name in Summary._fields[1:])
    return Listed(Summary(told.conversation_id, *fields), told.seq, told.updated_us)


def hit(found: Hit) -> sv.Hit:
    """What was found."""
    said: dict[str, Any] = found._asdict()
    said["marks"] = [place for mark in found.marks for place in mark]
    return sv.Hit(**said)


def hit_of(told: sv.Hit) -> Hit:
    """What was found."""
    said: dict[str, Any] = {name: getattr(told, name) for name in Hit._fields}
    said["marks"] = tuple(zip(told.marks[::2], told.marks[1::2], strict=True))
    return Hit(**said)


def token(found: Token) -> sv.Token:
    """A token, without its hash."""
    said: dict[str, Any] = found._asdict()
    del said["hash"]
    return sv.Token(**said)


def token_of(told: sv.Token) -> Token:
    """A token."""
    said: dict[str, Any] = {
        field.name: getattr(told, field.name) for field in told.DESCRIPTOR.fields
    }
    return Token(**said, hash=b"")


def options(wanted: RunOptions) -> sv.RunOptions:
    """How a run is to be run."""
    config = "" if wanted.config is None else dump_json(wanted.config)
    return sv.RunOptions(
        config=config,
        approve=wanted.approve,
        on_interrupted=wanted.on_interrupted,
        workspace=wanted.workspace,
    )


def options_of(told: sv.RunOptions) -> RunOptions:
    """How a run is to be run. Raises Refused for a configuration that is no JSON."""
    made = RunOptions(None, told.approve, told.on_interrupted, told.workspace)
    return replace(made, config=json_of(told.config, "the agent's configuration"))


def json_of(text: str, what: str) -> object:
    """The value of JSON text, None for none. Raises Refused."""
    if not text:
        return None
    try:
        return typed_json(text)
    except ValueError as error:
        raise Refused("usage", f"{what} isn't JSON: {error}") from None


def object_of(text: str, what: str) -> dict[str, Any] | None:
    """The JSON object of a text, None for none. Raises Refused."""
    value = json_of(text, what)
    if not isinstance(value, dict | None):
        raise Refused("usage", f"{what} isn't a JSON object")
    return value


def agent_info(info: AgentInfo) -> sv.AgentInfo:
    """An agent."""
    return sv.AgentInfo(**info._asdict())


def agent_info_of(told: sv.AgentInfo) -> AgentInfo:
    """An agent."""
    return AgentInfo(*(getattr(told, name) for name in AgentInfo._fields))


def tools(found: ToolsInfo) -> sv.ListToolsReply:
    """The tools that there are."""
    return sv.ListToolsReply(
        tools=[
            sv.ToolInfo(
                name=tool.name,
                source=tool.source,
                effect=tool.effect,
                verdict=sv.Verdict(**tool.verdict._asdict()),
                exceptions=[sv.Verdict(**verdict._asdict()) for verdict in tool.exceptions],
                description=tool.description,
            )
            for tool in found.tools
        ],
        servers={name: sv.ToolServer(**state) for name, state in found.servers.items()},
    )


def tools_of(told: sv.ListToolsReply) -> ToolsInfo:
    """The tools that there are."""
    found = [
        ToolInfo(
            tool.name,
            tool.source,
            tool.effect,
            _verdict_of(tool.verdict),
            [_verdict_of(verdict) for verdict in tool.exceptions],
            tool.description,
        )
        for tool in told.tools
    ]
    servers = {
        name: {key: getattr(state, key) for key in ("state", "error", "name", "version")}
        for name, state in told.servers.items()
    }
    return ToolsInfo(found, servers)


def _verdict_of(told: sv.Verdict) -> Verdict:
    return Verdict(told.choice, told.rule)


def offered(found: Offered) -> sv.ListOfferedReply:
    """What servers of tools offer beside them."""
    return sv.ListOfferedReply(entries=map(json.dumps, found.entries), errors=found.errors)


def offered_of(told: sv.ListOfferedReply) -> Offered:
    """What servers of tools offer beside them."""
    return Offered([json.loads(entry) for entry in told.entries], dict(told.errors))
