"""The SQLite log of Google AX: each conversation in it as the lines of an export of ours.

AX has no times but those of its executions, of which later versions keep none; what has none gets
that of the file.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from axtui.model.codec import dump_json
from axtui.model.events import Draft, Head, Payload, envelope_hash, seal
from axtui.runtime.errors import Refused
from axtui.runtime.eventlog.conversation import stored
from axtui.runtime.transfer import blob_line, event_line
from axtui.v1 import event_pb2 as pb

_MAGIC = b"SQLite format 3\0"
_PLANNER = "planner"
# What AX's own planner is called there.
_THEIR_PLANNER = "__planner"
_ENDS = ("STATE_COMPLETED", "STATE_FAILED", "STATE_CANCELED")
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?: ?(Z|[+-]\d\d:?\d\d))?", re.ASCII
)
_UNFINISHED = "it had not ended when it was imported from Google AX"


@dataclass
class _Execution:
    """What the log of executions says of one."""

    agent: str = ""
    config: bytes = b""
    first_us: int = 0
    last_us: int = 0
    private: list[dict[str, Any]] = field(default_factory=list)


class AxLog:
    """Open for reading until `close`. Raises Refused for a file that is none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file_us = os.stat(path).st_mtime_ns // 1000
        uri = f"file:{quote(str(Path(path).resolve()))}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        try:
            self._check()
            self._executions = self._read_executions()
        except BaseException:
            self._connection.close()
            raise

    @staticmethod
    def recognises(path: str) -> bool:
        """Whether a file is one of SQLite. Raises OSError."""
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def conversations(self) -> list[str]:
        """The ids of what is in it, the oldest first."""
        rows = self._query(
            "SELECT conversation_id FROM conversation_log GROUP BY 1 ORDER BY min(rowid)"
        )
        return [str(row[0]) for row in rows]

    def lines(self, conversation_id: str) -> Iterator[str]:
        """A conversation, row by row. Raises Refused for a row that can't be read."""
        lines = _Lines(conversation_id, self._file_us)
        rows = self._query(
            "SELECT seq, payload FROM conversation_log WHERE conversation_id = ? ORDER BY seq",
            conversation_id,
        )
        for seq, payload in rows:
            try:
                row = _parsed(payload)
                execution = self._executions.get(str(row.get("exec_id", "")), _Execution())
                yield from lines.take(row, execution)
            except (ValueError, TypeError, AttributeError) as error:
                raise Refused(
                    "usage",
                    f"{self._path}: row {seq} of conversation {conversation_id} can't be read: "
                    f"{error}",
                ) from None
        yield from lines.end()

    def _check(self) -> None:
        names = {row[0] for row in self._query("SELECT name FROM sqlite_master")}
        if "conversation_log" not in names:
            ours = "; it is a log of axtui's, see --data-dir" if "fresh" in names else ""
            raise Refused("usage", f"{self._path} isn't a log of Google AX{ours}")
        columns = [row[1] for row in self._query("PRAGMA table_info(conversation_log)")]
        if not {"conversation_id", "seq", "payload"} <= set(columns):
            raise Refused(
                "usage",
                f"{self._path} is a log of a version of Google AX that isn't known here: its "
                f"conversations have {', '.join(columns)}",
            )

    def _read_executions(self) -> dict[str, _Execution]:
        found: dict[str, _Execution] = {}
        if not self._query("SELECT 1 FROM sqlite_master WHERE name = 'execution_log'").fetchall():
            return found
        rows = self._query("SELECT exec_id, payload, timestamp FROM execution_log ORDER BY rowid")
        for exec_id, payload, timestamp in rows:
            with suppress(ValueError, TypeError, AttributeError):
                _add(found.setdefault(str(exec_id), _Execution()), _parsed(payload), timestamp)
        return found

    def _query(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise Refused("usage", f"{self._path} can't be read: {error}") from None


def _add(execution: _Execution, row: dict[str, Any], timestamp: object) -> None:
    execution.agent = execution.agent or str(row.get("agent_id", ""))
    execution.config = execution.config or base64.b64decode(row.get("agent_config", ""))
    time_us = _time_us(row.get("timestamp") or timestamp)
    execution.first_us = execution.first_us or time_us
    execution.last_us = max(execution.last_us, time_us)
    for message in row.get("outputs", ()):
        # Each row has all that was said before.
        if message.get("internal_only") and message not in execution.private:
            execution.private.append(message)


class _Lines:
    """Our events of one conversation, as they come about."""

    def __init__(self, conversation_id: str, file_us: int) -> None:
        self._id = conversation_id
        self._file_us = file_us
        self._head = Head()
        self._exec_id = ""
        self._agent = ""
        self._is_open = False
        self._last = ""
        self._private: list[dict[str, Any]] = []
        self._blobs: list[str] = []

    def take(self, row: dict[str, Any], execution: _Execution) -> Iterator[str]:
        """The lines of a row."""
        exec_id, state = str(row.get("exec_id", "")), row.get("state", "")
        first_us = execution.first_us or self._file_us
        if self._is_open and exec_id != self._exec_id:
            error = pb.Error(code="ax", message="the log of Google AX has no end of it")
            yield from self._event(pb.RunFailed(error=error), first_us)
            self._is_open = False
        if not self._is_open:
            self._exec_id = exec_id
            self._private = list(execution.private)
            yield from self._start(row, execution, first_us)
        for said in row.get("messages", ()):
            yield from self._message(said, first_us)
        if state in _ENDS:
            last_us = execution.last_us or first_us
            yield from self._rest(last_us)
            yield from self._event(self._ended(state), last_us)
            self._is_open = False

    def end(self) -> Iterator[str]:
        """What is left to be said."""
        if self._is_open:
            yield from self._rest(self._head.time_us)
            paused = pb.RunPaused(cause="person", reason=_UNFINISHED)
            yield from self._event(paused, self._head.time_us)

    def _start(self, row: dict[str, Any], execution: _Execution, time_us: int) -> Iterator[str]:
        agent = execution.agent or str(row.get("harness_id", ""))
        self._agent = _PLANNER if agent in ("", _THEIR_PLANNER) else agent
        self._is_open, self._last = True, ""
        config = _json(execution.config) if execution.config else row.get("harness_config")
        started = pb.RunStarted(
            agent=self._agent,
            config=self._keep(dump_json(config)),
            approve="policy",
            on_interrupted="ask",
        )
        yield from self._event(started, time_us)

    def _message(self, said: dict[str, Any], time_us: int) -> Iterator[str]:
        from google.protobuf import json_format

        from axtui.ax import ax_pb2 as ax
        from axtui.runtime.actors.ax.content import from_ax

        try:
            message = json_format.ParseDict(said, ax.Message(), ignore_unknown_fields=True)
        except json_format.ParseError as error:
            raise ValueError(str(error)) from None
        if said in self._private:
            self._private.remove(said)
        role = "user" if message.role == "user" else "assistant"
        if role == "assistant" and not message.internal_only:
            self._last = message.content.text.text or self._last
        kept = pb.Message(
            role=role,
            content=[from_ax(message.content, self._keep)],
            internal_only=message.internal_only,
        )
        yield from self._event(kept, time_us, "" if role == "user" else self._agent)

    def _rest(self, time_us: int) -> Iterator[str]:
        """What only the log of executions has: private messages."""
        for said in list(self._private):
            yield from self._message(said, time_us)

    def _ended(self, state: str) -> Payload:
        if state == "STATE_COMPLETED":
            return pb.RunCompleted(output=self._keep(dump_json(self._last)))
        if state == "STATE_CANCELED":
            return pb.RunCanceled(reason="in Google AX")
        return pb.RunFailed(error=pb.Error(code="ax", message="it failed in Google AX"))

    def _keep(self, text: str) -> pb.Data:
        """`text` for the next event."""
        data, blob = stored(text)
        if blob is not None:
            self._blobs.append(blob_line(data.blob.digest, blob))
        return data

    def _event(self, payload: Payload, time_us: int, actor: str = "") -> Iterator[str]:
        draft = Draft(payload, self._exec_id, actor)
        record, event = seal(draft, self._id, self._head, time_us)
        self._head = Head(record.seq, envelope_hash(record.envelope), event.time_us)
        blobs, self._blobs = self._blobs, []
        yield from blobs
        yield event_line(record, event)


def _parsed(payload: object) -> dict[str, Any]:
    row = json.loads(str(payload))
    if not isinstance(row, dict):
        raise ValueError("it isn't a JSON object")
    return row


def _json(config: bytes) -> Any:
    """A configuration, which is opaque to AX."""
    text = config.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _time_us(timestamp: object) -> int:
    """A time as drivers of SQLite in Go write it, and protobuf; 0 for anything else."""
    match = _TIME.match(str(timestamp))
    if match is None:
        return 0
    day, clock, fraction, zone = match.groups(default="")
    zone = "+00:00" if zone in ("", "Z") else zone
    with suppress(ValueError):
        moment = datetime.fromisoformat(f"{day} {clock}.{fraction[:6]:0<6}{zone}")
        return max(0, int(moment.timestamp() * 1e6))
    return 0
