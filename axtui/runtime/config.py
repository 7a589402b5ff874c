"""What a configuration holds, and what it is when nobody wrote one.

Start-up without a file has to be instant, so nothing here imports pydantic: the classes only carry
what pydantic needs to check a file against them.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

Verdict = Literal["allow", "ask", "deny"]

MAX_SECONDS = 36_500 * 86_400.0
MAX_STEPS = 1_000_000_000
MAX_AGENT_ID = 128

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile("".join(f"(?:{_NUMBER}{unit})?" for unit in _UNITS))


def parse_duration(text: str) -> float:
    """Seconds in a duration: a plain number of them ("90", "0.5"), or amounts with the units
    d, h, m, s and ms, the largest first ("1h30m", "250ms"). Zero is a duration.

    Raises ValueError, whose message can be shown, for anything else and beyond `MAX_SECONDS`.
    """
    if re.fullmatch(_NUMBER, text):
        seconds = float(text)
    elif text and (match := _DURATION.fullmatch(text)):
        amounts = zip(match.groups(default="0"), _UNITS.values(), strict=True)
        seconds = sum(float(amount) * unit for amount, unit in amounts)
    else:
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 5m, 1h30m or 250ms")
    if seconds > MAX_SECONDS:
        raise ValueError(f"{text!r} is too long; a duration is at most {MAX_SECONDS:.0f}s")
    return seconds


@dataclass(frozen=True)
class _Check:
    """How pydantic reads a field: `read` turns what the file says into its value or raises
    ValueError, and `expected` tells the author of the file what belongs there.
    """

    expected: str
    read: Callable[[Any], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self._checked)

    def _checked(self, value: Any) -> object:
        # The value may be a secret from the environment, so the reader's own words are dropped.
        try:
            return self.read(value)
        except ValueError:
            raise ValueError(self.expected) from None


def _seconds(value: Any) -> float:
    seconds = parse_duration(str(value))
    if not seconds:
        raise ValueError
    return seconds


def _steps(value: Any) -> int:
    steps = int(str(value))
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError
    return steps


def _agent_id(value: Any) -> str:
    if not isinstance(value, str) or value.split() != [value] or not value.isprintable():
        raise ValueError
    if len(value) > MAX_AGENT_ID:
        raise ValueError
    return value


def _reference(value: Any) -> str:
    module, _, name = str(value).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ValueError
    return str(value)


def _file_path(value: Any) -> str:
    path = os.path.expanduser(value) if isinstance(value, str) else ""
    if not path or path.startswith("~") or "\0" in path:
        raise ValueError
    return path


Seconds = Annotated[
    float, _Check("a number of seconds above zero or a duration such as '90s' or '1h30m'", _seconds)
]
Steps = Annotated[int, _Check(f"a whole number from 1 to {MAX_STEPS}", _steps)]
AgentId = Annotated[str, _Check(f"text without spaces, 1 to {MAX_AGENT_ID} characters", _agent_id)]
PythonName = Annotated[str, _Check("text of the form 'module:object'", _reference)]
FilePath = Annotated[str, _Check("the path of a file", _file_path)]


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
class Agent(_Section):
    """An agent that `--agent` can name. `python` is what to import, as "module:object"; it runs in
    a process of its own, or `inline`, in that of the controller. `timeout` is in seconds, None
    meaning that only the run's budget bounds it.
    """

    id: AgentId
    python: PythonName
    description: str = ""
    timeout: Seconds | None = None
    isolation: Literal["process", "inline"] = "process"


@dataclass(frozen=True)
class Budget(_Section):
    """What one run may use before it waits for a person to grant more. `seconds` counts only
    while the run is running.
    """

    steps: Steps = 10_000
    seconds: Seconds = 86_400.0


@dataclass(frozen=True)
class Policy(_Section):
    """`approve` gives the verdict for each glob over tool and step names, in the file's order."""

    approve: Mapping[str, Verdict] = field(default_factory=dict)
    budget: Budget = Budget()


@dataclass(frozen=True)
class Settings(_Section):
    """All that a file can say."""

    eventlog: EventLog = EventLog()
    agents: tuple[Agent, ...] = ()
    policy: Policy = Policy()


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
        if filename is None:
            return self.data_dir / "log.db"
        return (self.path.parent if self.path else self.data_dir) / filename
